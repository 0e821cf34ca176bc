"""The OpenAPI document says what the server does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from authserver.admin.description import Description
from authserver.admin.openapi import openapi_document
from authserver.admin.routes import OPERATIONS
from authserver.app.description import describe
from tests.admin.surface import CLIENTS, surface
from tests.administration.office import ISSUER


def document(**more: Any) -> Any:
    """Return the document of the management API, as JSON gives it back."""
    made = openapi_document((operation.description for operation in OPERATIONS), issuer=ISSUER, version="1", **more)
    return json.loads(json.dumps(made))


def references(value: Any) -> Iterator[str]:
    """Yield every `$ref` inside a value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def test_every_operation_is_described() -> None:
    """Each route has its operation, each operation id is used once, and each reference leads somewhere."""
    made = document()
    described = [(path, method) for path, item in made["paths"].items() for method in item]
    assert sorted(described) == sorted((o.description.path, o.description.method.lower()) for o in OPERATIONS)
    ids = [operation["operationId"] for item in made["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)
    assert {ref.rpartition("/")[2] for ref in references(made)} <= set(made["components"]["schemas"])


def test_path_parameters_are_declared() -> None:
    """OpenAPI 3.1 §4.8.12: each parameter in a path is declared, and required."""
    for path, item in document()["paths"].items():
        for operation in item.values():
            declared = {p["name"] for p in operation["parameters"] if p["in"] == "path" and p["required"]}
            assert declared == set(re.findall(r"{(\w+)}", path))


def test_schemas_are_those_that_validate() -> None:
    """The schema of a client names the fields that a create accepts, and those that an answer holds."""
    schemas = document()["components"]["schemas"]
    assert schemas["ClientCreate"]["required"] == ["client_name"]
    assert schemas["ClientCreate"]["additionalProperties"] is False
    assert "required" not in schemas["ClientMetadataPatch"]
    with surface() as api:
        created = api.call("POST", CLIENTS, {"client_name": "n"}).json()
    assert set(schemas["CreatedClientView"]["properties"]) == set(created)


def test_every_reference_resolves() -> None:
    """Each `$ref` of the whole document, that of the OAuth endpoints included, points to something in it."""
    whole = json.loads(json.dumps(describe(issuer=ISSUER, version="1")))
    for reference in references(whole):
        place = whole
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert isinstance(place, dict), reference


def test_no_name_of_a_schema_is_mangled() -> None:
    """Model names are unique, so that none appears under a module's path."""
    assert all("__" not in name for name in document()["components"]["schemas"])


def test_more_operations() -> None:
    """Descriptions of other surfaces and ready-made paths are added to the same document."""
    token = Description(method="POST", path="/oauth2/token", summary="Get a token", tag="oauth", security="clientBasic")
    ready = {"/health/live": {"get": {"summary": "Live", "responses": {"200": {"description": "Yes."}}}}}
    made = openapi_document([token], issuer=ISSUER, version="1", more_paths=ready)
    assert made["paths"]["/oauth2/token"]["post"]["security"] == [{"clientBasic": []}]
    assert made["paths"]["/health/live"]["get"]["summary"] == "Live"
