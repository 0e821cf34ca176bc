"""A stored claims template: text, and a version that only grows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """One version of the template of a workspace, or of one resource (`resource_id`).

    `source` None says that the template was removed with this version. `created_at` in seconds.
    """

    workspace_id: str
    resource_id: str | None
    version: int
    source: str | None
    created_at: int
