"""The vocabulary: frozen values, the error table and the store Protocols.

Imports nothing but the standard library; everything else may import it.
"""
