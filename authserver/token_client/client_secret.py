"""Where the client's secret comes from: a text, a file that is read for each fetch, or a function of the caller."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from authserver.core.text_file import MAX_SECRET_FILE_BYTES, UnreadableFile, read_secret
from authserver.token_client.errors import TokenUnavailable

_SURROGATE = re.compile("[\ud800-\udfff]")  # what the environment holds for a byte that is not UTF-8

#: Returns the secret as it is now; raises TokenUnavailable when it cannot be had.
SecretSource = Callable[[], str]


def secret_source(secret: str | Path | Callable[[], str]) -> SecretSource:
    """Return how to get the secret; raise ValueError for an empty one."""
    if isinstance(secret, str):
        text = _checked(secret, ValueError)
        return lambda: text
    if isinstance(secret, Path):
        return lambda: _read(secret)
    if callable(secret):
        return lambda: _called(secret)
    raise TypeError("client_secret is a text, a pathlib.Path or a function")


def _read(path: Path) -> str:
    try:
        return read_secret(path)
    except UnreadableFile as reason:
        raise TokenUnavailable(f"the file of the client secret, {path}, cannot be read: {reason}") from None


def _called(function: Callable[[], str]) -> str:
    try:
        text: object = function()
    except Exception as error:  # noqa: BLE001 - the caller's code, whose error may hold anything
        failure = type(error).__name__
    else:
        if isinstance(text, str):
            return _checked(text, TokenUnavailable)
        failure = f"it returned {type(text).__name__}"
    raise TokenUnavailable(f"the function for the client secret failed: {failure}")


def _checked(text: str, error: type[ValueError | TokenUnavailable]) -> str:
    if not text or len(text) > MAX_SECRET_FILE_BYTES or _SURROGATE.search(text):
        raise error("the client secret is empty, too long, or no text that can be sent")
    return text
