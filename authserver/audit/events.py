"""The fixed vocabulary of the audit: every event that is ever recorded, and nothing else."""

from __future__ import annotations

from enum import StrEnum


class AuditEvent(StrEnum):
    """What happened, as `noun.verb in the past`. Events carry ids and reasons, never a secret or a token."""

    # Administrative acts: one each, with the actor.
    CLIENT_CREATED = "client.created"
    CLIENT_UPDATED = "client.updated"
    CLIENT_DELETED = "client.deleted"
    CLIENT_SECRET_ROTATION_STARTED = "client.secret_rotation_started"
    CLIENT_SECRET_ROTATION_COMPLETED = "client.secret_rotation_completed"
    CLIENT_SECRET_ROTATION_CANCELLED = "client.secret_rotation_cancelled"
    CLIENT_SECRET_REMOVED = "client.secret_removed"
    RESOURCE_CREATED = "resource.created"
    RESOURCE_UPDATED = "resource.updated"
    RESOURCE_DELETED = "resource.deleted"
    CLAIMS_TEMPLATE_SAVED = "claims_template.saved"
    CLAIMS_TEMPLATE_RESTORED = "claims_template.restored"
    CLAIMS_TEMPLATE_REMOVED = "claims_template.removed"
    SIGNING_KEY_ROTATED = "signing_key.rotated"
    SIGNING_KEY_REVOKED = "signing_key.revoked"
    SIGNING_KEY_SECRET_EXPORTED = "signing_key.secret_exported"
    REVOCATION_CREATED = "revocation.created"
    ADMIN_DENIED = "admin.denied"

    # What clients and resource servers did that an operator wants to know.
    AUTHENTICATION_REFUSED = "client_authentication.refused"
    OLD_SECRET_USED = "client_authentication.old_secret_used"
    TOKEN_REFUSED = "token.refused"
    TOKEN_REVOKED = "token.revoked"
    TOKEN_REVOCATION_DENIED = "token.revocation_denied"
    INTROSPECTION_DENIED = "introspection.denied"
    INTROSPECTION_THROTTLED = "introspection.throttled"
    CLIENT_SECRET_DAMAGED = "client.secret_damaged"
