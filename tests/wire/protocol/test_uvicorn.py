"""What the protocol rests on in uvicorn."""

import hashlib
import inspect
import pickle

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from authserver.wire.protocol import protocol_class
from authserver.wire.request_head import Limits, head_fault
from tests.wire.protocol.door import DOOR


def test_limits_reach_worker_processes() -> None:
    """HTTP-12: what uvicorn is given survives the pickling on its way to a spawned worker."""
    config = uvicorn.Config("app:app", log_config=None, http=pickle.loads(pickle.dumps(protocol_class(DOOR))))  # noqa: S301
    assert config.http.keywords == {"limits": DOOR}  # type: ignore[union-attr]


READ_AGAINST = {
    HttpToolsProtocol: "18fdf324b11bf160",
    FlowControl: "126debcdaa894c83",
    RequestResponseCycle: "e67d470d435dcc1c",
    ServerState: "f2260fbf10154746",
}


@pytest.mark.parametrize("kind", READ_AGAINST, ids=lambda kind: kind.__name__)
def test_uvicorn_is_the_one_that_was_read(kind: type) -> None:
    """HTTP-01 to HTTP-12 rest on these sources; after a change read them again with `protocol.py` at hand."""
    assert hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()[:16] == READ_AGAINST[kind]


def test_head_fault_is_plain() -> None:
    """HTTP-04: the check of a head is a function of values."""
    assert head_fault("1.1", b"/", [(b"host", b"as.example")], Limits()) is None
