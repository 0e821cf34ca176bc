"""The file of forward-auth's rules, read at the start."""

from __future__ import annotations

from pathlib import Path

from authserver.core.errors import ConfigurationError
from authserver.core.text_file import UnreadableFile, read_text
from authserver.endpoints.forward_rules import Rules, RulesRefused, parse_rules

MAX_FILE_BYTES = 1024 * 1024


def read_rules(path: Path, *, setting: str = "AUTHSERVER_FORWARD_AUTH_RULES") -> Rules:
    """Return the rules in a file, which `setting` has named.

    Raises ConfigurationError with one line for each fault, its place in it.
    """
    try:
        return parse_rules(read_text(path, max_bytes=MAX_FILE_BYTES))
    except UnreadableFile as reason:
        raise ConfigurationError(f"{setting}: cannot read the file ({reason}); name a readable JSON file.") from None
    except RulesRefused as refused:
        raise ConfigurationError(*(f"{setting}: {problem}." for problem in refused.problems)) from None
