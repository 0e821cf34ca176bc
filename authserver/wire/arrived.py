"""Reading a body that is there already: without the coroutines that wait for one.

Read against uvicorn 0.54.0, `RequestResponseCycle.receive`; a test fails when its source changes.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def arrived_body(receive: object) -> bytes | None:
    """Return the body once it has arrived as a whole, to whoever reads it first; None if `receive` is to be asked."""
    cycle = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected or cycle.response_complete:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    return body
