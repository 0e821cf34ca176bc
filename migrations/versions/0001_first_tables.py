"""First tables, the workspace `default` and the resource of the management API."""

from __future__ import annotations

import json
import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
compatible_with = "0001"

# What a migration needs it holds itself: the code moves on, a migration does not.
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_ADMIN_SCOPES = (
    ("clients:read", "Read clients.", ()),
    ("clients:write", "Create, change and delete clients and their secrets.", ("clients:read",)),
    ("resources:read", "Read resources.", ()),
    ("resources:write", "Create, change and delete resources.", ("resources:read",)),
    ("claims:read", "Read and preview claims templates.", ()),
    ("claims:write", "Save claims templates.", ("claims:read",)),
    ("keys:read", "Read signing keys, public parts only.", ()),
    ("keys:write", "Rotate and revoke signing keys.", ("keys:read",)),
    ("revocations:read", "Read revocations.", ()),
    ("revocations:write", "Revoke tokens.", ("revocations:read",)),
    ("status:read", "Read the state of the server.", ()),
)


def upgrade() -> None:
    """Make every table of the core."""
    _create_workspaces()
    _create_clients()
    _create_resources()
    _create_templates()
    _create_signing_keys()
    _create_revocations()
    _create_deployment()
    _insert_first_rows()


def _create_workspaces() -> None:
    op.create_table(
        "workspaces",
        sa.Column("workspace_id", _KEY, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name="pk_workspaces"),
    )


def _create_clients() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", _KEY, nullable=False),
        sa.Column("workspace_id", _KEY, nullable=False),
        sa.Column("client_name", sa.Text, nullable=False),
        sa.Column("client_description", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("token_endpoint_auth_method", sa.Text, nullable=False),
        sa.Column("grant_types", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("default_scope", sa.Text),
        sa.Column("audiences", sa.Text, nullable=False),
        sa.Column("default_audience", sa.Text),
        sa.Column("trusted_metadata", sa.Text, nullable=False),
        sa.Column("access_token_ttl_seconds", sa.BigInteger),
        sa.Column("descriptive", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_clients"),
        _workspace_key("clients"),
    )
    op.create_index("ix_clients_workspace_id_client_id", "clients", ["workspace_id", "client_id"])
    op.create_table(
        "client_secrets",
        sa.Column("credential_id", _KEY, nullable=False),
        sa.Column("client_id", _KEY, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.Text, nullable=False),
        sa.Column("secret_hint", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("credential_id", name="pk_client_secrets"),
        _client_key("client_secrets"),
        sa.UniqueConstraint("client_id", "state", name="uq_client_secrets_client_id_state"),
    )


def _create_resources() -> None:
    op.create_table(
        "resources",
        sa.Column("resource_id", _KEY, nullable=False),
        sa.Column("workspace_id", _KEY, nullable=False),
        sa.Column("identifier", _KEY, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("signing_alg", sa.Text, nullable=False),
        sa.Column("token_typ", sa.Text, nullable=False),
        sa.Column("access_token_ttl_seconds", sa.BigInteger),
        sa.Column("built_in", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("resource_id", name="pk_resources"),
        _workspace_key("resources"),
        sa.UniqueConstraint("workspace_id", "identifier", name="uq_resources_workspace_id_identifier"),
    )
    op.create_table(
        "resource_servers",
        sa.Column("resource_id", _KEY, nullable=False),
        sa.Column("client_id", _KEY, nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "client_id", name="pk_resource_servers"),
        _resource_key("resource_servers"),
        _client_key("resource_servers"),
    )
    op.create_index("ix_resource_servers_client_id", "resource_servers", ["client_id"])


def _create_templates() -> None:
    op.create_table(
        "claims_templates",
        sa.Column("owner", _KEY, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("workspace_id", _KEY, nullable=False),
        sa.Column("resource_id", _KEY),
        sa.Column("source", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", "version", name="pk_claims_templates"),
        _workspace_key("claims_templates"),
        _resource_key("claims_templates"),
    )


def _create_signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("kid", _KEY, nullable=False),
        sa.Column("place", _KEY),
        sa.Column("workspace_id", _KEY, nullable=False),
        sa.Column("resource_id", _KEY),
        sa.Column("alg", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("public_jwk", sa.Text),
        sa.Column("sealed_private", sa.LargeBinary, nullable=False),
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.Column("activated_at", sa.BigInteger),
        sa.Column("activate_at", sa.BigInteger),
        sa.Column("retire_until", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_keys"),
        sa.UniqueConstraint("place", name="uq_signing_keys_place"),
        _workspace_key("signing_keys"),
        _resource_key("signing_keys"),
    )


def _create_revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("sequence", _SEQUENCE, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", _KEY, nullable=False),
        sa.Column("workspace_id", _KEY, nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_revocations"),
        sa.UniqueConstraint("kind", "value", "workspace_id", name="uq_revocations_kind_value_workspace_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_revocations_expires_at", "revocations", ["expires_at"])


def _create_deployment() -> None:
    op.create_table(
        "change_log",
        sa.Column("sequence", _SEQUENCE, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", _KEY, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_change_log"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "deployment_state",
        sa.Column("name", _KEY, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_deployment_state"),
    )


def _insert_first_rows() -> None:
    now = int(time.time())
    workspaces = sa.table("workspaces", sa.column("workspace_id"), sa.column("name"), sa.column("created_at"))
    op.bulk_insert(workspaces, [{"workspace_id": "default", "name": "Default", "created_at": now}])
    scopes = [{"name": name, "description": text, "includes": includes} for name, text, includes in _ADMIN_SCOPES]
    row = {
        "resource_id": "res_admin",
        "workspace_id": "default",
        "identifier": "urn:authserver:admin",
        "name": "Management API",
        "scopes": json.dumps(scopes, separators=(",", ":")),
        "signing_alg": "ES256",
        "token_typ": "at+jwt",
        "built_in": True,
        "created_at": now,
        "updated_at": now,
        "version": 1,
    }
    op.bulk_insert(sa.table("resources", *(sa.column(name) for name in row)), [row])
    # Cursors of the revocation feed name the database that they count in.
    state = sa.table("deployment_state", sa.column("name"), sa.column("value"))
    op.bulk_insert(state, [{"name": "epoch", "value": secrets.token_hex(8)}])


def _workspace_key(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_workspace_id_workspaces"
    return sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.workspace_id"], name=name)


def _client_key(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_client_id_clients"
    return sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name=name, ondelete="CASCADE")


def _resource_key(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_resource_id_resources"
    return sa.ForeignKeyConstraint(["resource_id"], ["resources.resource_id"], name=name, ondelete="CASCADE")
