"""Claims templates over HTTP."""

from __future__ import annotations

import pytest

from tests.admin.surface import CLIENTS, RESOURCES, REVOCATIONS, TEMPLATE, surface
from tests.administration.office import API

SEED = '{ "user_id": {{ client.trusted_metadata.stytch_user_id }} }'


def test_save_show_preview() -> None:
    """A template is saved, shown with its version as ETag, and previewed on a real client."""
    with surface() as api:
        client = api.new_client(trusted_metadata={"stytch_user_id": "user-7"})["client_id"]
        saved = api.call("PUT", TEMPLATE, {"template": SEED})
        assert (saved.status_code, saved.headers["etag"]) == (200, '"1"')
        assert api.call("GET", TEMPLATE).json()["template"] == SEED
        preview = {"client_id": client}
        assert api.call("POST", f"{TEMPLATE}/preview", preview).json() == {"claims": {"user_id": "user-7"}}


def test_preview_changes_nothing() -> None:
    """A preview of a template that is not saved leaves no version, no record and no revocation."""
    with surface() as api:
        client = api.new_client(trusted_metadata={"k": 1})["client_id"]
        records = len(api.office.audit.events)
        body = {"template": '{"x": {{ client.trusted_metadata.k }}, "me": {{ token.sub }}}', "client_id": client}
        assert api.call("POST", f"{TEMPLATE}/preview", body).json() == {"claims": {"x": 1, "me": client}}
        assert api.call("GET", TEMPLATE).status_code == 404
        assert len(api.office.audit.events) == records
        assert api.call("GET", REVOCATIONS).json()["items"] == []


def test_preview_with_request_values() -> None:
    """Values of `request.*` are given to a preview as a caller would send them."""
    with surface() as api:
        body = {
            "client_id": api.new_client()["client_id"],
            "template": 'accept request.plan\n{"plan": {{ request.plan }}}',
            "request": {"plan": "gold", "other": "ignored"},
        }
        assert api.call("POST", f"{TEMPLATE}/preview", body).json() == {"claims": {"plan": "gold"}}


def test_preview_says_why_no_token_would_be_issued() -> None:
    """A required value that is missing is 422 in a preview."""
    with surface() as api:
        template = '{"tenant": {{ required client.trusted_metadata.tenant }}}'
        body = {"client_id": api.new_client()["client_id"], "template": template}
        response = api.call("POST", f"{TEMPLATE}/preview", body)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "template")


@pytest.mark.parametrize(
    "template",
    [
        '{"exp": 1}',
        '{"Sub": {{ client.client_id }}}',
        '{"a": {{ client.secrets }}}',
        '{"a": ',
        "[]",
        "",
        '{"a": "' + "x" * 5000 + '"}',
        '{"a":' * 500 + "1" + "}" * 500,
    ],
    ids=lambda template: template[:20],
)
def test_bad_templates(template: str) -> None:
    """CLM-01, CLM-06: what sets a registered claim, names what it may not, or is too much, is not saved."""
    with surface() as api:
        assert api.call("PUT", TEMPLATE, {"template": template}).status_code == 422
        assert api.call("GET", TEMPLATE).status_code == 404


def test_every_write_is_validated() -> None:
    """CLM-12: a forbidden template is refused also when a good one is stored, and the good one stays."""
    with surface() as api:
        api.call("PUT", TEMPLATE, {"template": SEED})
        assert api.call("PUT", TEMPLATE, {"template": '{"iss": "me"}'}).status_code == 422
        assert api.call("GET", TEMPLATE).json()["version"] == 1


def test_history_restore_remove() -> None:
    """Each version stays; an earlier one is restored as the newest; removal is a version too."""
    with surface() as api:
        for source in ('{"v": 1}', '{"v": 2}'):
            api.call("PUT", TEMPLATE, {"template": source})
        assert api.call("POST", f"{TEMPLATE}/restore", {"version": 1}).json()["version"] == 3
        assert api.call("GET", TEMPLATE).json()["template"] == '{"v": 1}'
        assert api.call("DELETE", TEMPLATE).status_code == 204
        assert api.call("DELETE", TEMPLATE).status_code == 404
        history = api.call("GET", f"{TEMPLATE}/history").json()["items"]
        assert [(item["version"], item["template"]) for item in history] == [
            (4, None),
            (3, '{"v": 1}'),
            (2, '{"v": 2}'),
            (1, '{"v": 1}'),
        ]
        for version, status in ((4, 404), (9, 404), (0, 422), (True, 422), (2**63, 422)):
            assert api.call("POST", f"{TEMPLATE}/restore", {"version": version}).status_code == status


def test_two_writers() -> None:
    """ADM-10: of two writes from one ETag the second is 412."""
    with surface() as api:
        api.call("PUT", TEMPLATE, {"template": SEED})
        headers = {"If-Match": '"1"'}
        assert api.call("PUT", TEMPLATE, {"template": '{"a": 1}'}, headers=headers).status_code == 200
        assert api.call("PUT", TEMPLATE, {"template": '{"b": 1}'}, headers=headers).status_code == 412


def test_template_of_a_resource() -> None:
    """A resource's own template overrides the workspace's, named in the query or in the body."""
    with surface() as api:
        api.call("POST", RESOURCES, {"identifier": API})
        api.call("PUT", TEMPLATE, {"template": '{"of": "workspace"}'})
        assert api.call("PUT", TEMPLATE, {"template": '{"of": "resource"}', "resource": API}).status_code == 200
        assert api.call("GET", f"{TEMPLATE}?resource={API}").json()["template"] == '{"of": "resource"}'
        client = api.new_client(audiences=[API])["client_id"]
        own = api.call("POST", f"{TEMPLATE}/preview?resource={API}", {"client_id": client}).json()
        other = api.call("POST", f"{TEMPLATE}/preview", {"client_id": client}).json()
        assert (own, other) == ({"claims": {"of": "resource"}}, {"claims": {"of": "workspace"}})
        assert api.call("GET", f"{TEMPLATE}?resource=urn:x:unknown").status_code == 404
        body = {"template": SEED, "resource": "urn:x:unknown"}
        assert api.call("PUT", f"{TEMPLATE}?resource={API}", body).status_code == 422


def test_metadata_that_makes_tokens_too_large() -> None:
    """CLM-06: metadata that a template in force would blow up past 4 KB is refused at creation and at a change."""
    with surface() as api:
        client = api.new_client(trusted_metadata={"k": "x"})
        api.call("PUT", TEMPLATE, {"template": '{"a": {{ client.trusted_metadata.k }}}'})
        large = {"trusted_metadata": {"k": "x" * 5000}}
        created = api.call("POST", CLIENTS, {"client_name": "n", **large})
        changed = api.call("PATCH", f"{CLIENTS}/{client['client_id']}", large)
        assert (created.status_code, changed.status_code) == (422, 422)
        assert changed.json()["errors"][0]["field"] == "trusted_metadata"


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "scope", "cnf", "token_type", "Sub", "ISS", "scope "])
def test_registered_names_in_metadata(name: str) -> None:
    """CLM-01, CLM-09, CLM-12: metadata that looks like a registered claim is refused at every write."""
    with surface() as api:
        client = api.new_client()
        metadata = {"trusted_metadata": {name: "x"}}
        assert api.call("POST", CLIENTS, {"client_name": "n", **metadata}).status_code == 422
        assert api.call("PATCH", f"{CLIENTS}/{client['client_id']}", metadata).status_code == 422
