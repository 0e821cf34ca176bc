"""The audit: security events of a fixed vocabulary. May import core; writes to the log."""
