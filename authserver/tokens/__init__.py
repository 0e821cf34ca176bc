"""What the server does with tokens: issue, introspect, revoke, and check those for its own management API.

Each use case loads, decides without I/O, then saves. May import the capabilities and core; knows no HTTP.
"""
