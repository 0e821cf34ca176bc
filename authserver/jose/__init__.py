"""JWS as both sides need it, the server for its own tokens and the library for those of others (RFC 7515, RFC 7518).

One strict reading of the compact form and one key bound to one algorithm. Imports core, joserfc and cryptography.
"""
