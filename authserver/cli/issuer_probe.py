"""One look at the issuer's own metadata over HTTP, as a client would take it (RFC 8414 §3)."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from authserver.core.connection import is_loopback
from authserver.core.json_value import Json

TIMEOUT_SECONDS = 3.0
MAX_BYTES = 64 * 1024
WELL_KNOWN = "/.well-known/oauth-authorization-server"


@dataclass(slots=True)
class Look:
    """What was seen: a document and the answer's Date (seconds), or why there is none."""

    document: Json = None
    served_at: int | None = None
    failure: str = "no answer in time"


def look_at(issuer: str) -> Look:
    """Fetch the metadata; never raises, and never takes much longer than 3 seconds."""
    looks: list[Look] = []
    thread = threading.Thread(target=lambda: looks.append(_fetch(issuer)), daemon=True)  # a name server may hang
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return looks[0] if looks else Look()


def metadata_url(issuer: str) -> str:
    """Return where RFC 8414 §3.1 looks: between host and path of the issuer."""
    url = urlsplit(issuer)
    return f"{url.scheme}://{url.netloc}{WELL_KNOWN}{url.path.rstrip('/')}"


def _fetch(issuer: str) -> Look:
    # A proxy cannot reach our own loopback interface.
    opener = build_opener(*([ProxyHandler({})] if is_loopback(urlsplit(issuer).hostname or "") else []))
    request = Request(metadata_url(issuer), headers={"Accept": "application/json"})  # noqa: S310 - settings allow http(s)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            document = json.loads(response.read(MAX_BYTES))
            return Look(document, _seconds(response.headers.get("Date")), failure="")
    except HTTPError as error:
        with error:
            return Look(failure=f"HTTP {error.code}")
    except URLError as error:
        return Look(failure=str(error.reason))
    except (OSError, ValueError) as error:
        return Look(failure=type(error).__name__)


def _seconds(date: str | None) -> int | None:
    try:
        return None if date is None else int(parsedate_to_datetime(date).timestamp())
    except ValueError:
        return None
