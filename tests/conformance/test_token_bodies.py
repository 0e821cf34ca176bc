"""What the token endpoint reads as a body, and how much of it: section TOK of the catalogue (RFC 6749 appendix B)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.expectations import (
    assert_not_logged,
    assert_refused,
    assert_unauthenticated,
    send_large_form,
    send_raw,
)
from tests.server import FORM, RunningServer, basic, credentials, start_server

PATH = "/oauth2/token"
GRANT = b"grant_type=client_credentials"
REPLACEMENT = "\ufffd"
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server whose temporary files have a directory of their own."""
    data_dir = tmp_path_factory.mktemp("server")
    (data_dir / "temporary").mkdir()
    with start_server(data_dir, AUTHSERVER_LOG_LEVEL="debug", TMPDIR=str(data_dir / "temporary")) as running:
        yield running


def _temporary(server: RunningServer) -> Path:
    return server.data_dir / "temporary"


@pytest.fixture(scope="module")
def client(server: RunningServer) -> dict[str, Any]:
    """Return a client with the scopes `read write`."""
    return server.create_client()


def _post(server: RunningServer, client: Mapping[str, Any], body: bytes, *content_types: str) -> Any:
    """Post a body with any number of Content-Type headers."""
    lines = [
        f"POST {PATH} HTTP/1.1",
        "Host: as.example",
        f"Authorization: {basic(*credentials(client))}",
        f"Content-Length: {len(body)}",
        *(f"Content-Type: {content_type}" for content_type in content_types),
    ]
    return send_raw(server, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream", "*/*", "form"])
def test_only_a_form_is_read(server: RunningServer, client: Mapping[str, Any], content_type: str) -> None:
    """TOK-10: a body of another type is refused unread, whatever it holds."""
    assert_refused(_post(server, client, GRANT, content_type), 400, "invalid_request")


def test_json_is_not_parsed(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-10: JSON is refused, valid or not."""
    for body in (json.dumps({"grant_type": "client_credentials"}).encode(), b"[" * 60_000):
        assert_refused(_post(server, client, body, "application/json"), 400, "invalid_request")


def test_a_missing_content_type_is_refused(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-10: a body without a type is refused."""
    assert_refused(_post(server, client, GRANT), 400, "invalid_request")


@pytest.mark.parametrize("size", [100, 2 * MEGABYTE])
def test_multipart_is_refused_without_a_file(server: RunningServer, client: Mapping[str, Any], size: int) -> None:
    """TOK-12: multipart/form-data is refused, and no part of it is written into a temporary file."""
    before = _temporary(server).stat().st_mtime_ns
    parts = b'--b\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\nclient_credentials\r\n'
    parts += b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"x" * size + b"\r\n--b--\r\n"
    response = _post(server, client, parts, "multipart/form-data; boundary=b")
    assert_refused(response, 400 if size < MEGABYTE else 413, "invalid_request")
    assert _temporary(server).stat().st_mtime_ns == before


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', " utf-8"])
def test_utf8_may_be_said(server: RunningServer, client: Mapping[str, Any], charset: str) -> None:
    """TOK-13: the charset that the form has anyway is accepted."""
    assert _post(server, client, GRANT, f"{FORM}; charset={charset}").status == 200
    assert _post(server, client, GRANT, f"{FORM.upper()};charset={charset}").status == 200


@pytest.mark.parametrize("parameters", ["charset=utf-16", "charset=utf-7", "charset=", "charset", "boundary=b"])
def test_no_other_charset_is_read(server: RunningServer, client: Mapping[str, Any], parameters: str) -> None:
    """TOK-13: a form in another charset is refused, not guessed at."""
    encoded = GRANT.decode().encode("utf-16") if "utf-16" in parameters else GRANT
    assert_refused(_post(server, client, encoded, f"{FORM}; {parameters}"), 400, "invalid_request", parameters)


@pytest.mark.parametrize("types", [(FORM, "application/json"), ("application/json", FORM), (FORM, FORM)])
def test_two_content_types_are_refused(server: RunningServer, client: Mapping[str, Any], types: list[str]) -> None:
    """TOK-14: two parsers must not be able to read two bodies out of one."""
    assert_refused(_post(server, client, GRANT, *types), 400, "invalid_request")


@pytest.fixture(scope="module")
def replaced(server: RunningServer) -> Iterator[dict[str, Any]]:
    """Return a client whose secret holds the character that careless decoders put in place of a bad byte."""
    secret = f"{REPLACEMENT}{REPLACEMENT}-long-enough-0123"
    yield server.create_client(
        client_id=f"caf{REPLACEMENT}", client_secret=secret, token_endpoint_auth_method="client_secret_post"
    )
    assert_not_logged(server, secret)


@pytest.mark.parametrize("start", ["%ff%fe", "%FF%FE", "%EF%BF%BD%ff", "%ed%a0%80%ed%b0%80"])
def test_bytes_that_are_no_utf8_match_nothing(server: RunningServer, replaced: Mapping[str, Any], start: str) -> None:
    """TOK-15: bytes that are no UTF-8 are never replaced by U+FFFD, so two secrets cannot become one."""
    body = f"{GRANT.decode()}&client_id=caf%EF%BF%BD&client_secret={start}-long-enough-0123"
    assert_unauthenticated(server.form(PATH, body), "long-enough", challenge=False)
    right = body.replace(start, "%EF%BF%BD%EF%BF%BD")
    assert server.form(PATH, right).status == 200


def test_an_id_that_is_no_utf8_matches_nothing(server: RunningServer, replaced: Mapping[str, Any]) -> None:
    """TOK-15: the same holds for the client id; elsewhere such bytes make the request malformed."""
    body = f"{GRANT.decode()}&client_id=caf%ff&client_secret=%EF%BF%BD%EF%BF%BD-long-enough-0123"
    assert_unauthenticated(server.form(PATH, body), challenge=False)
    for field in ("scope=%ff", "foo=%ff", "%ff=1", "resource=%ff"):
        response = server.form(PATH, f"{GRANT.decode()}&{field}", ("nobody", "nothing"))
        assert_refused(response, 400, "invalid_request")


def test_raw_bytes_in_the_body_are_refused(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-15: a form is ASCII (appendix B): bytes above it that were not escaped are no form."""
    for more in (b"&x=\xff", b"&x=\xc3\xa9", b"&client_id=\xc3\xa9"):
        assert_refused(server.form(PATH, GRANT + more, credentials(client)), 400, "invalid_request")


@pytest.mark.parametrize("client_id", ["a%00b", "%00", "a%0Ab", "a%1B%5B31mb", "%C2%85", "%E2%80%AE"])
def test_a_client_id_with_control_characters_is_unknown(server: RunningServer, client_id: str) -> None:
    """TOK-16: a NUL or another character that no id has reaches neither database nor terminal."""
    response = server.form(PATH, GRANT.decode() + f"&client_id={client_id}&client_secret=x")
    assert_unauthenticated(response, challenge=False)
    assert "\x1b" not in server.log()


def _head(*lines: str) -> bytes:
    return "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: as.example", f"Content-Type: {FORM}", *lines, "", ""]).encode()


def _chunked(size: int) -> bytes:
    piece = b"a" * 65536
    return b"".join(b"10000\r\n" + piece + b"\r\n" for _ in range(size // len(piece))) + b"0\r\n\r\n"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_huge_body_is_cut_off(server: RunningServer, is_chunked: bool) -> None:  # noqa: FBT001
    """TOK-18: 20 MB are refused and the connection closed after the cap, without growing in memory."""
    size = 20 * MEGABYTE
    if is_chunked:
        request = _head("Transfer-Encoding: chunked") + _chunked(size)
    else:
        request = _head(f"Content-Length: {size}") + b"a" * size
    assert_refused(send_raw(server, request), 413, "invalid_request")
    before = server.rss_bytes()
    responses = [send_raw(server, request) for _ in range(3)]
    assert [response.headers["connection"] for response in responses] == ["close"] * 3
    assert server.rss_bytes() - before < MEGABYTE


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1])
def test_the_cap_is_64_kilobytes(server: RunningServer, client: Mapping[str, Any], size: int) -> None:
    """TOK-18: a body of exactly 64 KB is read, one byte more is refused, however it comes."""
    body = (GRANT + b"&x=").ljust(size, b"a")
    expected = 200 if size == 64 * 1024 else 413
    assert server.form(PATH, body, credentials(client)).status == expected
    authorization = f"Authorization: {basic(*credentials(client))}"
    chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    assert send_raw(server, _head(authorization, "Transfer-Encoding: chunked") + chunk).status == expected


def test_the_number_of_fields_is_bounded(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-18: 64 parameters are read, 65 are not."""
    fields = "".join(f"&x{number}=1" for number in range(63))
    assert server.form(PATH, GRANT.decode() + fields, credentials(client)).status == 200
    response = server.form(PATH, GRANT.decode() + fields + "&y=1", credentials(client))
    assert_refused(response, 400, "invalid_request")


def test_a_huge_scope_costs_nothing(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-19: the length of a scope is judged before its content: many names cost about as much as one."""
    short, many = {"scope": "nope"}, {"scope": " ".join(f"s{n}" for n in range(9000))}
    assert_refused(server.token_response(client, **many), 400, "invalid_scope", "s17")
    assert _cpu_seconds(server, client, **many) < _cpu_seconds(server, client, **short) + 0.005
    larger = f"{GRANT.decode()}&scope={'s+' * 50_000}"
    assert_refused(send_large_form(server, PATH, larger, basic(*credentials(client))), 413, "invalid_request")


def _cpu_seconds(server: RunningServer, client: Mapping[str, Any], **fields: str) -> float:
    """Return the server's processor time for one such request, of 20 in a row."""

    def spent() -> float:
        user, system = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / 100

    start = spent()
    for _ in range(20):
        assert server.token_response(client, **fields).status == 400
        time.sleep(0)
    return (spent() - start) / 20


def test_the_number_of_scopes_is_bounded(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-19: at most 100 names of 4,096 characters in all; a repeated one counts once."""
    assert server.token_response(client, scope=" ".join(["read"] * 500)).json()["scope"] == "read"
    names = [f"s{number}" for number in range(101)]
    wide = server.create_client(scope=" ".join(names[:100]))
    assert server.token_response(wide, scope=" ".join(names[:100])).status == 200
    assert_refused(server.token_response(wide, scope=" ".join(names)), 400, "invalid_scope")
