"""Lines on standard error, so that standard output holds the report alone."""

import sys


def say(line: str) -> None:
    """Show one line of progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
