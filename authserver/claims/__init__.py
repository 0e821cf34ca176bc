"""Claims templates: what a template may say, compiled once, rendered into every token.

Owns the template language, the rules for claim names and for `trusted_metadata`, and the catalog of
the templates in force. Imports `core`, msgspec and structlog; does no I/O but what its store does.
"""
