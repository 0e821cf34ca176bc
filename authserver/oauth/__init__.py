"""The protocol on Authlib: synchronous, pure, no I/O. The only package that imports Authlib.

What Authlib leaves open or does otherwise than the RFCs ask is put right here, and nowhere else. No hook
may be a coroutine function: Authlib would take the coroutine for a yes.
"""
