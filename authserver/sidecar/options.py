"""What a sidecar is told, and what it reads of it: at the start, and again at SIGHUP."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from authserver.core.errors import ConfigurationError
from authserver.core.text_file import UnreadableFile, read_secret
from authserver.endpoints.forward_rules import Rules
from authserver.endpoints.forward_rules_file import read_rules
from authserver.resource_server import Verifier

#: Tokens whose signature is remembered. Each takes some 4 KB; one that was forgotten costs another verification.
CACHE_ENTRIES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `authserver sidecar`, by name.

    `config` is a path or a URL. The secret is in `client_secret_file` or, from the environment, in `client_secret`.
    """

    config: str
    client_id: str | None
    client_secret_file: Path | None
    client_secret: str | None = field(repr=False)
    rules: Path | None
    max_staleness_seconds: float
    fail_open: bool
    leeway_seconds: int
    allow_http: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the options name, read: a verifier that has not started, and the rules of forward-auth, if any."""

    verifier: Verifier
    rules: Rules | None


def read_sources(options: Options) -> Sources:
    """Read configuration, secret and rules; raise ConfigurationError with one line for each problem."""
    problems: list[str] = []
    secret: str | Path = ""
    rules, verifier = None, None
    if not options.client_id:
        problems.append("--client-id: is missing; name the resource server's client, which reads the revocation feed.")
    try:
        secret = _secret(options)
    except ConfigurationError as error:
        problems += error.problems
    try:
        rules = None if options.rules is None else read_rules(options.rules, setting="--rules")
    except ConfigurationError as error:
        problems += error.problems
    try:
        verifier = Verifier.from_config(
            options.config,
            client_id=options.client_id or "",
            client_secret=secret,
            leeway_seconds=options.leeway_seconds,
            max_staleness_seconds=options.max_staleness_seconds,
            fail_open=options.fail_open,
            cache_entries=CACHE_ENTRIES,
            allow_http=options.allow_http,
        )
    except ConfigurationError as error:
        problems += [f"--config: {problem}" for problem in error.problems]
    if problems or verifier is None:
        raise ConfigurationError(*problems)
    return Sources(verifier=verifier, rules=rules)


def _secret(options: Options) -> str | Path:
    """Return the secret, or its file once it could be read: the verifier reads it again whenever it is sent."""
    file = options.client_secret_file
    if file is not None and options.client_secret is not None:
        raise ConfigurationError("--client-secret-file: AUTHSERVER_SIDECAR_CLIENT_SECRET is set as well; say one.")
    if file is None:
        if options.client_secret is None:
            raise ConfigurationError(
                "--client-secret-file: is missing; name the secret's file, or set AUTHSERVER_SIDECAR_CLIENT_SECRET."
            )
        return options.client_secret
    try:
        read_secret(file)
    except UnreadableFile as reason:
        raise ConfigurationError(f"--client-secret-file: cannot read {file} ({reason}).") from None
    return file
