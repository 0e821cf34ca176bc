"""Every setting: its name in the environment (`AUTHSERVER_` and the name in capitals), type, default and meaning.

A secret may come from a file: `AUTHSERVER_SECRET_KEY_FILE=/run/secrets/key`. An unknown `AUTHSERVER_*` name is
an error, so that a misspelt setting is never ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from authserver.core.errors import ConfigurationError
from authserver.core.resource import SigningAlg
from authserver.core.text_file import UnreadableFile, read_text
from authserver.endpoints.forward_rules_file import read_rules

PREFIX = "AUTHSERVER_"
FILE_SUFFIX = "_FILE"
MIN_SECRET_CHARACTERS = 32

#: The settings that may be given as the name of a file.
FILE_SETTINGS = ("secret_key", "admin_token", "database_url", "redis_url")

#: Those that a running server takes over when their file changes.
RELOADED_SETTINGS = ("secret_key", "admin_token")

_MAX_FILE_BYTES = 64 * 1024
_LIST = re.compile(r"[\s,]+")
_ISSUER = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?")


class Settings(BaseModel):
    """All settings of one process, validated together before anything is opened."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    issuer: str | None = Field(
        default=None, description="The issuer URL, `iss` of every token; https in production. Required without --dev."
    )
    data_dir: Path = Field(
        default=Path("data"), description="The directory of the SQLite file and, with --dev, of the generated secrets."
    )
    database_url: SecretStr | None = Field(
        default=None, description="The database; by default SQLite in the data directory: sqlite:///data/authserver.db."
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="A Redis that all instances share: redis://, rediss://, redis+sentinel://, redis+cluster://. "
        "Without it an instance hears of the others' revocations within half a second, with it before its next answer.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Encrypts the signing keys at rest: 32 characters or more, or several, separated by commas: the "
        "first encrypts, all decrypt. Required without --dev.",
    )
    admin_token: SecretStr | None = Field(
        default=None,
        description="The bearer token of the management API. Without it only tokens of our own work there.",
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on.")
    workers: int = Field(
        default=1, ge=1, le=128, description="Worker processes; more than one needs AUTHSERVER_REDIS_URL."
    )
    access_token_ttl: int = Field(
        default=3600, ge=1, description="Lifetime of an access token in seconds, unless client or resource say less."
    )
    max_access_token_ttl: int = Field(
        default=86400, ge=1, le=31_536_000, description="The longest lifetime in seconds that anybody may configure."
    )
    signing_alg: SigningAlg = Field(
        default=SigningAlg.ES256, description="The algorithm for audiences that are not registered as a resource."
    )
    default_audience: str | None = Field(
        default=None, description="`aud` for a client without audiences of its own; by default the issuer."
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Networks whose X-Forwarded-For is believed for the address in the log, by commas."
    )
    key_rotation_seconds: int = Field(
        default=90 * 86400, ge=3600, description="A signing key is replaced after this many seconds."
    )
    key_publish_lead_seconds: int = Field(
        default=600, ge=0, description="A new key stands in the JWKS for this many seconds before it signs."
    )
    jwks_max_age_seconds: int = Field(
        default=300, ge=0, description="How long the JWKS may be cached (Cache-Control max-age); at most the lead."
    )
    leeway_seconds: int = Field(
        default=60,
        ge=0,
        le=300,
        description="Clock difference allowed to verifiers: how long revocations outlive `exp`.",
    )
    database_grace_seconds: int = Field(
        default=300, ge=0, description="How long known clients get tokens while the database is away."
    )
    revocation_grace_seconds: int = Field(
        default=5,
        ge=1,
        description="Without Redis: how old the knowledge of revocations may be before introspection answers 503.",
    )
    client_cache_size: int = Field(default=50_000, ge=1, description="How many clients are held in memory.")
    introspection_misses_per_minute: int = Field(
        default=1000, ge=1, description="Unknown tokens that one caller may introspect in a minute before it gets 429."
    )
    shutdown_delay_seconds: int = Field(
        default=5,
        ge=0,
        le=600,
        description="How long the server goes on after SIGTERM, not ready any more, so that nobody sends requests here "
        "when it closes; with --dev 0 by default.",
    )
    shutdown_grace_seconds: int = Field(
        default=10, ge=0, description="How long requests may finish once the server has closed."
    )
    request_seconds: float = Field(
        default=10,
        gt=0,
        le=600,
        description="Seconds a caller may take for the head and for the body of a request, or stay idle in between.",
    )
    max_requests: int = Field(
        default=1000,
        ge=1,
        description="Requests a worker has at hand at a time; more get 503, the health endpoints excepted.",
    )
    max_connections: int = Field(
        default=10_000, ge=1, description="Open connections of a worker; further ones get 503."
    )
    forward_auth_rules: Path | None = Field(
        default=None,
        description="A JSON file that maps methods and paths to scopes for /forward-auth, read at the start. "
        "Without it a request needs what the proxy asks for, and no more.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level logged."
    )
    log_format: Literal["json", "text"] | None = Field(
        default=None, description="json, or text for people; by default text with --dev, else json."
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part) for part in _LIST.split(value) if part)
        return value

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """Return the secret keys, the encrypting one first."""
        if self.secret_key is None:
            return ()
        return tuple(part for part in _LIST.split(self.secret_key.get_secret_value()) if part)

    @property
    def admin_tokens(self) -> tuple[str, ...]:
        """Return the admin tokens: one, or several by commas while one is being replaced."""
        if self.admin_token is None:
            return ()
        return tuple(part for part in _LIST.split(self.admin_token.get_secret_value()) if part)

    @property
    def database(self) -> str:
        """Return the database URL, by default the SQLite file in the data directory."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'authserver.db'}"


def setting_name(field: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + field.upper()


def read_settings(environment: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read and validate the settings; raise ConfigurationError with one line for each problem.

    `overrides` (command line options) win over the environment.
    """
    given = {k: v for k, v in (os.environ if environment is None else environment).items() if k.startswith(PREFIX)}
    problems: list[str] = []
    values: dict[str, object] = {}
    for name, value in sorted(given.items()):
        field = name.removeprefix(PREFIX).lower()
        if field in Settings.model_fields:
            values[field] = value
        elif field.upper().endswith(FILE_SUFFIX) and field[: -len(FILE_SUFFIX)] in FILE_SETTINGS:
            if given.get(name.removesuffix(FILE_SUFFIX)):
                problems.append(f"{name}: the value is also set directly; unset one of the two.")
            values[field[: -len(FILE_SUFFIX)]] = _read_file(name, value, problems)
        else:
            problems.append(f"{name} is no setting of this version; see `authserver doctor --settings` for all names.")
    values |= {k: v for k, v in overrides.items() if v is not None}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [f"{setting_name(str(e['loc'][0]))}: {e['msg']}." for e in error.errors(include_input=False)]
        raise ConfigurationError(*problems) from None
    if problems:
        raise ConfigurationError(*problems)
    return settings


