"""Forward-auth behind a real nginx and a real Caddy, set up as docs/forward-auth.md says."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import proxies
from tests.conformance.proxies import PROGRAMS, Proxy, proxy, service
from tests.server import API, RunningServer, free_port

OTHER_API = "https://other.example.com"
IDENTITY = ("x-auth-client-id", "x-auth-subject", "x-auth-scope", "x-auth-workspace")

pytestmark = [
    pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.skipif(program is None, reason=f"{name} is not installed"))
            for name, program in PROGRAMS.items()
        ],
    )
]


@dataclass(frozen=True)
class Site:
    """A service behind each of the proxies, and who may use it."""

    proxies: dict[str, Proxy]
    server: RunningServer
    client: dict[str, Any]

    def bearer(self, scope: str = "read") -> tuple[str, str]:
        """Return the header with a new token."""
        return ("Authorization", f"Bearer {self.server.token(self.client, scope=scope)}")


@pytest.fixture(scope="module")
def site(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run every proxy that is installed before one service; `read` is what it asks for."""
    server.create_resource(API)
    client = server.create_client()
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(service())
        running = {
            name: stack.enter_context(proxy(name, tmp_path_factory.mktemp(name), authserver=server.port, service=port))
            for name, program in PROGRAMS.items()
            if program is not None
        }
        yield Site(running, server, client)


def identity(fields: list[list[str]]) -> dict[str, str]:
    """Return all that could pass for identity at a service that takes `_` and `.` for `-`, none of it twice."""
    found = [(name, value) for name, value in fields if re.match("x[-_.]auth", name)]
    assert len(dict(found)) == len(found), found
    return dict(found)


def test_no_token(site: Site, name: str) -> None:
    """No token is 401 with the challenge that RFC 6750 §3.1 has for it, and nothing reaches the service."""
    reply = site.proxies[name].request("GET", "/orders/1")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == ['Bearer realm="authserver"']


@pytest.mark.parametrize("value", ["Bearer bad", "Bearer ", "Bearer a, Bearer b", "Basic YTpi", "bearer a.b.c"])
def test_bad_token(site: Site, name: str, value: str) -> None:
    """A bad token, an empty one and another scheme are 401."""
    reply = site.proxies[name].request("GET", "/orders/1", ("Authorization", value))
    assert reply.status == 401
    assert reply.headers["www-authenticate"][0].startswith('Bearer realm="authserver"')


def test_good_token(site: Site, name: str) -> None:
    """A good token gets in, and the service learns who came."""
    seen = site.proxies[name].request("GET", "/orders/1?a=%2f", site.bearer("read write")).seen()
    client_id = site.client["client_id"]
    assert (seen["method"], seen["target"]) == ("GET", "/orders/1?a=%2f")
    assert identity(seen["fields"]) == dict(zip(IDENTITY, (client_id, client_id, "read write", "default"), strict=True))


def test_revoked_token(site: Site, name: str) -> None:
    """A token that was good is 401 right after its revocation was answered."""
    bearer = site.bearer()
    site.proxies[name].request("GET", "/orders/1", bearer).seen()
    assert site.server.revoke(bearer[1].removeprefix("Bearer "), site.client).status == 200
    reply = site.proxies[name].request("GET", "/orders/1", bearer)
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == ['Bearer realm="authserver", error="invalid_token"']


def test_wrong_scope(site: Site, name: str) -> None:
    """A token without the scope is 403, and the challenge names what is missing (RFC 6750 §3.1)."""
    reply = site.proxies[name].request("GET", "/orders/1", site.bearer("write"))
    assert reply.status == 403
    assert reply.headers["www-authenticate"] == ['Bearer realm="authserver", error="insufficient_scope", scope="read"']


@pytest.mark.parametrize(
    "spelling",
    [
        *(str, str.lower, str.upper),
        *(lambda header: header.replace("-", "_"), lambda header: header.replace("-", ".")),
        *(lambda header: header.replace("-", ".", 1), lambda header: header.replace("h-", "h.")),
    ],
)
def test_a_client_cannot_say_who_it_is(site: Site, name: str, spelling: Any) -> None:
    """What a client writes into the identity headers, in any spelling, does not reach the service."""
    headers = ("X-Auth-Client-Id", "X-Auth-Subject", "X-Auth-Scope", "X-Auth-Workspace")
    forged = [(spelling(header), "forged") for header in headers]
    assert site.proxies[name].request("GET", "/orders/1", *forged).status == 401
    seen = site.proxies[name].request("GET", "/orders/1", *forged, site.bearer()).seen()
    assert identity(seen["fields"])["x-auth-client-id"] == site.client["client_id"]
    assert "forged" not in str(seen)


