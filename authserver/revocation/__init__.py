"""Revocation: what has been revoked, held in memory so that a check costs a microsecond.

May import core; reads and writes through `RevocationStore`.
"""
