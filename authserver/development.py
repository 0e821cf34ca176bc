"""What `--dev` makes by itself, so that a first start needs no setting; and where the command line finds it again.

The secrets lie in the data directory, readable by their owner alone.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from authserver.core.errors import ConfigurationError
from authserver.core.secret import generate_secret
from authserver.settings import Settings

SECRET_KEY_FILE = "secret-key"
ADMIN_TOKEN_FILE = "admin-token"

_ANY_HOST = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def prepare(settings: Settings) -> Settings:
    """Create the data directory and its secrets where they are missing, and return settings that use them.

    Raises ConfigurationError when the directory cannot be written.
    """
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(settings.data_dir / SECRET_KEY_FILE, secrets.token_urlsafe(48))
        _create(settings.data_dir / ADMIN_TOKEN_FILE, generate_secret("admin"))
    except OSError as error:
        raise ConfigurationError(
            f"AUTHSERVER_DATA_DIR: cannot write to {settings.data_dir} ({error.strerror}); name a writable directory."
        ) from None
    issuer = settings.issuer or local_address(settings)
    update: dict[str, object] = {"issuer": issuer}
    if "shutdown_delay_seconds" not in settings.model_fields_set:
        update["shutdown_delay_seconds"] = 0  # nobody sends requests here but who stops it
    return from_data_dir(settings).model_copy(update=update)


def local_address(settings: Settings) -> str:
    """Return the URL at which this machine reaches the server."""
    host = "127.0.0.1" if settings.host in _ANY_HOST else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def from_data_dir(settings: Settings) -> Settings:
    """Return settings completed by the secrets that an earlier `--dev` left in the data directory, if any."""
    found: dict[str, SecretStr] = {}
    for field, name in (("secret_key", SECRET_KEY_FILE), ("admin_token", ADMIN_TOKEN_FILE)):
        path = settings.data_dir / name
        if getattr(settings, field) is None and path.is_file():
            try:
                found[field] = SecretStr(path.read_text(encoding="ascii").strip())
            except OSError as error:
                raise ConfigurationError(
                    f"AUTHSERVER_DATA_DIR: cannot read {path} ({error.strerror}); use the server's own account."
                ) from None
    return settings.model_copy(update=found) if found else settings


def _create(path: Path, content: str) -> None:
    """Write a new file for its owner alone; leave one that exists as it is.

    It is there with all that it holds or not at all: another process that starts at this moment may read it at once.
    """
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(content + "\n")
        with suppress(FileExistsError):
            path.hardlink_to(unfinished)
    finally:
        unfinished.unlink()