def read_reloaded(environment: Mapping[str, str] | None = None) -> Settings:
    """Read again what a running server takes over, everything else at its default; raise ConfigurationError."""
    names = {setting_name(field) + suffix for field in RELOADED_SETTINGS for suffix in ("", FILE_SUFFIX)}
    given = os.environ if environment is None else environment
    return read_settings({name: value for name, value in given.items() if name in names})


def _read_file(name: str, path: str, problems: list[str]) -> str:
    try:
        return read_text(Path(path), max_bytes=_MAX_FILE_BYTES).strip()
    except UnreadableFile as reason:
        problems.append(f"{name}: cannot read the file ({reason}); name a readable text file.")
        return ""


def production_problems(settings: Settings) -> list[str]:
    """Say what keeps a server without --dev from starting: everything that is missing or unsafe, at once."""
    problems = []
    if settings.issuer is None:
        problems.append("AUTHSERVER_ISSUER is missing: set the https URL by which clients reach this server.")
    elif settings.issuer.startswith("http:"):
        problems.append("AUTHSERVER_ISSUER must be an https URL; plain http is for --dev only.")
    if not settings.secret_keys:
        problems.append(
            "AUTHSERVER_SECRET_KEY is missing: set 32 random characters or more (openssl rand -hex 32), and keep them."
        )
    if os.environ.get("AUTHLIB_INSECURE_TRANSPORT"):
        problems.append("AUTHLIB_INSECURE_TRANSPORT is set: unset it, any value switches a safety check off.")
    return problems + common_problems(settings)


def common_problems(settings: Settings) -> list[str]:
    """Say what is wrong in any mode."""
    problems = []
    if settings.issuer is not None:
        problems += _issuer_problems(settings.issuer)
    if any(len(key) < MIN_SECRET_CHARACTERS for key in settings.secret_keys):
        problems.append(f"AUTHSERVER_SECRET_KEY: each key needs {MIN_SECRET_CHARACTERS} characters or more.")
    if any(len(token) < MIN_SECRET_CHARACTERS for token in settings.admin_tokens):
        problems.append(f"AUTHSERVER_ADMIN_TOKEN needs {MIN_SECRET_CHARACTERS} characters or more.")
    if settings.workers > 1 and settings.redis_url is None:
        problems.append(
            "AUTHSERVER_WORKERS: more than one needs AUTHSERVER_REDIS_URL, by which all see a revocation at once."
        )
    if settings.access_token_ttl > settings.max_access_token_ttl:
        problems.append("AUTHSERVER_ACCESS_TOKEN_TTL is greater than AUTHSERVER_MAX_ACCESS_TOKEN_TTL.")
    if settings.jwks_max_age_seconds > max(settings.key_publish_lead_seconds, 0):
        problems.append("AUTHSERVER_JWKS_MAX_AGE_SECONDS must not exceed AUTHSERVER_KEY_PUBLISH_LEAD_SECONDS.")
    if settings.signing_alg is SigningAlg.HS256:
        problems.append("AUTHSERVER_SIGNING_ALG: HS256 needs a registered resource with a secret of its own.")
    if settings.forward_auth_rules is not None:
        try:
            read_rules(settings.forward_auth_rules)
        except ConfigurationError as error:
            problems += error.problems
    return problems


def _issuer_problems(issuer: str) -> list[str]:
    """Say what is wrong with the issuer: it becomes a claim and the start of URLs, so nothing odd may be in it."""
    try:
        good = _ISSUER.fullmatch(issuer) and urlsplit(issuer).hostname and urlsplit(issuer).port != 0
    except ValueError:  # a port that is no number, or brackets around no address
        good = False
    return [] if good else ["AUTHSERVER_ISSUER must be an http(s) URL without query, fragment or user (RFC 8414 §2)."]
