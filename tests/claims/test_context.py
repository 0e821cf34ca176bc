"""What templates see of a client."""

from __future__ import annotations

import json

from authserver.claims.context import client_values
from authserver.claims.names import PUBLIC_FIELDS
from authserver.claims.template import compile_template
from authserver.core.client import Client, ClientSecret, SecretState

_SECRET = ClientSecret(
    credential_id="cr_1",
    client_id="c1",
    state=SecretState.ACTIVE,
    secret_hash="pbkdf2-sha256$1000$c2FsdA==$hash",
    secret_hint="abcd",
    created_at=1,
)
_CLIENT = Client(
    client_id="c1",
    workspace_id="default",
    client_name="Job",
    scope=("read", "write"),
    audiences=("https://a.example",),
    trusted_metadata={"user": {"id": "u1"}},
    secrets=(_SECRET,),
    created_at=1,
    updated_at=2,
)


def test_a_client_is_seen_by_its_public_fields() -> None:
    """The values and the language agree on the fields; each is JSON, and no secret is among them."""
    values = client_values(_CLIENT)
    assert values.keys() == PUBLIC_FIELDS["client"]
    assert json.loads(json.dumps(values)) == values
    assert "pbkdf2" not in json.dumps(values)


def test_every_public_field_can_be_rendered() -> None:
    """Each field of a client reaches a claim with its JSON type."""
    fields = ", ".join(f'"c_{name}": {{{{ client.{name} }}}}' for name in PUBLIC_FIELDS["client"])
    claims = compile_template(f"{{{fields}}}").render({"client": client_values(_CLIENT)})
    assert claims["c_scope"] == "read write"
    assert claims["c_audiences"] == ["https://a.example"]
    assert (claims["c_status"], claims["c_trusted_metadata"]) == ("active", {"user": {"id": "u1"}})
