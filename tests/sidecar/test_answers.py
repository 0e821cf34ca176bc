"""What a sidecar answers while the centre is there."""

from __future__ import annotations

import json

import pytest

from tests.conformance.expectations import assert_refused
from tests.redis_server import wait_for
from tests.resource_server.deployment import RESOURCE, Deployment
from tests.server import API, FORM, claims_of
from tests.sidecar.beside import RunningSidecar

CHALLENGE = 'Bearer realm="authserver"'


def token_of(deployment: Deployment, scope: str = "read write") -> str:
    """Return a new token of the caller's."""
    return deployment.server.token(deployment.caller, scope=scope)


def test_forward_auth(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """A good token passes with its identity; what includes a scope will do for it."""
    token = token_of(deployment, "write")
    answer = sidecar.forward(token, f"?scope=read&resource={RESOURCE}")
    assert (answer.status, answer.body) == (204, b"")
    client_id = deployment.caller["client_id"]
    fields = {name: value for name, value in answer.headers.items() if name.startswith("x-auth-")}
    assert float(fields.pop("x-auth-knowledge-age")) < 25
    assert fields == {
        "x-auth-client-id": client_id,
        "x-auth-subject": client_id,
        "x-auth-scope": "write",
        "x-auth-workspace": "default",
    }


def test_forward_auth_refuses(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """RFC 6750 §3.1: no token, a bad one, one without the scope, and a proxy that protects something else."""
    token = token_of(deployment, "read")
    no_token = sidecar.forward(None)
    assert_refused(no_token, 401, "invalid_token")
    assert no_token.headers["www-authenticate"] == CHALLENGE
    bad = sidecar.forward(token + "x")
    assert_refused(bad, 401, "invalid_token")
    assert bad.headers["www-authenticate"] == f'{CHALLENGE}, error="invalid_token"'
    wrong_scope = sidecar.forward(token, "?scope=admin")
    assert_refused(wrong_scope, 403, "insufficient_scope")
    assert wrong_scope.headers["www-authenticate"] == f'{CHALLENGE}, error="insufficient_scope", scope="admin"'
    assert_refused(sidecar.forward(token, f"?resource={API}"), 403, "access_denied")


def test_forward_auth_in_envoys_way(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """Below the prefix the answer is 200, whatever the method."""
    bearer = deployment.bearer()
    assert sidecar.request("POST", "/forward-auth/orders/1?a=b", b"", bearer).status == 200
    assert sidecar.request("POST", "/forward-auth/orders/1", b"").status == 401


def test_forward_auth_with_a_slash_too_many(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """What a proxy asks for behind `/forward-auth/` would not be judged, so it is refused; the log says what to do."""
    assert_refused(sidecar.get("/forward-auth/?scope=admin", deployment.bearer()), 400, "invalid_request")
    assert "without the slash" in sidecar.events("request")[-1]["reason"]
    assert sidecar.get("/forward-auth/?page=2", deployment.bearer()).status == 200


def test_introspection(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """RFC 7662 §2.2: the claims of a good token, without any client authentication; nothing of another."""
    token = token_of(deployment)
    answer = sidecar.introspect(token)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {**claims_of(token), "active": True, "token_type": "Bearer"}
    for bad in (token + "x", "x", token.rpartition(".")[0], "é"):
        answer = sidecar.introspect(bad)
        assert (answer.status, answer.body) == (200, b'{"active":false}')


def test_introspection_of_other_audiences(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """RS-02: a good token for another resource is inactive here, and refused by forward-auth."""
    deployment.server.create_resource(API)
    client = deployment.server.create_client(audiences=[API])
    token = deployment.server.token(client)
    assert sidecar.introspect(token).body == b'{"active":false}'
    assert sidecar.forward(token).status == 401


@pytest.mark.parametrize("body", [b"", b"token=", b"token=a&token=b", b"\xff", b"token_type_hint=access_token"])
def test_introspection_requests_that_are_none(sidecar: RunningSidecar, body: bytes) -> None:
    """RFC 7662 §2.1: `token` is required, once."""
    assert_refused(sidecar.request("POST", "/oauth2/introspect", body, {"Content-Type": FORM}), 400, "invalid_request")


def test_a_revoked_token_is_refused_within_a_second(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """RS-07: revocation at the centre reaches the sidecar by its feed, at once."""
    token, other = token_of(deployment), token_of(deployment)
    assert sidecar.forward(token).status == 204
    deployment.revoke({"Authorization": f"Bearer {token}"})
    assert wait_for(lambda: sidecar.forward(token).status == 401, "the revocation") < 1
    assert sidecar.introspect(token).body == b'{"active":false}'
    assert sidecar.forward(other).status == 204
    assert sidecar.metric("revocations") >= 1


def test_keys(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """RFC 7517 §5, RFC 9110 §13.1.2: the issuer's own key set, and 304 for who has it."""
    answer = sidecar.get("/.well-known/jwks.json")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
    assert answer.body == deployment.server.get("/.well-known/jwks.json").body
    again = sidecar.get("/.well-known/jwks.json", {"If-None-Match": f"W/{answer.headers['etag']}"})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])


def test_a_rotated_key_is_published_here_too(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """A key that the centre has just made is handed on before its first token comes."""
    before = sidecar.get("/.well-known/jwks.json").headers["etag"]
    assert deployment.server.admin("POST", "/signing-keys/rotate", {"force": True}).status == 200
    wait_for(lambda: sidecar.get("/.well-known/jwks.json").headers["etag"] != before, "the new key")
    assert sidecar.forward(token_of(deployment)).status == 204


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/metrics", 200),
        ("HEAD", "/.well-known/jwks.json", 200),
        ("GET", "/forward-auth", 401),
        ("GET", "/forward-auth?x=y", 400),
        ("GET", "/oauth2/introspect", 405),
        ("POST", "/health/live", 405),
        ("GET", "/oauth2/token", 404),
        ("PUT", "/", 404),
        ("GET", "/forward-aut%68", 404),
        ("OPTIONS", "*", 404),
    ],
)
def test_every_answer_says_how_old_the_knowledge_is(
    sidecar: RunningSidecar, method: str, path: str, status: int
) -> None:
    """RS-07: in seconds with three decimals, errors included."""
    answer = sidecar.request(method, path)
    assert answer.status == status
    age = answer.headers["x-auth-knowledge-age"]
    assert 0 <= float(age) < 25
    assert len(age.partition(".")[2]) == 3


def test_metrics(sidecar: RunningSidecar) -> None:
    """RS-07: what the front door counts, and what the verifier says of itself."""
    sidecar.forward(None)
    page = sidecar.get("/metrics").body.decode()
    assert 'authserver_requests_total{endpoint="forward_auth",status="401"}' in page
    assert "# TYPE authserver_sidecar_feed_failures_total counter" in page
    assert sidecar.metric("ready") == 1
    assert 0 <= sidecar.metric("staleness_seconds") < 15
    assert sidecar.metric("keys") >= 1
    assert sidecar.metric("feed_answers_total") >= 1


def test_logs(deployment: Deployment, sidecar: RunningSidecar) -> None:
    """LOG-01: one JSON object a line, with the reason of a refusal, and no token."""
    token = token_of(deployment)
    sidecar.forward(token)
    sidecar.introspect(token + "x")
    log = sidecar.log()
    assert all(json.loads(line) for line in log.splitlines())
    assert token not in log
    assert token.rpartition(".")[2] not in log
    started, request = sidecar.events("sidecar.started")[0], sidecar.events("request")[-1]
    assert (started["audience"], started["issuer"]) == (RESOURCE, deployment.server.url)
    assert (request["path"], request["active"]) == ("/oauth2/introspect", False)
    assert request["reason"]
