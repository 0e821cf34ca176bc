"""Logs and metrics: what the operator sees. Knows no other capability.

Owns structlog's configuration and every Prometheus metric; may import core.
"""
