"""Resources over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from authserver.core.signing_key import KeyState
from tests.admin.surface import KEYS, RESOURCES, surface
from tests.administration.office import API, ISSUER


def test_create_read_change_delete() -> None:
    """A resource comes back as it was written, and changes by merge patch."""
    scopes = [
        {"name": "read", "description": "Look.", "includes": []},
        {"name": "write", "description": "", "includes": ["read"]},
    ]
    with surface() as api:
        server = api.new_client()["client_id"]
        body = {
            "identifier": API,
            "name": "The API",
            "scopes": scopes,
            "signing_alg": "RS256",
            "token_typ": "JWT",
            "access_token_ttl_seconds": 300,
            "resource_servers": [server],
        }
        created = api.call("POST", RESOURCES, body)
        assert (created.status_code, created.headers["etag"]) == (201, '"1"')
        path = f"{RESOURCES}/{created.json()['resource_id']}"
        assert {name: api.call("GET", path).json()[name] for name in body} == body
        changed = api.call("PATCH", path, {"token_typ": None, "resource_servers": []}, headers={"If-Match": '"1"'})
        assert (changed.json()["token_typ"], changed.json()["resource_servers"]) == ("at+jwt", [])
        assert api.call("PATCH", path, {"name": "x"}, headers={"If-Match": '"1"'}).status_code == 412
        assert api.call("DELETE", path).status_code == 204
        assert api.call("GET", path).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"identifier": "api"},
        {"identifier": f"{API}#x"},
        {"identifier": "https://"},
        {"identifier": "https://a b"},
        {"identifier": "https://[::1"},
        {"identifier": f"{API}/" + "x" * 512},
        {"identifier": 1},
        {"scopes": "read"},
        {"scopes": [{"name": "a b"}]},
        {"scopes": [{"name": "a"}, {"name": "a"}]},
        {"scopes": [{"name": "a", "includes": ["b"]}]},
        {"scopes": [{"name": "a", "kind": "x"}]},
        {"scopes": [{"name": f"s{number}"} for number in range(101)]},
        {"signing_alg": "none"},
        {"signing_alg": "EdDSA"},
        {"token_typ": "id+jwt"},
        {"access_token_ttl_seconds": True},
        {"access_token_ttl_seconds": 86_401},
        {"resource_servers": ["cl_unknown"]},
        {"resource_servers": ["\x00"]},
        {"hs256_secret": "0123456789abcdef0123456789abcdef"},
        {"signing_alg": "HS256", "hs256_secret": "short"},
        {"built_in": True},
        {"resource_id": "res_x"},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_refused_values(change: dict[str, Any]) -> None:
    """ADM-07, ADM-15: what is refused at creation is refused at a change, and nothing changes."""
    with surface() as api:
        assert api.call("POST", RESOURCES, {"identifier": API, **change}).status_code == 422
        created = api.call("POST", RESOURCES, {"identifier": API}).json()
        path = f"{RESOURCES}/{created['resource_id']}"
        assert api.call("PATCH", path, change).status_code == 422
        assert api.call("GET", path).json()["version"] == 1


def test_identifier_taken() -> None:
    """Two resources of one identifier are a conflict, at creation and at a change."""
    with surface() as api:
        api.call("POST", RESOURCES, {"identifier": API})
        other = api.call("POST", RESOURCES, {"identifier": "urn:example:other"}).json()
        assert api.call("POST", RESOURCES, {"identifier": API}).status_code == 409
        assert api.call("PATCH", f"{RESOURCES}/{other['resource_id']}", {"identifier": API}).status_code == 409


def test_built_in_resource() -> None:
    """The resource of the management API can be neither changed nor deleted."""
    with surface() as api:
        path = f"{RESOURCES}/res_admin"
        assert api.call("PATCH", path, {"name": "mine"}).status_code == 409
        assert api.call("DELETE", path).status_code == 409
        assert api.call("GET", path).json()["built_in"] is True


def test_shared_secret_is_shown_once() -> None:
    """ADM-06: an HS256 resource gets a secret of its own, shown when it is made and never again."""
    with surface() as api:
        created = api.call("POST", RESOURCES, {"identifier": API, "signing_alg": "HS256"}).json()
        secret = created["hs256_secret"]
        path = f"{RESOURCES}/{created['resource_id']}"
        texts = [api.call("GET", path).text, api.call("PATCH", path, {"name": "x"}).text, api.call("GET", KEYS).text]
        assert not any(secret in text for text in [*texts, repr(api.office.audit.events)])
        (key,) = (key for key in api.office.keys.list() if key.resource_id and key.state is KeyState.ACTIVE)
        assert api.office.keys.export_secret(key.kid) == secret.encode()


def test_turning_to_hs256() -> None:
    """A resource that turns to HS256 gets its secret then; a given one replaces it."""
    with surface() as api:
        path = f"{RESOURCES}/{api.call('POST', RESOURCES, {'identifier': API}).json()['resource_id']}"
        assert api.call("PATCH", path, {"signing_alg": "HS256"}).json()["hs256_secret"]
        assert api.call("PATCH", path, {"name": "x"}).json()["hs256_secret"] is None
        imported = "0123456789abcdef0123456789abcdef"
        assert api.call("PATCH", path, {"hs256_secret": imported}).status_code == 200
        (key,) = (key for key in api.office.keys.list() if key.resource_id and key.state is KeyState.ACTIVE)
        assert api.office.keys.export_secret(key.kid) == imported.encode()


def test_catalog_follows() -> None:
    """The catalog that token requests use knows a new resource, with its order of scopes, once settled."""
    with surface() as api:
        scopes = [{"name": "write", "includes": ["read"]}, {"name": "read"}]
        created = api.call("POST", RESOURCES, {"identifier": API, "scopes": scopes}).json()
        catalog = api.office.resources
        policy = catalog.policy("default", API)
        assert policy is not None
        assert policy.inclusion["write"] == {"write", "read"}
        assert catalog.by_id(created["resource_id"]) is catalog.by_identifier("default", API)
        assert catalog.by_identifier("other", API) is None
        assert len(catalog.all()) == 2


def test_what_verifiers_need() -> None:
    """The verifier configuration of a resource with public keys takes no more than reading resources."""
    with surface() as api:
        created = api.call("POST", RESOURCES, {"identifier": API, "scopes": [{"name": "read"}], "token_typ": "JWT"})
        path = f"{RESOURCES}/{created.json()['resource_id']}/verifier-config"
        shown = api.call("GET", path, token=api.new_admin("resources:read"))
        assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
        assert shown.json() == {
            "issuer": ISSUER,
            "audience": API,
            "workspace_id": "default",
            "algorithms": ["ES256"],
            "typ": "JWT",
            "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
            "introspection_endpoint": f"{ISSUER}/oauth2/introspect",
            "revocations_endpoint": f"{ISSUER}/oauth2/revocations",
            "scopes": [{"name": "read", "description": "", "includes": []}],
        }
        assert "signing_key.secret_exported" not in api.office.audit.names
        assert api.call("GET", f"{RESOURCES}/nobody/verifier-config").status_code == 404


@pytest.mark.parametrize("scopes", [("resources:read",), ("resources:write",), ("resources:read", "keys:read")])
def test_shared_secrets_take_more(scopes: tuple[str, ...]) -> None:
    """The document of HS256 holds secrets: it takes what exporting a secret takes, and each one is in the audit."""
    with surface() as api:
        created = api.call("POST", RESOURCES, {"identifier": API, "signing_alg": "HS256"}).json()
        path = f"{RESOURCES}/{created['resource_id']}/verifier-config"
        refused = api.call("GET", path, token=api.new_admin(*scopes))
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        assert api.office.audit.names[-1] == "admin.denied"
        exporter = api.new_admin("resources:read", "keys:write")
        shown = api.call("GET", path, token=exporter).json()
        assert "jwks_uri" not in shown
        assert shown["shared_secret"] == shown["jwks"]["keys"][0]["k"]
        exports = [fields for name, fields in api.office.audit.events if name == "signing_key.secret_exported"]
        assert [fields["kid"] for fields in exports] == [key["kid"] for key in shown["jwks"]["keys"]]
        assert {fields["actor"] for fields in exports} == {f"client:{api.id_of(exporter)}"}
