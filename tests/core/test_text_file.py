"""A file that an operator has named: what is wrong with it is said in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from authserver.core.text_file import UnreadableFile, read_text


def test_a_text_is_read_to_its_bound(tmp_path: Path) -> None:
    """As many bytes as allowed are read, as UTF-8."""
    file = tmp_path / "file"
    file.write_text("schlüssel")
    assert read_text(file, max_bytes=10) == "schlüssel"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"\xff", "not UTF-8"), (b"12345678901", "larger than 10 bytes")],
)
def test_the_reason_is_in_plain_words(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """It names no type of this language."""
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnreadableFile, match=f"^{reason}$"):
        read_text(file, max_bytes=10)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A directory is refused; a device without an end is not read to it."""
    with pytest.raises(UnreadableFile, match="Is a directory"):
        read_text(tmp_path, max_bytes=10)
    with pytest.raises(UnreadableFile, match="larger than 10 bytes"):
        read_text(Path("/dev/zero"), max_bytes=10)
