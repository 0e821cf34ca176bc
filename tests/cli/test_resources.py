"""`authserver resources`, and the verifier configuration that it exports."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Any

import pytest

from tests.cli.command import CommandLine

API = "https://api.example.com"
SHARED = "a shared secret of thirty-two bytes or more"


def test_create_prints_the_resource(cli: CommandLine) -> None:
    """Each option of create stands in the document, under the management API's names."""
    cli.json("clients", "create", "--name", "n", "--client-id", "rs")
    resource = cli.json(
        *("resources", "create", "--identifier", API, "--name", "The API", "--scope", "read"),
        *("--scope", "write includes read -- May change things", "--alg", "RS256", "--typ", "JWT"),
        *("--ttl", "600", "--server", "rs"),
    )
    expected = {
        "identifier": API,
        "name": "The API",
        "scopes": [
            {"name": "read", "description": "", "includes": []},
            {"name": "write", "description": "May change things", "includes": ["read"]},
        ],
        "signing_alg": "RS256",
        "token_typ": "JWT",
        "access_token_ttl_seconds": 600,
        "resource_servers": ["rs"],
    }
    assert resource | expected == resource


@pytest.mark.parametrize(
    ("written", "scopes"),
    [
        ("read", [("read", "", [])]),
        ("read write", [("read", "", []), ("write", "", [])]),
        ("read -- See things", [("read", "See things", [])]),
        ("includes", [("includes", "", [])]),
        ("a:b;c>d=* includes includes -- x -- y", [("a:b;c>d=*", "x -- y", ["includes"])]),
    ],
)
def test_scope_syntax(cli: CommandLine, written: str, scopes: list[tuple[str, str, list[str]]]) -> None:
    """Words between spaces are all that the syntax uses, so that any scope name can be written."""
    others = [] if written == "includes" else ["--scope", "includes"]
    resource = cli.json("resources", "create", "--identifier", API, "--scope", written, *others)
    assert [(s["name"], s["description"], s["includes"]) for s in resource["scopes"]][: len(scopes)] == scopes


def test_list_show_and_delete(cli: CommandLine) -> None:
    """A resource is named by its URI everywhere; the built-in one is listed and stays."""
    cli.json("resources", "create", "--identifier", API)
    assert {resource["identifier"] for resource in cli.json("resources", "list")} == {API, "urn:authserver:admin"}
    assert API in cli.text("resources", "list")
    assert cli.json("resources", "show", API)["identifier"] == API
    assert "ES256" in cli.text("resources", "show", API)
    cli.text("resources", "delete", API, "--yes")
    assert cli.refusal("resources", "show", API) == f"Error: no resource '{API}'; see `authserver resources list`"
    assert "built-in" in cli.refusal("resources", "delete", "urn:authserver:admin")


def test_update_replaces_what_is_given(cli: CommandLine) -> None:
    """Update leaves the rest as it is, and can empty lists."""
    cli.json("resources", "create", "--identifier", API, "--scope", "read", "--ttl", "600", "--name", "old")
    changed = cli.json("resources", "update", API, "--name", "new", "--ttl", "default")
    assert (changed["name"], changed["access_token_ttl_seconds"]) == ("new", None)
    assert cli.json("resources", "update", API, "--no-scope")["scopes"] == []
    assert "Nothing to change" in cli.usage("resources", "update", API)


def test_a_comma_in_a_scope_is_a_warning(cli: CommandLine) -> None:
    """`read,write` is one name (RFC 6749 §3.3), and seldom meant; what was said once is not said again."""
    (line,) = cli.warned("resources", "create", "--identifier", API, "--scope", "read,write")
    assert line == "warning: 'read,write' is one scope, with a comma in its name; a space separates scopes"
    assert cli.warned("resources", "update", API, "--name", "orders") == []
    assert cli.warned("resources", "update", API, "--scope", "read,write") == [line]


