"""The verifier beside a real authorization server: what is done there counts here within a second."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from authserver.resource_server import CannotVerify, ConfigurationError, InsufficientScope, InvalidToken, ThreadVerifier
from tests.redis_server import wait_for
from tests.resource_server.deployment import Deployment
from tests.server import RunningServer, basic, claims_of, header_of

EFFECTIVE_SECONDS = 1.0


@pytest.fixture(scope="module")
def verifier(deployment: Deployment) -> Iterator[ThreadVerifier]:
    """Run one verifier for all tests that leave the server as it is."""
    with deployment.verifier(ThreadVerifier) as running:
        yield running


def token(deployment: Deployment, scope: str = "read") -> str:
    """Return a new token of the caller's."""
    return deployment.server.token(deployment.caller, scope=scope)


def is_good(verifier: ThreadVerifier, text: str) -> bool:
    """Tell whether a token is good now; not to know would be an error."""
    try:
        verifier.verify(text)
    except InvalidToken:
        return False
    return True


def assert_refused_soon(verifier: ThreadVerifier, *texts: str) -> None:
    """Assert that tokens are refused within a second."""
    for text in texts:
        wait_for(lambda text=text: not is_good(verifier, text), "the refusal", EFFECTIVE_SECONDS)  # type: ignore[misc]


def test_by_path_by_document_and_by_url(deployment: Deployment, tmp_path: Path) -> None:
    """The three ways to a configuration lead to the same verifier."""
    path = tmp_path / "verifier.json"
    path.write_text(json.dumps(deployment.document))
    url = f"{deployment.server.url}/oauth2/verifier-config"
    text, configs = token(deployment), []
    for source in (
        path,
        str(path),
        deployment.document,
        url,
        f"{url}?resource={quote(deployment.document['audience'])}",
    ):
        with ThreadVerifier.from_config(source, **deployment.options) as verifier:
            assert verifier.verify(text).client_id == deployment.caller["client_id"]
            configs.append(verifier.config)
    assert configs == [configs[0]] * 5


