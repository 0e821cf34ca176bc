"""Signing keys from birth to disposal, and the tokens that they sign (RFC 7515, RFC 7517, RFC 9068).

Read `ring.py` first: it is the door. Decisions are in `lifecycle.py`, cryptography stays in this package:
`sealing.py` keeps private parts encrypted at rest, `material.py` makes and opens keys, `signer.py` and
`verifier.py` write and read access tokens. Imports `core`, joserfc, cryptography and msgspec.
"""
