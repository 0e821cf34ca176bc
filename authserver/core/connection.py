"""What a connection to the authorization server must be, whoever makes it: the library or the token client."""

from __future__ import annotations

import ssl
from ipaddress import ip_address

MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 0.01, 3_600


def connection_problem(*, timeout_seconds: float, ssl_context: ssl.SSLContext | None) -> str | None:
    """Return why these cannot work, or protect nothing; None when all is well."""
    if not MIN_TIMEOUT_SECONDS <= timeout_seconds <= MAX_TIMEOUT_SECONDS:  # NaN is nowhere between
        return f"timeout_seconds must be {MIN_TIMEOUT_SECONDS} to {MAX_TIMEOUT_SECONDS}"
    if ssl_context is not None and not (ssl_context.verify_mode is ssl.CERT_REQUIRED and ssl_context.check_hostname):
        return "the ssl_context does not verify the server"
    return None


def is_loopback(host: str) -> bool:
    """Tell whether the host of a URL, in lower case and without brackets, is this machine: by its text, unresolved."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
