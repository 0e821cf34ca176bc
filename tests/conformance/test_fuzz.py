"""One fuzz test for each endpoint over one connection that stays open: never a 5xx, never a traceback (U1, U2)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.admin.operation import Operation
from authserver.admin.routes import OPERATIONS
from tests.server import API, FORM, RunningServer, basic, credentials

FORM_PATHS = ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/authorize"]
QUERY_PATHS = ["/oauth2/revocations", "/oauth2/verifier-config"]
QUERY_FIELDS = ("after", "jwks", "wait", "resource")
SERVED = "https://served.example.com"
PLAIN_PATHS = [
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
]
FORM_FIELDS = [
    *("grant_type", "scope", "resource", "audience", "client_id", "client_secret", "token", "token_type_hint"),
    *("client_assertion", "client_assertion_type", "response_type", "redirect_uri", "state"),
]
BODY_FIELDS = sorted({name for o in OPERATIONS if o.description.request for name in o.description.request.model_fields})
PATH_PARAMETERS = ("client_id", "credential_id", "resource_id", "kid")


class Talk:
    """A connection that stays open, and the start of what the server has logged since."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self.client = server.create_client(client_id="known")
        server.create_resource(SERVED, resource_servers=["known"])
        self.token = server.token(self.client)

    def ask(self, method: str, target: str, body: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Send one request, and assert that its answer is one that may be seen."""
        self.connection.putrequest(method, target)
        for name, value in headers:
            self.connection.putheader(name, value)
        self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body)
        response = self.connection.getresponse()
        answer = response.read()
        assert response.status < 500, (response.status, answer)
        if response.status >= 400 and method != "HEAD":
            assert answer.isascii()
            assert json.loads(answer)["error"]
            assert response.getheader("cache-control") == "no-store"
            assert response.getheader("x-content-type-options") == "nosniff"

    def assert_quiet(self) -> None:
        """Assert that the log has neither a failure nor a traceback."""
        log = self.server.log()
        assert '"event":"request"' in log
        for word in ("Traceback", "request.failed", '"level":"error"', "library.message"):
            assert word not in log


@pytest.fixture(scope="module")
def talk(server: RunningServer) -> Iterator[Talk]:
    """Yield one connection for all tests of this module."""
    talk = Talk(server)
    yield talk
    talk.connection.close()


def text_like(*examples: str) -> st.SearchStrategy[bytes]:
    """Return bytes: examples, text of any alphabet, or anything at all."""
    return st.sampled_from([example.encode() for example in examples]) | (
        st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=30)
    )


values = text_like(
    "client_credentials", "read", "read write", API, "known", "a" * 2000, "", " ", "access_token", "%", "+"
)
pairs = st.tuples(st.sampled_from([name.encode() for name in FORM_FIELDS]) | st.binary(max_size=10), values)
forms = st.lists(pairs, max_size=8).map(
    lambda fields: b"&".join(
        quote_from_bytes(name).encode() + b"=" + quote_from_bytes(v).encode() for name, v in fields
    )
)
bodies = forms | st.binary(max_size=300)
queries = st.just("") | st.binary(max_size=20).map(lambda query: "?" + quote_from_bytes(query, safe="=&%;"))
header_bytes = st.binary(max_size=40).map(lambda value: bytes(byte for byte in value if byte >= 32 and byte != 127))
types = st.sampled_from([FORM.encode(), FORM.encode() + b"; charset=utf-8", b"application/json"]) | header_bytes
headers = st.lists(
    st.tuples(
        st.sampled_from(["Accept", "Origin", "X-Forwarded-For", "Cookie", "If-Match", "Content-Encoding", "DPoP"]),
        header_bytes,
    ),
    max_size=2,
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([API, "all"])
json_values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3), max_leaves=8
)
documents = st.dictionaries(st.sampled_from(BODY_FIELDS) | st.text(max_size=8), json_values, max_size=5) | json_values
json_bodies = documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=200)
ids = st.sampled_from([b"known", b"nobody", b"res_admin"]) | st.binary(min_size=1, max_size=20)


def authorizations(talk: Talk) -> Mapping[str, bytes | None]:
    """Return Authorization values by name: none, good ones and nearly good ones."""
    return {
        "none": None,
        "good": basic(*credentials(talk.client)).encode(),
        "wrong": basic("known", "wrong").encode(),
        "bearer": f"Bearer {talk.token}".encode(),
        "half": b"Basic ",
    }


@pytest.mark.parametrize("path", FORM_PATHS)
def test_fuzz_forms(talk: Talk, path: str) -> None:
    """U1, U2: whatever is posted to an OAuth endpoint, with whatever credentials, is answered below 500."""
    known = authorizations(talk)

    @given(
        body=bodies,
        query=queries,
        content_type=types,
        authorization=st.sampled_from(sorted(known)) | header_bytes,
        more=headers,
        with_token=st.booleans(),
    )
    def run(*, body: bytes, query: str, content_type: bytes, authorization: Any, more: Any, with_token: bool) -> None:
        value = known[authorization] if isinstance(authorization, str) else authorization
        sent = [("Content-Type", content_type), *more, *([("Authorization", value)] if value is not None else [])]
        token = f"&token={talk.token[:-5]}".encode() if with_token else b""
        talk.ask("POST", path + query, body + token, sent)

    run()
    talk.assert_quiet()


@pytest.mark.parametrize("path", QUERY_PATHS)
def test_fuzz_queries(talk: Talk, path: str) -> None:
    """U1, U2: whatever a resource server asks with is answered below 500."""
    known = authorizations(talk)
    parameters = st.tuples(st.sampled_from(QUERY_FIELDS), values | st.just(SERVED.encode()))

    @given(
        pairs=st.lists(parameters, max_size=3),
        query=queries,
        authorization=st.sampled_from(["good", "good", *sorted(known)]) | header_bytes,
        more=headers,
    )
    def run(*, pairs: list[tuple[str, bytes]], query: str, authorization: Any, more: Any) -> None:
        value = known[authorization] if isinstance(authorization, str) else authorization
        sent = [*more, *([("Authorization", value)] if value is not None else [])]
        asked = "?" + "&".join(f"{name}={quote_from_bytes(v)}" for name, v in pairs)
        talk.ask("GET", path + (asked if pairs else query), b"", sent)

    run()
    talk.assert_quiet()


def test_fuzz_forward_auth(talk: Talk) -> None:
    """U1, U2: whatever a proxy asks, whatever it says of the original request, is answered below 500."""
    known = authorizations(talk)
    targets = st.sampled_from([b"/orders/1", b"/orders?access_token=x", b"/%2e%2e/a", b"GET"]) | header_bytes
    original = st.tuples(
        st.sampled_from(["X-Original-Method", "X-Original-URI", "X-Forwarded-Method", "X-Forwarded-Uri"]), targets
    )
    parameters = st.tuples(st.sampled_from(["scope", "any_scope", "resource", "claims"]), values)

    @given(
        method=st.sampled_from(["GET", "GET", "HEAD", "POST", "DELETE"]),
        below=st.just("") | st.binary(max_size=20).map(lambda path: "/" + quote_from_bytes(path, safe="/%.;")),
        pairs=st.lists(parameters, max_size=3),
        query=queries,
        authorization=st.sampled_from(["bearer", "bearer", *sorted(known)]) | header_bytes,
        more=st.lists(original, max_size=3) | headers,
    )
    def run(*, method: str, below: str, pairs: Any, query: str, authorization: Any, more: Any) -> None:
        value = known[authorization] if isinstance(authorization, str) else authorization
        sent = [*more, *([("Authorization", value)] if value is not None else [])]
        asked = "?" + "&".join(f"{name}={quote_from_bytes(v)}" for name, v in pairs)
        talk.ask(method, f"/forward-auth{below}" + (asked if pairs else query), b"", sent)

    run()
    talk.assert_quiet()


@pytest.mark.parametrize("path", [*PLAIN_PATHS, "/oauth2/authorize"])
def test_fuzz_plain(talk: Talk, path: str) -> None:
    """U1, U2: whatever is asked of metadata, keys, health, metrics and the description is answered below 500."""

    @given(method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]), body=bodies, query=queries, more=headers)
    def run(*, method: str, body: bytes, query: str, more: Any) -> None:
        talk.ask(method, path + query, body, more)

    run()
    talk.assert_quiet()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.description.method} {o.description.path}")
def test_fuzz_administration(talk: Talk, operation: Operation) -> None:
    """U1, U2: whatever is sent to an operation of the management API by who may do all is answered below 500."""
    good = f"Bearer {talk.server.admin_token}".encode()

    @given(
        body=json_bodies,
        query=st.just("") | queries,
        value=ids,
        authorization=st.just(good) | header_bytes,
        content_type=st.just(b"application/json") | header_bytes,
        more=headers,
    )
    def run(*, body: bytes, query: str, value: bytes, authorization: bytes, content_type: bytes, more: Any) -> None:
        path = operation.description.path
        for name in PATH_PARAMETERS:
            path = path.replace(f"{{{name}}}", quote_from_bytes(value))
        sent = [("Authorization", authorization), ("Content-Type", content_type), *more]
        talk.ask(operation.description.method, path + query, body, sent)

    run()
    talk.assert_quiet()


@given(path=st.binary(max_size=60).map(lambda path: "/" + quote_from_bytes(path, safe="/%.;:@!$&'()*+,=~")))
def test_fuzz_paths(talk: Talk, path: str) -> None:
    """HTTP-10, U1: whatever path is asked for is answered below 500."""
    talk.ask("GET", path, b"", [])