def test_scopes_include_others(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """RS-04: the inclusion comes with the configuration; what a token says stays as it is."""
    writer = verifier.verify(token(deployment, "write"), all_of=("read",))
    assert (writer.scope, sorted(writer.scopes)) == ("write", ["read", "write"])
    assert verifier.verify(token(deployment, "read"), any_of=("admin", "read"))
    for demand in ({"all_of": "read write"}, {"any_of": ("write", "admin")}):
        with pytest.raises(InsufficientScope):
            verifier.verify(token(deployment, "read"), **demand)


ROWS: list[tuple[str, Callable[[str], str | None]]] = [
    ("jti", lambda text: str(claims_of(text)["jti"])),
    ("client", lambda text: str(claims_of(text)["client_id"])),
    ("credential", lambda text: str(claims_of(text)["credential_id"])),
    ("subject", lambda text: str(claims_of(text)["sub"])),
    ("kid", lambda text: str(header_of(text)["kid"])),
    ("workspace", lambda text: str(claims_of(text)["workspace_id"])),
    ("all", lambda _: None),
]


@pytest.mark.parametrize(("kind", "value_in"), ROWS, ids=[row[0] for row in ROWS])
def test_every_kind_of_revocation(
    deployment: Deployment, verifier: ThreadVerifier, kind: str, value_in: Callable[[str], str | None]
) -> None:
    """REV-13: each kind made at the server is refused here within a second; a token of right after is good."""
    text = token(deployment)
    assert is_good(verifier, text)
    value = value_in(text)
    body = {"kind": kind} if value is None else {"kind": kind, "value": value}
    assert deployment.server.admin("POST", "/revocations", body).status == 201
    assert_refused_soon(verifier, text)
    time.sleep(0.002)  # a watermark means its own millisecond too
    assert is_good(verifier, token(deployment))


def test_as_of_grows(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """A token says until when its revocation would be known; the same text later says a later time."""
    text = token(deployment)
    first = verifier.verify(text)
    assert first.as_of == pytest.approx(time.time(), abs=20)
    other = token(deployment)
    deployment.server.revoke(other, deployment.caller)
    assert_refused_soon(verifier, other)
    assert verifier.verify(text).as_of > first.as_of
    status = verifier.status()
    assert status.as_of == verifier.verify(text).as_of
    assert (status.ready, status.keys >= 1, status.revocations >= 1, status.unavailable) == (True, True, True, 0)
    assert status.staleness_seconds < 15
    assert status.verified > status.refused > 0
    assert (status.feed_failures, status.key_failures) == (0, 0)


@pytest.mark.parametrize("way", ["disabled", "deleted", "secret revoked"])
def test_a_client_that_is_no_more(deployment: Deployment, verifier: ThreadVerifier, way: str) -> None:
    """TOK-25: what was issued to a client that is disabled or deleted, or by a secret that leaked, ends here too."""
    server = deployment.server
    client = server.create_client(audiences=[deployment.document["audience"]])
    text, path = server.token(client), f"/clients/{client['client_id']}"
    assert is_good(verifier, text)
    if way == "disabled":
        assert server.admin("PATCH", path, {"status": "disabled"}).status == 200
    elif way == "deleted":
        assert server.admin("DELETE", path).status == 204
    else:
        credential = claims_of(text)["credential_id"]
        assert server.admin("POST", "/revocations", {"kind": "credential", "value": credential}).status == 201
    assert_refused_soon(verifier, text)


def test_rotations_refuse_no_good_token(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """ROT-02, ROT-03, ROT-07: through rotations, forced and not, each token is good from its first moment on."""
    texts = []
    for number in range(6):
        body = {"alg": "ES256", "force": number % 2 == 0}
        assert deployment.server.admin("POST", "/signing-keys/rotate", body).status == 200
        texts.append(token(deployment))
        assert all(is_good(verifier, text) for text in texts)
        wait_for(lambda: has_next_key(deployment.server, verifier), "the published keys", EFFECTIVE_SECONDS)
    assert len({header_of(text)["kid"] for text in texts}) > 2


def has_next_key(server: RunningServer, verifier: ThreadVerifier) -> bool:
    """Tell whether the verifier holds the key set that is published."""
    return verifier.key_set == server.get("/.well-known/jwks.json").body


def test_rot_04_a_key_that_leaked(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """ROT-04: tokens of a revoked key are refused within a second, and a token of the next key is good at once."""
    server = deployment.server
    for _ in range(2):
        text = token(deployment)
        assert is_good(verifier, text)
        assert server.admin("POST", f"/signing-keys/{header_of(text)['kid']}/revoke", {}).status == 200
        assert is_good(verifier, token(deployment))
        assert_refused_soon(verifier, text)
        wait_for(lambda: has_next_key(server, verifier), "the published keys", EFFECTIVE_SECONDS)


def test_wrong_credentials(deployment: Deployment) -> None:
    """A secret that is wrong, and a client that serves no resource, end the start, by document and by URL."""
    stranger = deployment.server.create_client()
    wrong = {**deployment.options, "client_secret": "wrong"}
    nobody = {name: stranger[name] for name in ("client_id", "client_secret")}
    for options, words in ((wrong, "client id or secret is wrong"), (nobody, "no resource server of this audience")):
        for source in (deployment.document, f"{deployment.server.url}/oauth2/verifier-config"):
            with (
                pytest.raises(ConfigurationError, match=words),
                ThreadVerifier.from_config(source, **options),
            ):
                pass
        verifier = ThreadVerifier.from_config(deployment.document, **options)
        with pytest.raises(CannotVerify):
            verifier.verify(token(deployment))
        verifier.close()


@pytest.mark.parametrize("alg", ["Ed25519", "RS256", "PS256", "HS256"])
def test_resources_of_other_algorithms(deployment: Deployment, alg: str) -> None:
    """Each algorithm that a resource may choose is checked, rotated and revoked; HS256 learns new secrets by URL."""
    server, identifier = deployment.server, f"https://{alg.lower()}.example.com"
    client = server.create_client(audiences=[identifier])
    resource = server.create_resource(identifier, signing_alg=alg, resource_servers=[client["client_id"]])
    options = {name: client[name] for name in ("client_id", "client_secret")}
    url = f"{server.url}/oauth2/verifier-config"
    with ThreadVerifier.from_config(url, **options) as verifier:
        first = server.token(client)
        assert verifier.verify(first).audience == (identifier,)
        assert not is_good(verifier, token(deployment))
        for _ in range(2):
            body = {"alg": alg, "force": True, **({"resource_id": resource["resource_id"]} if alg == "HS256" else {})}
            assert server.admin("POST", "/signing-keys/rotate", body).status == 200
            assert is_good(verifier, server.token(client))
        assert header_of(server.token(client))["kid"] != header_of(first)["kid"]
        assert is_good(verifier, first)
        server.revoke(first, client)
        assert_refused_soon(verifier, first)


def test_introspection(deployment: Deployment) -> None:
    """RFC 7662: "always" asks about every token, "foreign" about those that are not JWTs of this issuer."""
    server, text = deployment.server, token(deployment, "write")
    for mode in ("foreign", "always"):
        with ThreadVerifier.from_config(deployment.document, **deployment.options, introspection=mode) as verifier:
            found = verifier.verify(text, all_of=("read",))
            assert (found.client_id, sorted(found.scopes)) == (deployment.caller["client_id"], ["read", "write"])
            assert found.kid == ("" if mode == "always" else header_of(text)["kid"])
            for bad in ("opaque", "a.b.c", text[:-4], server.token(server.create_client())):
                with pytest.raises(InvalidToken):
                    verifier.verify(bad)
            with pytest.raises(InsufficientScope):
                verifier.verify(text, all_of=("admin",))
    with ThreadVerifier.from_config(deployment.document, **deployment.options, introspection="always") as verifier:
        other = token(deployment)
        assert is_good(verifier, other)
        server.revoke(other, deployment.caller)
        assert not is_good(verifier, other)


def test_nothing_secret_is_logged(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    """U4: at DEBUG, with the HTTP library's own lines: no secret, no token, no Authorization value."""
    caplog.set_level("DEBUG")
    text = token(deployment)
    url = f"{deployment.server.url}/oauth2/verifier-config"
    options: dict[str, Any] = {**deployment.options, "introspection": "always"}
    with ThreadVerifier.from_config(url, **options) as verifier:
        assert verifier.verify(text)
        with pytest.raises(InvalidToken):
            verifier.verify("c4n4ry-token")
    with pytest.raises(ConfigurationError), ThreadVerifier.from_config(url, **options | {"client_secret": "c4n4ry"}):
        pass
    assert any(record.name.startswith("httpcore2") for record in caplog.records)
    client_id, secret = (str(deployment.resource_server[name]) for name in ("client_id", "client_secret"))
    authorization = basic(client_id, secret).removeprefix("Basic ")
    for hidden in (secret, authorization, text, text.split(".")[2], "c4n4ry", basic(client_id, "c4n4ry")):
        assert hidden not in caplog.text