@pytest.mark.parametrize(
    "nominated",
    [
        ["close, X-Auth-Client-Id, X-Auth-Scope"],
        ["close", "x-auth-subject"],
        ["keep-alive,X_AUTH_CLIENT_ID"],
        ["X-Auth-Workspace"],
    ],
)
def test_a_client_cannot_have_its_name_removed(site: Site, name: str, nominated: list[str]) -> None:
    """RFC 9110 §7.6.1: what `Connection` nominates is removed on the way, but never who calls."""
    fields = [("Connection", value) for value in nominated]
    reply = site.proxies[name].request("GET", "/orders/1", *fields, site.bearer())
    assert reply.status == 400 or set(identity(reply.seen()["fields"])) == set(IDENTITY)


def test_other_connection_options(site: Site, name: str) -> None:
    """Clients may name what they like of their own connection."""
    fields = (("Connection", "close, TE"), ("TE", "trailers"))
    assert set(identity(site.proxies[name].request("GET", "/orders/1", *fields, site.bearer()).seen()["fields"])) == {
        *IDENTITY
    }


def test_a_body_reaches_the_service(site: Site, name: str) -> None:
    """The question goes without the body, which then reaches the service whole."""
    body = b"a body " * 20_000
    seen = (
        site.proxies[name].request("POST", "/orders", site.bearer(), ("Content-Type", "text/plain"), body=body).seen()
    )
    assert (seen["method"], seen["body"].encode()) == ("POST", body)


@pytest.mark.parametrize("header", ["X-Forwarded-Method", "X-Forwarded-Uri", "X-Original-Method", "X-Original-URI"])
def test_a_client_cannot_say_what_it_asks(site: Site, name: str, header: str) -> None:
    """The proxy says what the original request was; what the client says of it changes nothing."""
    site.proxies[name].request("GET", "/orders/1", (header, "/public"), site.bearer()).seen()
    assert site.proxies[name].request("GET", "/orders/1", (header, "/public")).status == 401


def test_two_tokens(site: Site, name: str) -> None:
    """RS-06: a token in the header and another in the query is let in nowhere."""
    bearer = site.bearer()
    token = bearer[1].removeprefix("Bearer ")
    for target in (f"/orders/1?access_token={token}", f"/orders/1?a=b&access%5ftoken={token}"):
        assert site.proxies[name].request("GET", target, bearer).status in {400, 503}
        assert site.proxies[name].request("GET", target).status == 401
    assert site.proxies[name].request("GET", "/orders/1", bearer, bearer).status in {400, 503}


@contextlib.contextmanager
def asking(site: Site, name: str, directory: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> Iterator[Proxy]:
    """Run a proxy as the page has it, but for what it asks: `address`."""
    page = directory / "page.md"
    page.write_text(proxies.PAGE.read_text().replace(f"/forward-auth?scope=read&resource={API}", address))
    monkeypatch.setattr(proxies, "PAGE", page)
    with service() as port, proxy(name, directory, authserver=site.server.port, service=port) as running:
        yield running


@pytest.mark.parametrize("address", ["/forward-auth", "/forward-auth?"])
def test_a_client_cannot_choose_the_resource(
    site: Site, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """RS-02: Caddy hands the client's query on where it is told none; a token for another audience never gets in."""
    stranger = site.server.create_client(audiences=[OTHER_API])
    bearer = ("Authorization", f"Bearer {site.server.token(stranger)}")
    with asking(site, name, tmp_path, monkeypatch, address) as running:
        for query in ("", f"?resource={OTHER_API}", f"?resource={OTHER_API}#a", f"?resource={OTHER_API}&a=b"):
            assert running.request("GET", f"/orders/1{query}", bearer).status in {400, 401, 503}
        running.request("GET", "/orders/1", site.bearer()).seen()


def test_no_parameters(site: Site, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that asks `/forward-auth?` leaves the client its query."""
    with asking(site, name, tmp_path, monkeypatch, "/forward-auth?") as running:
        for query in ("?page=2", "?resource=a", "?scope=", "?"):
            seen = running.request("GET", f"/orders/1{query}", site.bearer("write")).seen()
            assert seen["target"].rstrip("?") == f"/orders/1{query}".rstrip("?")


def test_the_server_is_away(name: str, tmp_path: Path) -> None:
    """Nobody is let in while nobody can be asked, and the caller hears of an outage, not of a fault of his own."""
    with service() as port, proxy(name, tmp_path, authserver=free_port(), service=port) as running:
        reply = running.request("GET", "/orders/1", ("Authorization", "Bearer whatever"))
        assert reply.status in {502, 503}
