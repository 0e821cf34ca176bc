"""Rules of forward-auth: which one decides, and what is wrong with a document that is none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from authserver.core.errors import AccessDenied, ConfigurationError
from authserver.endpoints.forward_rules import Rules, RulesRefused, ScopeNeeds, parse_rules
from authserver.endpoints.forward_rules_file import MAX_FILE_BYTES, read_rules

PAGE = Path(__file__).parents[2] / "docs" / "forward-auth.md"
RULE = {"methods": ["GET"], "path": "/orders/*", "scope": "read"}


def rules(*entries: dict[str, Any], **more: Any) -> Rules:
    """Return rules; each of `entries` is for GET and `read` unless it says otherwise."""
    documents = [
        {"methods": ["GET"], **({} if _DECIDES & entry.keys() else {"scope": "read"}), **entry} for entry in entries
    ]
    return parse_rules(json.dumps({"rules": documents, **more}))


_DECIDES = {"scope", "any_scope", "anonymous"}

FOLDED = rules(
    {"path": "/orders/admin/**", "scope": "admin"},
    {"path": "/users/*/keys/*", "scope": "keys"},
    {"path": "/straße", "scope": "street"},
    {"path": "/orders/**"},
    {"path": "/**", "scope": ""},
)


def fits(pattern: str, path: str) -> bool:
    """Tell whether a rule with this path lets a request through to `path`."""
    try:
        rules({"path": pattern}).find("GET", path, None)
    except AccessDenied:
        return False
    return True


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("/", ["/", "/?a=b"], ["/a", "", "*"]),
        (
            "/orders",
            ["/orders", "/orders/", "/orders?x=/../", "/%6frders"],
            ["/Orders", "/orders/1", "/order", "/orders2"],
        ),
        (
            "/orders/*",
            ["/orders/1", "/orders/1/", "/orders/%C3%A9", "/orders/*"],
            ["/orders", "/orders/", "/orders/1/2"],
        ),
        ("/orders/*/items", ["/orders/1/items"], ["/orders/items", "/orders/1/2/items", "/orders//items"]),
        ("/public/**", ["/public", "/public/", "/public/a", "/public/a/b/"], ["/publicity", "/", "/a/public"]),
        ("/**", ["/", "/a", "/a/b/c"], ["", "a", "http://a/b"]),
        ("/a.b/c+d", ["/a.b/c+d", "/a.b/c%2bd"], ["/axb/c+d", "/a.b/c%20d"]),
        ("/é/", ["/%C3%A9", "/%c3%a9/"], ["/é", "/%E9", "/e%CC%81"]),
    ],
)
def test_paths(pattern: str, good: list[str], bad: list[str]) -> None:
    """`*` is one segment, `**` the rest, all else stands for itself; the slash at the end means nothing."""
    assert [path for path in good if not fits(pattern, path)] == []
    assert [path for path in bad if fits(pattern, path)] == []


def test_the_first_rule_decides() -> None:
    """What stands first wins, also when a later rule would ask for less."""
    found = rules({"path": "/a/b", "scope": "admin"}, {"path": "/a/**", "anonymous": True})
    assert found.find("GET", "/a/b", None).needs == ScopeNeeds(("admin",))
    assert found.find("GET", "/a/b/", None).needs == ScopeNeeds(("admin",))
    assert found.find("GET", "/a/c", None).anonymous is True


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/orders/admin/x", "admin"),
        ("/orders/X/x", "read"),
        ("/orders/1/Admin", "read"),
        ("/users/Bob/keys/K1", "keys"),
        ("/straße", "street"),
    ],
)
def test_capitals_of_what_a_star_stands_for(path: str, scope: str) -> None:
    """Where a rule names nothing, capitals are as good as others."""
    assert FOLDED.find("GET", quote(path), None).needs.all_of == (scope,)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/orders/ADMIN/x",
            "/orders/aDmin",
            "/Orders/admin/x",
            "/ORDERS/1",
            "/orders/%41dmin/x",
            "/orders/adm%C4%B1n",
        ),
        *(
            "/users/Bob/Keys/K1",
            "/Users/bob/keys/k1",
            "/u\u017fers/bob/keys/1",
            "/stra\u1e9ee",
        ),
    ],
)
def test_no_second_spelling_of_a_path(path: str) -> None:
    """A service may take ADMIN for admin, so ADMIN must not slip by the rule for admin to a wider one."""
    with pytest.raises(AccessDenied, match="differs from a rule's in capitals alone"):
        FOLDED.find("GET", quote(path, safe="/%"), None)


@pytest.mark.parametrize("path", ["/cle\u0301s/1", "/CLE\u0301S/1", "/cle\u0301s", "/\u212aeys"])
def test_no_second_spelling_of_an_accent(path: str) -> None:
    """UAX #15: a service may take `e` and an accent for `é`, so NFD must not slip by a rule to a wider one."""
    found = rules({"path": "/clés/*", "scope": "admin"}, {"path": "/keys", "scope": "admin"}, {"path": "/**"})
    assert found.find("GET", quote("/clés/1"), None).needs.all_of == ("admin",)
    with pytest.raises(AccessDenied, match="NFC"):
        found.find("GET", quote(path), None)


