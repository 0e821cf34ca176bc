"""The tables, as the newest migration leaves them (a test compares the two).

Ids compare byte for byte: SQLite's default, and collation "C" on PostgreSQL. Times are integers, in seconds or,
where the name ends in `_ms`, milliseconds since the epoch. JSON is kept as text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from authserver.core.json_value import Json

if TYPE_CHECKING:
    from sqlalchemy import Dialect

#: Every constraint has a name, so that a later migration can change it on any backend.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)


class JsonText(TypeDecorator[Json]):
    """A JSON value in a text column; None is NULL. Pure ASCII, so that no backend refuses a character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> str | None:
        """Write the compact form."""
        del dialect
        return None if value is None else json.dumps(value, separators=(",", ":"), allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:
        """Read it back."""
        del dialect
        return None if value is None else json.loads(value)


_KEY = Text().with_variant(Text(collation="C"), "postgresql")
_SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")


def _workspace() -> Column[str]:
    return Column("workspace_id", _KEY, ForeignKey("workspaces.workspace_id"), nullable=False)


workspaces = Table(
    "workspaces",
    metadata,
    Column("workspace_id", _KEY, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", _KEY, primary_key=True),
    _workspace(),
    Column("client_name", Text, nullable=False),
    Column("client_description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("token_endpoint_auth_method", Text, nullable=False),
    Column("grant_types", JsonText, nullable=False),
    Column("scope", JsonText, nullable=False),
    Column("default_scope", JsonText),
    Column("audiences", JsonText, nullable=False),
    Column("default_audience", Text),
    Column("trusted_metadata", JsonText, nullable=False),
    Column("access_token_ttl_seconds", BigInteger),
    Column("descriptive", JsonText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "workspace_id", "client_id"),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    Column("credential_id", _KEY, primary_key=True),
    Column("client_id", _KEY, ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("secret_hint", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    # One active secret and one next: two rotations at once cannot both be stored.
    UniqueConstraint("client_id", "state"),
)

resources = Table(
    "resources",
    metadata,
    Column("resource_id", _KEY, primary_key=True),
    _workspace(),
    Column("identifier", _KEY, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", JsonText, nullable=False),
    Column("signing_alg", Text, nullable=False),
    Column("token_typ", Text, nullable=False),
    Column("access_token_ttl_seconds", BigInteger),
    Column("built_in", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("workspace_id", "identifier"),
)

resource_servers = Table(
    "resource_servers",
    metadata,
    Column("resource_id", _KEY, ForeignKey("resources.resource_id", ondelete="CASCADE"), primary_key=True),
    Column("client_id", _KEY, ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True),
    Index(None, "client_id"),
)

# `owner` stands for (workspace_id, resource_id): a NULL resource_id would escape the uniqueness.
claims_templates = Table(
    "claims_templates",
    metadata,
    Column("owner", _KEY, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _workspace(),
    Column("resource_id", _KEY, ForeignKey("resources.resource_id", ondelete="CASCADE")),
    Column("source", Text),
    Column("created_at", BigInteger, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", _KEY, primary_key=True),
    # What a next or active key occupies (owner, alg, state), else NULL: of many instances that rotate, one wins.
    Column("place", _KEY, unique=True),
    _workspace(),
    Column("resource_id", _KEY, ForeignKey("resources.resource_id", ondelete="CASCADE")),
    Column("alg", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("public_jwk", JsonText),
    Column("sealed_private", LargeBinary, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Column("activated_at", BigInteger),
    Column("activate_at", BigInteger),
    Column("retire_until", BigInteger),
    Column("revoked_at", BigInteger),
)

# No foreign key: a revocation outlives the workspace that it was made in.
revocations = Table(
    "revocations",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", _KEY, nullable=False),
    Column("workspace_id", _KEY, nullable=False),
    Column("revoked_at_ms", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    UniqueConstraint("kind", "value", "workspace_id"),
    Index(None, "expires_at"),
    sqlite_autoincrement=True,  # a sequence is never given twice, even after the newest row was pruned
)

change_log = Table(
    "change_log",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", _KEY, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

deployment_state = Table(
    "deployment_state",
    metadata,
    Column("name", _KEY, primary_key=True),
    Column("value", Text, nullable=False),
)


def owner_of(workspace_id: str, resource_id: str | None) -> str:
    """Return the value of an `owner` column; ids hold no colon, so that the two kinds never meet."""
    return f"workspace:{workspace_id}" if resource_id is None else f"resource:{resource_id}"