def test_who_is_no_resource_server_any_more_is_a_warning(cli: CommandLine) -> None:
    """`--server` replaces the list; who is left out loses the feed with its next question. `--no-server` means it."""
    for name in ("first", "second"):
        cli.json("clients", "create", "--name", name, "--client-id", name)
    cli.json("resources", "create", "--identifier", API, "--server", "first")
    (line,) = cli.warned("resources", "update", API, "--server", "second")
    assert line == "warning: 'first' is no resource server any more; to keep it, name it as well: --server first"
    assert cli.warned("resources", "update", API, "--server", "second", "--server", "first") == []
    assert cli.warned("resources", "update", API, "--no-server") == []


def test_refusals(cli: CommandLine) -> None:
    """An identifier that is taken or no URI, an unknown server or included scope: one line each, with the value."""
    cli.json("resources", "create", "--identifier", API)
    taken = cli.refusal("resources", "create", "--identifier", API)
    assert taken == f"Error: {API} exists already; to change it: authserver resources update {API}"
    assert "--identifier 'no uri': " in cli.refusal("resources", "create", "--identifier", "no uri")
    assert "--server: no client 'nobody' (authserver clients create makes one)" in cli.refusal(
        "resources", "update", API, "--server", "nobody"
    )
    line = cli.refusal("resources", "create", "--identifier", "urn:b", "--scope", "a includes b")
    assert line == "Error: --scope: 'a' includes 'b', which is no scope of this resource"
    assert "--scope: one name occurs twice" in cli.refusal("resources", "update", API, "--scope", "a a")
    assert "includes" in cli.usage("resources", "create", "--identifier", "urn:b", "--scope", "a includes")
    assert cli.usage("resources", "create", "--identifier", "urn:b", "--alg", "none")


def test_export_says_all_that_a_verifier_needs(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier configuration of a resource with public keys, under the issuer of the settings."""
    monkeypatch.setenv("AUTHSERVER_ISSUER", "https://as.example/tenant")
    cli.json("resources", "create", "--identifier", API, "--scope", "read", "--scope", "write includes read -- Change")
    assert cli.json("resources", "export", API) == {
        "issuer": "https://as.example/tenant",
        "audience": API,
        "workspace_id": "default",
        "algorithms": ["ES256"],
        "typ": "at+jwt",
        "jwks_uri": "https://as.example/tenant/.well-known/jwks.json",
        "introspection_endpoint": "https://as.example/tenant/oauth2/introspect",
        "revocations_endpoint": "https://as.example/tenant/oauth2/revocations",
        "scopes": [
            {"name": "read", "description": "", "includes": []},
            {"name": "write", "description": "Change", "includes": ["read"]},
        ],
    }
    assert cli.refusal("resources", "export", "urn:unknown") == (
        "Error: no resource 'urn:unknown'; see `authserver resources list`"
    )


def test_export_of_hs256_holds_the_secret_and_no_jwks_uri(cli: CommandLine) -> None:
    """An HS256 resource's verifiers get the shared secret: the active one, and each that a token may carry."""
    arguments = ("resources", "create", "--identifier", API, "--alg", "hs256", "--secret-stdin")
    assert cli.json(*arguments, stdin=f"{SHARED}\n")["hs256_secret"] == SHARED
    exported = cli.json("resources", "export", API)
    assert "jwks_uri" not in exported
    assert exported["algorithms"] == ["HS256"]
    assert _decoded(exported["shared_secret"]) == SHARED.encode()
    kids = {key["kid"] for key in cli.json("keys", "list") if key["alg"] == "HS256"}
    assert {key["kid"] for key in exported["jwks"]["keys"]} == kids


def test_export_after_a_rotation_has_the_new_secret_first_and_the_old_one_still(cli: CommandLine) -> None:
    """While tokens of the old secret live, verifiers are told both."""
    cli.json("resources", "create", "--identifier", API, "--alg", "HS256")
    before = cli.json("resources", "export", API)
    cli.json("keys", "rotate", "--resource", API, "--force")
    after = cli.json("resources", "export", API)
    assert after["shared_secret"] != before["shared_secret"]
    assert before["shared_secret"] in {key["k"] for key in after["jwks"]["keys"]}


def _decoded(text: Any) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
