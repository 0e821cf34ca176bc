"""A text file that an operator has named: read within bounds, and refused in the system's own words."""

from __future__ import annotations

from pathlib import Path

MAX_SECRET_FILE_BYTES = 4096


class UnreadableFile(Exception):
    """The file cannot be read; its text is the reason, without the path: "No such file or directory"."""


def read_text(path: Path, *, max_bytes: int) -> str:
    """Return the text of a file of at most `max_bytes`; raise UnreadableFile. Blocks as the disk does."""
    try:
        with path.open("rb") as file:  # opened once and read to a bound: a device, or one that grows, has no size
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise UnreadableFile(error.strerror or "no reason given") from None
    if len(content) > max_bytes:
        raise UnreadableFile(f"larger than {max_bytes} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UnreadableFile("not UTF-8") from None


def read_secret(path: Path) -> str:
    """Return the secret that a file holds, alone on one line; raise UnreadableFile, also for an empty one."""
    secret = read_text(path, max_bytes=MAX_SECRET_FILE_BYTES).rstrip("\r\n")
    if not secret:
        raise UnreadableFile("empty")
    return secret
