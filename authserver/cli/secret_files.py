"""Where a new secret goes: to the terminal, or into files that only their owner can read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from authserver.cli.options import together
from authserver.core.json_value import Json

#: Writes a client's id and secret to the files.
Write = Callable[[str, str], None]

_FILE = click.Path(path_type=Path)


secret_options = together(
    click.option("--credentials", is_flag=True, help="Print `id:secret` alone, as `curl -u` takes it."),
    click.option(
        "--credentials-file",
        type=_FILE,
        metavar="FILE",
        help="Write `id:secret` to a new file for its owner alone, and do not print the secret.",
    ),
    click.option("--secret-file", type=_FILE, metavar="FILE", help="The same, of the secret alone."),
)


def check_destinations(
    client_id: str | None, *, credentials: bool, credentials_file: Path | None, secret_file: Path | None
) -> None:
    """Refuse what excludes each other, and an id that `id:secret` cannot carry (RFC 7617 §2)."""
    if credentials and (credentials_file or secret_file):
        raise click.UsageError("--credentials prints the secret, and the files are there to avoid that: take one.")
    if client_id and ":" in client_id and (credentials or credentials_file):
        raise click.ClickException(
            f"the client id {client_id!r} has a colon, so `id:secret` cannot carry it (RFC 7617 §2); "
            "take --secret-file, or --json"
        )


@contextmanager
def new_files(credentials_file: Path | None, secret_file: Path | None) -> Iterator[Write]:
    """Make the files before there is a secret, and yield what writes them; remove them if it is never called."""
    with ExitStack() as undo:
        opened: list[tuple[Path, int, str]] = []
        for path, form in ((credentials_file, "{0}:{1}\n"), (secret_file, "{1}\n")):
            if path is not None:
                descriptor = _created(path)
                undo.callback(path.unlink, missing_ok=True)
                undo.callback(os.close, descriptor)
                opened.append((path, descriptor, form))

        def write(client_id: str, secret: str) -> None:
            for path, descriptor, form in opened:
                _write(path, descriptor, form.format(client_id, secret), client_id)
            undo.pop_all()
            for _, descriptor, _ in opened:
                os.close(descriptor)

        yield write


def without_secret(document: dict[str, Json], *files: Path | None, as_json: bool) -> dict[str, Json]:
    """Return the document as it is printed: for people it says which files have the secret, for programs nothing."""
    paths = [str(path) for path in files if path is not None]
    if not paths:
        return document
    rest = {name: value for name, value in document.items() if name != "client_secret"}
    return rest if as_json else rest | {"client_secret": f"written to {' and '.join(paths)}"}


def _created(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{path} exists already; name a new file") from None
    except OSError as error:
        raise click.ClickException(f"cannot make {path} ({error.strerror})") from None


def _write(path: Path, descriptor: int, line: str, client_id: str) -> None:
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
            file.write(line)
    except OSError as error:
        raise click.ClickException(
            f"cannot write {path} ({error.strerror}): the client {client_id!r} has a secret that nobody knows now; "
            "`authserver clients rotate-secret` mends that"
        ) from None
