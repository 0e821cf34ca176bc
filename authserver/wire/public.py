"""What public documents have in common: any page may read them, without credentials (Fetch standard, CORS)."""

from __future__ import annotations

PUBLIC_CORS = (b"access-control-allow-origin", b"*")
