"""The `authserver` command; also `python -m authserver`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say how to install it: the libraries inside this package need none of it."""
    try:
        from authserver.cli.program import program  # noqa: PLC0415 - click may be missing

        program(prog_name="authserver")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "authserver":
            raise
        sys.exit(f"Error: {error.name} is missing; for a server, install authserver with its extra [server]")


if __name__ == "__main__":
    main()
