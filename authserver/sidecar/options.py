"""What a sidecar is told, and what it reads of it: at the start, and again at SIGHUP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from authserver.core.errors import ConfigurationError
from authserver.core.text_file import UnreadableFile, read_secret
from authserver.endpoints.forward_rules import Rules
from authserver.endpoints.forward_rules_file import read_rules
from authserver.resource_server import CannotVerify, Verifier, VerifierConfig
from authserver.resource_server.check import Limits
from authserver.resource_server.config import config_of
from authserver.resource_server.source import Connection

T = TypeVar("T")

#: Tokens whose signature is remembered. Each takes some 4 KB; one that was forgotten costs another verification.
CACHE_ENTRIES = 500

#: The options, by the names with which the library's problems begin.
_OPTIONS = {
    "client_id": "--client-id",
    "client_secret": "AUTHSERVER_SIDECAR_CLIENT_SECRET",
    "leeway_seconds": "--leeway",
    "max_staleness_seconds": "--max-staleness",
}


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

    async def start(self) -> Verifier:
        """Return the verifier, started, for the caller to close.

        Raises ConfigurationError when the authorization server refuses it, and when the system has no thread for it.
        """
        try:
            await self.verifier.start()
        except CannotVerify as failure:
            raise ConfigurationError(f"The verifier cannot start: {failure.reason}") from None
        return self.verifier


def read_sources(options: Options) -> Sources:
    """Read configuration, secret and rules; raise ConfigurationError with one line for each problem."""
    problems: list[str] = []
    connection = _gathered(problems, lambda: _connection(options))
    rules = _gathered(problems, lambda: None if options.rules is None else read_rules(options.rules, setting="--rules"))
    config = _gathered(problems, lambda: _config(options))
    limits = _gathered(problems, lambda: _limits(options))
    if problems or connection is None or config is None or limits is None:
        raise ConfigurationError(*problems)
    return Sources(verifier=Verifier(config, connection=connection, limits=limits), rules=rules)


def _gathered(problems: list[str], read: Callable[[], T]) -> T | None:
    """Return what is read; None, and its problems among the others, when it cannot be."""
    try:
        return read()
    except ConfigurationError as error:
        problems += map(_by_option, error.problems)
        return None


def _by_option(problem: str) -> str:
    name, _, rest = problem.partition(" ")
    return f"{_OPTIONS[name]}: {rest}" if name in _OPTIONS else problem


def _connection(options: Options) -> Connection:
    problems: list[str] = []
    if not options.client_id:
        problems.append("--client-id: is missing; name the resource server's client, which reads the revocation feed.")
    secret = _gathered(problems, lambda: _secret(options))
    if problems:
        raise ConfigurationError(*problems)
    return Connection(client_id=options.client_id, client_secret=secret, allow_http=options.allow_http)


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


def _config(options: Options) -> VerifierConfig | str:
    try:
        config = config_of(options.config, allow_http=options.allow_http)
    except ConfigurationError as error:
        problems = (problem.replace("allow_http", "--allow-http") for problem in error.problems)
        raise ConfigurationError(*(f"--config: {problem}" for problem in problems)) from None
    if isinstance(config, VerifierConfig) and config.revocations_endpoint is None:
        raise ConfigurationError("--config: revocations_endpoint: is missing; export the document again.")
    return config


def _limits(options: Options) -> Limits:
    return Limits(
        leeway_seconds=options.leeway_seconds,
        max_staleness_seconds=options.max_staleness_seconds,
        fail_open=options.fail_open,
        cache_entries=CACHE_ENTRIES,
    )
