"""What a service imports to check the access tokens of its callers by itself (RFC 9068 §4, RFC 6750)."""
