"""Who stands behind a good access token, as a proxy hands it on to a service (RFC 9068 §2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authserver.core.json_value import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a token that holds now says about its bearer.

    `scope` is the text as granted, `scopes` what was granted and all that it includes. `claims` is the whole payload,
    read-only.
    """

    client_id: str
    subject: str
    workspace_id: str
    scope: str
    scopes: frozenset[str]
    claims: Mapping[str, Json] = field(repr=False)
