"""What each integration must do, over HTTP: one application in many frameworks, one suite.

The application: `GET /read` and `GET /write` need that scope, `GET /any` admin or write; each answers with the
caller's `client_id`. `POST /form` needs read and answers with the body that it read. Anybody may ask for `/health`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import pytest

from tests.redis_server import wait_for
from tests.resource_server.deployment import RESOURCE, Deployment, ask
from tests.server import FORM, claims_of

METADATA_URL = "https://api.example.com/.well-known/oauth-protected-resource/orders"
POINTER = f'resource_metadata="{METADATA_URL}"'


class Integration:
    """The suite; a subclass says how its application is served."""

    kind: ClassVar[type[Any]]

    @classmethod
    def serve(cls, verifier: Any) -> AbstractContextManager[str]:
        """Serve the application, guarded by a verifier; yield its URL."""
        raise NotImplementedError

    @classmethod
    @contextlib.contextmanager
    def served(cls, deployment: Deployment, document: Any = None) -> Iterator[str]:
        """Serve the application with a verifier of its own, ended afterwards."""
        verifier = deployment.verifier(cls.kind, document)
        try:
            with cls.serve(verifier) as url:
                yield url
        finally:
            verifier._engine.close()

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, deployment: Deployment) -> Iterator[str]:
        """Yield the URL of the application."""
        with cls.served(deployment) as url:
            yield url

    def test_a_good_token_is_let_in(self, deployment: Deployment, url: str) -> None:
        """The application learns who calls."""
        response = ask(url, "/read", deployment.bearer("read"))
        assert (response.status, response.json()) == (200, {"client_id": deployment.caller["client_id"]})

    def test_an_included_scope_counts(self, deployment: Deployment, url: str) -> None:
        """Who may write may read."""
        assert ask(url, "/read", deployment.bearer("write")).status == 200

    def test_what_is_open_needs_no_token(self, url: str) -> None:
        """The health check is for anybody."""
        assert ask(url, "/health").status == 200

    def test_without_a_token_the_challenge_names_no_error(self, url: str) -> None:
        """RFC 6750 §3.1, RFC 9728 §5.1: who sent nothing is told the scheme, and where the resource is described."""
        for headers in ({}, {"Authorization": "Basic Zm9vOmJhcg=="}):
            response = ask(url, "/read", headers)
            assert (response.status, response.headers["www-authenticate"]) == (401, f"Bearer {POINTER}")
            assert response.headers["cache-control"] == "no-store"
            assert response.headers["content-type"] == "application/json"

    @pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é", "a,b", "ey" * 20_000])
    def test_a_bad_token_is_401(self, url: str, token: str) -> None:
        """Whatever is sent for a token, the answer is the same, and no failure of the application's."""
        response = ask(url, "/read", {"Authorization": f"Bearer {token}"})
        if len(token) > 8192 and response.status in (400, 431):
            return  # the HTTP server has its own limit
        assert (response.status, response.json()["error"]) == (401, "invalid_token")
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith('Bearer error="invalid_token", error_description="')
        assert challenge.endswith(POINTER)

    def test_a_token_for_another_audience_is_401(self, deployment: Deployment, url: str) -> None:
        """A token of the same issuer for another service does not do."""
        server = deployment.server
        token = server.token(server.create_client())
        assert claims_of(token)["aud"] != RESOURCE
        assert ask(url, "/read", {"Authorization": f"Bearer {token}"}).status == 401

    def test_too_little_scope_is_403_and_names_what_is_missing(self, deployment: Deployment, url: str) -> None:
        """RFC 6750 §3.1: the challenge holds the scope that would do."""
        response = ask(url, "/write", deployment.bearer("read"))
        assert (response.status, response.json()["error"]) == (403, "insufficient_scope")
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
        assert 'scope="write"' in response.headers["www-authenticate"]
        assert response.headers["www-authenticate"].endswith(POINTER)

    def test_one_of_several_scopes_can_be_asked_for(self, deployment: Deployment, url: str) -> None:
        """Any of them lets in; without any the challenge names all."""
        assert ask(url, "/any", deployment.bearer("write")).status == 200
        response = ask(url, "/any", deployment.bearer("read"))
        assert response.status == 403
        assert 'scope="admin write"' in response.headers["www-authenticate"]

    def test_a_revoked_token_is_401(self, deployment: Deployment, url: str) -> None:
        """What the authorization server has revoked gets no further here, though it would hold for an hour."""
        bearer = deployment.bearer("read")
        assert ask(url, "/read", bearer).status == 200
        deployment.revoke(bearer)
        wait_for(lambda: ask(url, "/read", bearer).status == 401, "the revocation", seconds=5)

    def test_a_token_in_the_query_is_400(self, deployment: Deployment, url: str) -> None:
        """RS-06: alone, escaped or beside the header."""
        bearer = deployment.bearer("read")
        for query in ("access_token=x", "a=b&access%5Ftoken=x"):
            for headers in ({}, bearer):
                response = ask(url, f"/read?{query}", headers)
                assert (response.status, response.json()["error"]) == (400, "invalid_request")
        assert ask(url, "/read?token=access_token", bearer).status == 200

    def test_a_token_in_the_form_is_400(self, deployment: Deployment, url: str) -> None:
        """RS-06: beside the one in the header, wherever it stands in the form, and in however many parts that comes."""
        headers = deployment.bearer("read") | {"Content-Type": f"{FORM}; charset=utf-8"}
        for body in (b"access_token=x", b"a=b&access%5ftoken=x", b"a=" + b"b" * 60_000 + b"&access_token=x"):
            response = ask(url, "/form", headers, method="POST", body=body)
            assert (response.status, response.json()["error"]) == (400, "invalid_request")

    def test_a_token_in_the_form_alone_is_401(self, url: str) -> None:
        """RS-06, RFC 6750 §3.1: it is refused as one that is missing, and no error is named."""
        response = ask(url, "/form", {"Content-Type": FORM}, method="POST", body=b"access_token=x")
        assert (response.status, response.headers["www-authenticate"]) == (401, f"Bearer {POINTER}")

    def test_the_token_in_the_header_is_judged_before_the_form(self, deployment: Deployment, url: str) -> None:
        """RS-06: what is wrong with it is the answer, whatever is in the form."""
        for headers, status in (({"Authorization": "Bearer a.b.c"}, 401), (deployment.bearer("admin"), 403)):
            response = ask(url, "/form", headers | {"Content-Type": FORM}, method="POST", body=b"access_token=x")
            assert response.status == status

    @pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 2, 64 * 1024, 300_000])
    def test_a_form_without_a_token_arrives_whole(self, deployment: Deployment, url: str, size: int) -> None:
        """RS-06: the application reads what was looked at, and what came after it."""
        headers = deployment.bearer("read") | {"Content-Type": FORM}
        body = b"a=" + b"b" * size
        response = ask(url, "/form", headers, method="POST", body=body)
        assert (response.status, response.body) == (200, body)

    def test_another_body_is_left_alone(self, deployment: Deployment, url: str) -> None:
        """Only a form has parameters."""
        headers = deployment.bearer("read") | {"Content-Type": "text/plain"}
        response = ask(url, "/form", headers, method="POST", body=b"access_token=x")
        assert (response.status, response.body) == (200, b"access_token=x")

    @pytest.mark.parametrize("suffix", ["", "/orders"])
    def test_the_resource_describes_itself(self, deployment: Deployment, url: str, suffix: str) -> None:
        """RFC 9728 §3: under the resource's own path, and without it for a service that does not see that path."""
        response = ask(url, f"/.well-known/oauth-protected-resource{suffix}")
        assert (response.status, response.headers["content-type"]) == (200, "application/json")
        assert response.json() == {
            "resource": RESOURCE,
            "authorization_servers": [deployment.server.url],
            "scopes_supported": ["admin", "read", "write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Orders",
        }
        head = ask(url, f"/.well-known/oauth-protected-resource{suffix}", method="HEAD")
        assert (head.status, head.body) == (200, b"")

    def test_other_well_known_paths_are_the_applications(self, url: str) -> None:
        """What only looks like the description is none."""
        assert ask(url, "/.well-known/oauth-protected-resource/other").status in (401, 404)

    def test_while_the_authorization_server_is_away_nobody_is_let_in(self, deployment: Deployment) -> None:
        """503 with Retry-After for a token that nobody can judge, 401 without one; then the server is back."""
        bearer = deployment.bearer("read")
        with deployment.detour() as (document, appear), self.served(deployment, document) as url:
            response = ask(url, "/read", bearer)
            assert (response.status, response.json()["error"]) == (503, "temporarily_unavailable")
            assert response.headers["retry-after"] == "1"
            assert ask(url, "/read").status == 401
            assert ask(url, "/health").status == 200
            appear()
            wait_for(lambda: ask(url, "/read", bearer).status == 200, "the authorization server")
