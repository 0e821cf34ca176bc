"""Who reads the pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import Reader
from tests.server import start_server


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Yield a reader beside a server of his own."""
    (tmp_path / "data").mkdir(mode=0o700)
    with start_server(tmp_path / "data") as server:
        yield Reader.beside(server, tmp_path)