def test_a_pattern_that_no_path_would_fit() -> None:
    """UAX #15: a path in the file is in NFC as well, whatever editor wrote it; the problem says so."""
    with pytest.raises(RulesRefused, match=r"^rules\[0\]\.path: is not in the normal form NFC"):
        rules({"path": "/cle\u0301s/*"})


def test_a_rule_in_other_capitals_that_is_not_asked() -> None:
    """A rule for other methods or another audience does not come into it."""
    found = rules(
        {"path": "/orders/admin", "methods": ["POST"], "scope": "admin"},
        {"path": "/orders/admin", "resource": "https://a.example", "scope": "admin"},
        {"path": "/**"},
    )
    assert found.find("GET", "/orders/ADMIN", "https://b.example").needs.all_of == ("read",)


@pytest.mark.parametrize(
    ("method", "fits_get", "fits_all"), [("GET", True, True), ("HEAD", False, True), ("M-SEARCH", False, True)]
)
def test_methods(method: str, fits_get: bool, fits_all: bool) -> None:  # noqa: FBT001
    """A method is one that the rule names, or any for `*`."""
    for entry, expected in (({"path": "/a"}, fits_get), ({"path": "/a", "methods": ["*"]}, fits_all)):
        if expected:
            rules(entry).find(method, "/a", None)
        else:
            with pytest.raises(AccessDenied):
                rules(entry).find(method, "/a", None)


@pytest.mark.parametrize("method", ["get", "Get", "G ET", "GET\n", "GET,POST", "*", "G" * 30, "É"])
def test_no_second_spelling_of_a_method(method: str) -> None:
    """A service may take `post` for POST, so `post` must not slip by a rule for POST."""
    with pytest.raises(AccessDenied):
        rules({"path": "/**", "methods": ["*"]}).find(method, "/a", None)


@pytest.mark.parametrize(("method", "uri"), [("", "/a"), ("GET", ""), ("", "")])
def test_nothing_is_guessed(method: str, uri: str) -> None:
    """A proxy that does not say what the original request was lets nothing through."""
    with pytest.raises(AccessDenied, match="the proxy has not said both"):
        rules({"path": "/**", "methods": ["*"]}).find(method, uri, None)


def test_rules_of_one_audience() -> None:
    """A rule with a resource is for proxies that name it or none."""
    found = rules({"path": "/a", "resource": "https://a.example"}, {"path": "/a", "scope": "other"})
    assert found.find("GET", "/a", "https://a.example").needs.all_of == ("read",)
    assert found.find("GET", "/a", None).needs.all_of == ("read",)
    assert found.find("GET", "/a", "https://b.example").needs.all_of == ("other",)


@pytest.mark.parametrize(
    ("needs", "enough", "too_little"),
    [
        (ScopeNeeds(), [""], []),
        (ScopeNeeds(("a", "b")), ["a b", "c b a"], ["", "a", "b c"]),
        (ScopeNeeds((), ("a", "b")), ["a", "c b"], ["", "c"]),
        (ScopeNeeds(("a",), ("b", "c")), ["a c"], ["a", "b c"]),
    ],
)
def test_scopes(needs: ScopeNeeds, enough: list[str], too_little: list[str]) -> None:
    """RS-04: all of the one kind, one of the other."""
    assert all(needs.met_by(frozenset(scope.split())) for scope in enough)
    assert not any(needs.met_by(frozenset(scope.split())) for scope in too_little)


