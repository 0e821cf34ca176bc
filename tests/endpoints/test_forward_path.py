"""Paths at forward-auth: no spelling of what is denied gets through a rule that allows something else (HTTP-10)."""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authserver.core.errors import AccessDenied
from authserver.endpoints.forward_path import MAX_PATH_CHARACTERS, plain_path
from authserver.endpoints.forward_rules import Rule, parse_rules

RULES = parse_rules(
    json.dumps(
        {
            "rules": [
                {"methods": ["*"], "path": "/public/secret", "scope": "admin"},
                {"methods": ["*"], "path": "/public/clé", "scope": "admin"},
                {"methods": ["*"], "path": "/public/**", "anonymous": True},
                {"methods": ["*"], "path": "/orders/*", "scope": "read"},
            ]
        }
    )
)


@pytest.mark.parametrize(
    "path",
    [
        *("", "*", "a", "http://h/public/a", "//public/a", "/public//a", "/public/a//", "///"),
        *("/public/.", "/public/..", "/public/../admin", "/public/./a", "/./public/a", "/public/a/.."),
        *("/public/%2e%2e/admin", "/public/.%2E/admin", "/public/%2e/a", "/public/a%2eb"),
        *("/public/..%2fadmin", "/public%2Fa", "/public/..%5cadmin", "/public\\..\\admin", "/public/a%5C"),
        *("/public/a%00", "/public/%00/a", "/public/a%0d%0aX:1", "/public/%7f", "/public/%c2%80", "/public/%1b[31m"),
        *("/public/;/../admin", "/public;a=b/c", "/public/..;/admin", "/public/a%3bb", "/public/a%3Bb"),
        *("/public/%252e%252e/admin", "/public/%25", "/public/%", "/public/%2", "/public/%zz", "/public/%u002e"),
        *("/public/a%3fb", "/public/a%23b", "/public/a#/../../admin", "/public/a b", "/public/\x00", "/public/é"),
        *("/public/%ff", "/public/%c0%ae%c0%ae/admin", "/public/%c0%af", "/public/%e0%80%af", "/public/%ed%a0%80"),
        *("/public/%ef%bc%8f..", "/public/%ef%bc%8e%ef%bc%8e/a", "/public/%e2%80%a5", "/public/%ef%bc%bc"),
        *("/public/%e2%80%8b", "/public/%e2%80%ae", "/public/%ef%bb%bf", "/public/%e2%80%a8"),
        *("/public/cle%cc%81", "/public/e%CC%A7%CC%81", "/public/a%cc%81/b", "/public/%e2%84%aa", "/public/%cd%b4"),
        "/public/" + "a" * MAX_PATH_CHARACTERS,
    ],
)
def test_paths_of_two_readings_are_refused(path: str) -> None:
    """HTTP-10: what another program could read in another way is refused, not repaired."""
    with pytest.raises(AccessDenied):
        plain_path(path)


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("/", ""),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/a.b/.c/...", "/a.b/.c/..."),
        ("/%61%20b", "/a b"),
        ("/%C3%A9", "/é"),
        ("/%C8%A9%CC%81", "/\u0229\u0301"),
        ("/~a!$&'()*+,=:@_-", "/~a!$&'()*+,=:@_-"),
    ],
)
def test_plain_paths(raw: str, plain: str) -> None:
    """An honest path is decoded once, and loses the slash at its end."""
    assert plain_path(raw) == plain


def granted(raw: str) -> Rule | None:
    """Return the rule that lets a path through."""
    with contextlib.suppress(AccessDenied):
        return RULES.find("GET", raw, None)
    return None


def readings(raw: str) -> set[str]:
    """Return what careless services may make of a path, in any order of their mistakes."""
    seen: set[str] = set()
    waiting = [raw.partition("?")[0]]
    while waiting and len(seen) < 300:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting += [
            unquote(path, errors="replace"),
            unquote(path, encoding="latin-1"),
            unicodedata.normalize("NFC", path),
            path.replace("\\", "/"),
            re.sub(r";[^/]*", "", path),
            re.sub(r"/+", "/", path),
            posixpath.normpath(path) if path.startswith("/") else path,
            path.partition("\x00")[0],
            path.partition("#")[0],
            path.partition("?")[0],
            path.rstrip("/") or "/",
        ]
    return seen


PIECES = st.sampled_from([
    "/", "//", "public", "secret", "orders", "admin", ".", "..", "./", "../", "%2e", "%2E", "%2f", "%2F", "%5c", "\\",
    ";", ";a=b", "%3b", "%00", "%25", "%252e", "%252f", "%c0%ae", "%c0%af", "%ef%bc%8f", "%70ublic", "%73ecret", "?",
    "#", "%23", "%3f", "%20", "%0a", "a", "1", "*", "+", "é", "%", "%u002f", "%C3%A9", "cl", "e%CC%81", "%CC%81",
])  # fmt: skip
SEGMENTS = st.sampled_from([
    "..", "%2e%2e", ".%2E", "%252e%252e", "..;", "..;a", "..%3b", "..%5c..", "%5c", "..%00", ".", "%2e", "", "a",
    "admin", "secret", "%73ecret", "secret%3ba", "secret;", "secret%00", "secret%23", "secret%3f", "%c0%ae%c0%ae",
    "a%2f..", "é", "cl%C3%A9", "cle%CC%81",
])  # fmt: skip
PATHS = st.lists(PIECES, max_size=12).map(lambda pieces: "/" + "".join(pieces)) | st.text(max_size=40)
BEHIND = st.sampled_from(["/public/", "/orders/", "/"])


@given(start=BEHIND, path=PATHS | st.lists(SEGMENTS, max_size=4).map("/".join))
@example(start="/public/", path="%2e%2e/admin")
@example(start="/public/", path="..%2fadmin")
@example(start="/public/", path="%252e%252e/admin")
@example(start="/public/", path="secret%3ba")
@example(start="/public/", path="..;/secret")
@example(start="/public/", path="cle%CC%81")
def test_property_no_spelling_gets_through(start: str, path: str) -> None:
    """HTTP-10: whatever a service may make of a path that was let through, the same rule lets that through."""
    raw = start + path
    rule = granted(raw)
    if rule is None:
        return
    for reading in readings(raw):
        again = granted(quote(reading, safe="/~!$&'()*+,=:@"))
        assert again is rule, (raw, reading)


@given(st.data())
def test_property_escapes_hide_nothing(data: st.DataObject) -> None:
    """HTTP-10: `/public/secret` with any of its characters escaped, in any case, needs its scope or is refused."""
    spelled = "".join(
        data.draw(st.sampled_from([character, f"%{ord(character):02x}", f"%{ord(character):02X}"]))
        for character in "/public/secret"
    )
    for raw in (spelled, spelled + "/", spelled + "?a=b", f"/public{spelled[7:]}"):
        rule = granted(raw)
        assert rule is None or rule.needs.all_of == ("admin",)


@given(raw=PATHS)
def test_fuzz_paths(raw: str) -> None:
    """U1: whatever is asked for is let through or refused, and nothing else."""
    with contextlib.suppress(AccessDenied):
        plain = plain_path(raw)
        assert not plain or (plain.startswith("/") and not plain.endswith("/"))
        assert plain.isprintable()
