"""An OAuth 2.0 authorization server for machines. The map, from the outside in; arrows point down this list.

cli/              the command line: serve · sidecar · clients · resources · claims · keys · tokens · migrate · doctor
app/              the composition root: builds every object, mounts every route, runs the process
sidecar/          the other one, small: forward-auth, introspection and keys from a local copy, beside one service
    ── surfaces: HTTP in, HTTP out; they do not know each other ──
endpoints/        token (RFC 6749 §3.2) · revoke (7009) · introspect (7662) · revocations (feed) · metadata (8414) · …
admin/            the management API, /admin/v1: one file for each thing that is administered
wire/             what surfaces share: the front door, forms, credentials, answers, errors, limits of the transport
    ── use cases: load (async) → decide (pure) → save (async) ──
tokens/           authenticate · issue · introspect · revoke · standing (does a token hold now?)
administration/   every verb of an administrator, whoever asks: the management API or the command line
    ── capabilities: one noun each; they do not know each other ──
oauth/            the protocol on Authlib: synchronous, pure
clients/          registration, the directory in memory, authentication by secret
resources/        audiences and their token policy
claims/           claims templates: the language, compiled once
keys/             signing keys: sealed at rest, rotated, published; signing and verifying our own tokens
revocation/       what has been revoked, in memory, and whether that is complete
audit/            security events of a fixed vocabulary
limits/           what one caller may ask
telemetry/        logs and metrics
replication/      how a process hears of what others changed
storage/          the database, SQLite or PostgreSQL; the beacon in Redis
resource_server/  what other services import: checks tokens by itself, and obeys revocations
token_client/     what callers import: gets tokens, keeps and renews them
    ── what both sides of a token share ──
jose/             JWS, read strictly; a key bound to its algorithm
    ── vocabulary: standard library only ──
core/             frozen values, the error table, the store Protocols

settings.py      every setting          development.py   what `serve --dev` makes by itself
"""