def test_every_fault_is_named_with_its_place() -> None:
    """An operator mends all of them in one go."""
    document = {
        "rules": [
            {"methods": ["get"], "path": "orders", "scope": "read"},
            {"methods": [], "path": "/a", "scope": "a", "anonymous": True},
            RULE | {"scop": "x"},
        ],
        "claims": {"user_id": "Authorization"},
        "more": 1,
    }
    with pytest.raises(RulesRefused) as refused:
        parse_rules(json.dumps(document))
    places = {problem.partition(":")[0] for problem in refused.value.problems}
    assert {
        "rules[0].methods[0]",
        "rules[0].path",
        "rules[1].methods",
        "rules[2].scop",
        "claims.user_id",
        "more",
    } <= places
    assert all("\n" not in problem for problem in refused.value.problems)


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"path": path}
            for path in ("", "a", "/a//b", "//", "/./a", "/a/..", "/**/a", "/a*", "/***", "/a%20b", "/a;b")
        ),
        *({"path": path} for path in ("/a?b", "/a#b", "/a\\b", "/a\nb", "/" + "a" * 3000, 5, None)),
        *({"methods": methods} for methods in ([], "GET", ["get"], ["GET POST"], [5], None)),
        *({"scope": scope} for scope in ('a"b', "a  b", ["a"], None)),
        *({"scope": None, "any_scope": scope} for scope in ("", " ", 'a"b')),
        {"any_scope": "b"},
        {"anonymous": True},
        {"scope": None, "anonymous": False},
        {"scope": None, "anonymous": "yes"},
        *({"resource": resource} for resource in ("urn:authserver:admin", "api", "https://a#b", 5)),
    ],
    ids=str,
)
def test_rules_that_are_none(change: dict[str, Any]) -> None:
    """What is misspelt, doubtful or means two things keeps the server from starting."""
    parse_rules(json.dumps({"rules": [RULE]}))
    with pytest.raises(RulesRefused):
        parse_rules(json.dumps({"rules": [RULE | change]}))


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Authorization",
            "Host",
            "X-Forwarded-For",
            "X-Auth",
            "X-Auth-",
            "X-Auth-a_b",
            "X-Auth-a b",
            "X-Auth-é",
            " X-Auth-A",
        ),
        *("X-Auth-A\r\nSet-Cookie", "X-Auth-Client-Id", "x-auth-subject", "X-AUTH-SCOPE", "X-Auth-Workspace"),
        *("X-Auth-Knowledge-Age", "X-Auth-Claim-A", "X-Auth-A--B", "X-Auth-" + "a" * 50, "", 5, None),
    ],
)
def test_headers_that_are_not_ours(header: Any) -> None:
    """A rules file may fill headers of identity only, and none of those that the server fills itself."""
    with pytest.raises(RulesRefused):
        parse_rules(json.dumps({"rules": [RULE], "claims": {"user_id": header}}))


def test_claims() -> None:
    """Claims go into headers in lower case, each into one of its own."""
    assert rules({"path": "/a"}, claims={"user_id": "X-Auth-User-Id"}).claims == (("user_id", b"x-auth-user-id"),)
    with pytest.raises(RulesRefused):
        rules({"path": "/a"}, claims={"a": "X-Auth-A", "b": "x-auth-a"})


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "5", "null", '"rules"', "{}", '{"rules": []}', '{"rules": {}}', "[" * 100_000, "\ufeff{}"),
        *('{"rules": [], "rules": []}', '{"rules": [{"path": "/a", "path": "/b"}]}', '{"rules": 1e999}'),
    ],
    ids=lambda text: text[:30],
)
def test_documents_that_are_none(text: str) -> None:
    """No JSON, another document, an empty one and repeated members are refused."""
    with pytest.raises(RulesRefused):
        parse_rules(text)


def test_the_place_of_a_fault_in_the_text() -> None:
    """JSON that is none is named by line and column."""
    with pytest.raises(RulesRefused, match="line 2, column"):
        parse_rules('{"rules":\n[,]}')


def test_files(tmp_path: Path) -> None:
    """Faults of a file name the setting; a file that is not there, too large or no text is one fault."""
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"rules": [RULE]}))
    assert read_rules(file).find("GET", "/orders/1", None).needs.all_of == ("read",)
    file.write_text('{"rules": [{}]}')
    with pytest.raises(ConfigurationError) as refused:
        read_rules(file)
    assert len(refused.value.problems) == 2
    assert all(problem.startswith("AUTHSERVER_FORWARD_AUTH_RULES: rules[0].") for problem in refused.value.problems)
    for content in (b"\xff", b" " * (MAX_FILE_BYTES + 1)):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="AUTHSERVER_FORWARD_AUTH_RULES"):
            read_rules(file)
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ConfigurationError, match="cannot read the file"):
            read_rules(path)


def test_the_rules_of_the_page() -> None:
    """The example in the documentation works as it says."""
    (example,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    found = parse_rules(example)
    assert found.find("HEAD", "/orders/1", None).needs.all_of == ("read",)
    assert found.find("PUT", "/orders/1/items", None).needs.any_of == ("write", "admin")
    assert found.find("GET", "/public", None).anonymous is True
