"""The OAuth endpoints and their neighbours: one file each, none knows another.

May import wire, tokens, the capabilities and core.
"""
