"""What a caller imports to get access tokens by client credentials, keep them and renew them (RFC 6749 §4.4)."""
