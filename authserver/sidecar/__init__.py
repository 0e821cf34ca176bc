"""The sidecar: beside one service, it judges that service's tokens by a local copy, while the centre is away as well.

`options` what it is told, and what it reads of it · `judge` what is known, and judging by it · `surface` every route ·
`introspect`, `jwks` and `metrics` what differs from the server's own · `listening` a loopback port or a UNIX socket ·
`entrance` how many come in · `reload` SIGHUP · `logs` · `serving` the process. May import endpoints, wire, telemetry,
resource_server and core: no database, no Redis, no pydantic. Tests hold its memory to 60 MB, and in a crowd to 64 MiB.
"""
