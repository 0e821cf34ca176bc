"""LOG-06: nothing that is printed in a traceback, a debugger or a log shows a secret."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import pkgutil
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr

import authserver
from authserver.administration.actor import Actor
from authserver.app.runtime import Runtime, open_runtime
from authserver.app.surface import build_surface
from authserver.clients.registration import ClientCreate
from authserver.core.client import AuthMethod
from authserver.core.credentials import Credentials
from authserver.core.errors import ConfigurationError
from authserver.core.secret import SecretHash, generate_secret
from authserver.resources.registration import ResourceCreate
from authserver.resources.verifier_config import SharedSecret
from authserver.settings import Settings, read_settings
from authserver.storage import migrate
from authserver.tokens.issue import IssuedToken, TokenRequest
from authserver.wire.form import parse_form
from authserver.wire.http import Answer, Request
from tests.server import FORM, basic

CANARY = "canary-0123456789-abcdefghijklmnopqrstuvwxyz"
#: Names of fields that hold secrets or tokens, or a request or an answer with one of these inside.
TELLING = {"access_token", "admin_token", "client_assertion", "client_secret", "database_url", "hs256_secret"}
TELLING |= {"digest", "password", "private", "salt", "sealed_private", "secret", "secret_hash", "secret_key"}
TELLING |= {"body", "headers", "parameters", "shared_secret"}
#: The headers of an answer, none of which holds a secret.
HARMLESS = {"Answer.headers"}
#: Models that only describe a schema, and are never filled.
DESCRIPTIONS = "authserver.endpoints.description"


def settings_with_canaries(directory: Path) -> Settings:
    """Return settings with a canary in each secret."""
    return read_settings(
        {
            "AUTHSERVER_DATA_DIR": str(directory),
            "AUTHSERVER_SECRET_KEY": CANARY,
            "AUTHSERVER_ADMIN_TOKEN": CANARY,
            "AUTHSERVER_ISSUER": "https://as.example",
        }
    )


def request() -> Request:
    """Return a request with a canary in each part."""
    receive: Any = None
    return Request("POST", [(b"authorization", CANARY.encode())], CANARY.encode(), receive, "127.0.0.1", {})


CREDENTIALS = Credentials(AuthMethod.CLIENT_SECRET_POST, "c", CANARY)
OBJECTS: list[object] = [
    settings_with_canaries(Path("data")),
    read_settings({"AUTHSERVER_DATABASE_URL": f"postgresql://u:{CANARY}@h/d"}),
    CREDENTIALS,
    parse_form(f"client_secret={CANARY}&token={CANARY}".encode()),
    request(),
    Answer(200, CANARY.encode()),
    TokenRequest(
        credentials=CREDENTIALS, grant_type="g", scope=None, resources=(), parameters={"client_secret": CANARY}
    ),
    IssuedToken(access_token=CANARY, expires_in=1, scope="", jti="j", client_id="c", audience="a"),
    ClientCreate(client_name="n", client_id="c", client_secret=CANARY),
    ResourceCreate.model_validate({"identifier": "https://a", "signing_alg": "HS256", "hs256_secret": CANARY}),
    SecretHash(1, CANARY.encode(), CANARY.encode()),
    SharedSecret("k", CANARY.encode()),
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_repr_and_str(value: object) -> None:
    """LOG-06: neither repr() nor an f-string of what holds a secret shows it."""
    assert CANARY not in repr(value) + f"{value!r} {[value]}" + ("" if isinstance(value, SecretHash) else str(value))


def classes() -> Iterator[type]:
    """Yield every class of the package."""
    for module in pkgutil.walk_packages(authserver.__path__, "authserver."):
        if not module.name.endswith("__main__"):
            for value in vars(import_module(module.name)).values():
                # Not isinstance: Django's settings would want to be configured before they say what they are.
                if issubclass(type(value), type) and value.__module__ == module.name:
                    yield value


def shown_fields(kind: type) -> Iterator[tuple[str, object]]:
    """Yield name and type of the fields that repr() of a dataclass or model shows."""
    if dataclasses.is_dataclass(kind):
        yield from ((item.name, item.type) for item in dataclasses.fields(kind) if item.repr)
    elif issubclass(kind, BaseModel):
        yield from ((name, info.annotation) for name, info in kind.model_fields.items() if info.repr)


def masks_itself(annotation: object) -> bool:
    """Tell whether values of a type show themselves as stars."""
    return SecretStr in (annotation, *get_args(annotation))


def test_fields_that_hold_secrets_are_hidden() -> None:
    """LOG-06: no class of the package shows a field whose name says that it holds a secret."""
    looked_at, shown = 0, set()
    for kind in classes():
        fields = list(shown_fields(kind))
        looked_at += bool(fields)
        if kind.__module__ != DESCRIPTIONS:
            shown |= {f"{kind.__qualname__}.{name}" for name, of in fields if name in TELLING and not masks_itself(of)}
    assert looked_at > 50
    assert shown == HARMLESS


def test_runtime(tmp_path: Path) -> None:
    """LOG-06: of all objects that a running process is made of, not one shows a canary, also after requests."""
    settings = settings_with_canaries(tmp_path)
    secret = generate_secret("secret")

    async def run() -> None:
        await migrate.upgrade(settings.database)
        async with open_runtime(settings) as runtime:
            form = {"client_name": "n", "client_id": "c", "client_secret": secret, "scope": "read"}
            await runtime.administration.clients.create(Actor(name="t"), form)
            token = await _token(runtime, secret)
            ours = _objects_of_ours()
            assert {type(value) for value in ours} >= {Runtime, type(settings)}
            for value in ours:
                text = repr(value)
                assert not any(canary in text for canary in (CANARY, secret, token)), type(value)

    asyncio.run(run())


def test_refused_settings() -> None:
    """LOG-06: settings that are refused are named without their values."""
    with pytest.raises(ConfigurationError) as refused:
        read_settings({"AUTHSERVER_PORT": CANARY, "AUTHSERVER_SECRET_KEY": CANARY, "AUTHSERVER_NO_SUCH": CANARY})
    assert len(refused.value.problems) == 2
    assert CANARY not in str(refused.value) + repr(refused.value)


def _objects_of_ours() -> list[object]:
    gc.unfreeze()  # what was loaded at the start is hidden from the collector, and so from its list
    return [value for value in gc.get_objects() if str(type(value).__module__).startswith("authserver.")]


async def _token(runtime: Runtime, secret: str) -> str:
    sent: list[MutableMapping[str, Any]] = []
    headers = [(b"authorization", basic("c", secret).encode()), (b"content-type", FORM.encode())]
    scope = {"type": "http", "method": "POST", "path": "/oauth2/token", "raw_path": b"/oauth2/token"}
    scope |= {"query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)}

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"grant_type=client_credentials", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await build_surface(runtime)(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return str(sent[1]["body"].split(b'"access_token":"')[1].split(b'"')[0].decode())
