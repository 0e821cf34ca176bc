"""The verifier configuration: one JSON document that says whose tokens a service takes, and how it checks them.

`authserver resources export` and the authorization server itself write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from authserver.core.connection import is_loopback
from authserver.core.errors import ConfigurationError
from authserver.core.json_value import Json
from authserver.core.resource import SigningAlg
from authserver.core.scope import Inclusion, close_inclusion
from authserver.core.text_file import UnreadableFile, read_text
from authserver.jose.compact import decode_segment
from authserver.jose.errors import UntrustedToken

MIN_SECRET_BYTES = 32
MAX_DOCUMENT_BYTES = 256 * 1024

#: A `typ` of the document, and the spellings of it that a header may have (RFC 9068 §4, RFC 7515 §4.1.9).
_TYPES = {"at+jwt": frozenset(("at+jwt", "application/at+jwt")), "JWT": frozenset(("JWT",))}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierConfig:
    """What a verifier insists on, and where it learns the rest.

    `secrets` are the keys of an HS256 resource by `kid`, empty for all others. An endpoint that the document does not
    name is None.
    """

    issuer: str
    audience: str
    workspace_id: str
    algorithms: frozenset[SigningAlg]
    types: frozenset[str]
    inclusion: Inclusion
    jwks_uri: str | None = None
    revocations_endpoint: str | None = None
    introspection_endpoint: str | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: str | Path, *, allow_http: bool = False) -> VerifierConfig:
        """Return the configuration in a file; raise ConfigurationError as `of` does."""
        advice = "write it with `authserver resources export`"
        try:
            document = json.loads(read_text(Path(path), max_bytes=MAX_DOCUMENT_BYTES))
        except UnreadableFile as reason:
            raise ConfigurationError(f"{path}: cannot be read ({reason}); {advice}") from None
        except (ValueError, RecursionError):
            raise ConfigurationError(f"{path}: is not valid JSON; {advice}") from None
        return cls.of(document, allow_http=allow_http)

    @classmethod
    def of(cls, document: Json, *, allow_http: bool = False) -> VerifierConfig:
        """Return the configuration that a document describes.

        Raises ConfigurationError, one line for each problem. URLs must be https; plain http is for loopback, or for a
        network that `allow_http` vouches for. Members that are not known are left alone.
        """
        reader = _Reader(document, allow_http=allow_http)
        algorithms = reader.algorithms()
        config = cls(
            issuer=reader.url("issuer") or "",
            audience=reader.audience(),
            workspace_id=reader.text("workspace_id"),
            algorithms=algorithms,
            types=_TYPES[reader.choice("typ", _TYPES)],
            inclusion=reader.inclusion(),
            jwks_uri=None if SigningAlg.HS256 in algorithms else reader.url("jwks_uri"),
            revocations_endpoint=reader.url("revocations_endpoint", required=False),
            introspection_endpoint=reader.url("introspection_endpoint", required=False),
            secrets=reader.secrets() if SigningAlg.HS256 in algorithms else {},
        )
        if reader.problems:
            raise ConfigurationError(*reader.problems)
        return config


class _Reader:
    """Reads a document member by member and notes what is wrong."""

    def __init__(self, document: Json, *, allow_http: bool) -> None:
        self.problems: list[str] = []
        self._allow_http = allow_http
        self._document: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
        if not self._document:
            self.problems.append("The verifier configuration is not a JSON object.")

    def text(self, name: str) -> str:
        value = self._document.get(name)
        if isinstance(value, str) and value:
            return value
        self.problems.append(f"{name}: must be a string, and is missing.")
        return ""

    def audience(self) -> str:
        value = self.text("audience")
        if value and not _is_identifier(value):
            self.problems.append(
                'audience: must be a URI in ASCII without spaces, " and \\; with a host if it is http(s).'
            )
        return value

    def choice(self, name: str, choices: Mapping[str, object]) -> str:
        value = self._document.get(name)
        if isinstance(value, str) and value in choices:
            return value
        self.problems.append(f"{name}: must be one of {', '.join(choices)}.")
        return next(iter(choices))

    def url(self, name: str, *, required: bool = True) -> str | None:
        if not required and self._document.get(name) is None:
            return None
        value = self.text(name)
        if value and not is_safe_url(value, allow_http=self._allow_http):
            self.problems.append(f"{name}: must be an https URL; plain http is for loopback (or say allow_http).")
        return value

    def algorithms(self) -> frozenset[SigningAlg]:
        named = self._list("algorithms")
        known = frozenset(alg for alg in SigningAlg if alg.value in named)
        if not named or len(known) != len(named):
            self.problems.append(f"algorithms: must be a list of some of {', '.join(SigningAlg)}, each once.")
        if SigningAlg.HS256 in known and len(known) > 1:
            self.problems.append("algorithms: HS256 stands alone; beside it a public key could pass for a secret.")
        return known

    def inclusion(self) -> Inclusion:
        scopes = self._document.get("scopes", [])
        if not isinstance(scopes, list) or not all(map(_is_scope, scopes)):
            self.problems.append("scopes: each needs a name, and may list what it includes.")
            return {}
        return close_inclusion({scope["name"]: scope.get("includes", []) for scope in scopes})

    def secrets(self) -> Mapping[str, bytes]:
        """Return the secrets of the document's own key set, and of nowhere else: a key that is fetched is public."""
        jwks = self._document.get("jwks")
        keys = jwks.get("keys") if isinstance(jwks, dict) else None
        found: dict[str, bytes] = {}
        for key in keys if isinstance(keys, list) else ():
            kid, secret = _secret(key)
            if kid and kid not in found:
                found[kid] = secret
            else:
                self.problems.append("jwks: a key of HS256 is `oct`, with a `kid` of its own, and `k` in base64url.")
        if not found or any(len(secret) < MIN_SECRET_BYTES for secret in found.values()):
            self.problems.append(f"jwks: HS256 needs a secret of {MIN_SECRET_BYTES} bytes or more (RFC 7518 §3.2).")
        return found

    def _list(self, name: str) -> Sequence[Any]:
        value = self._document.get(name)
        return value if isinstance(value, list) else ()


def _is_scope(entry: Json) -> bool:
    if not isinstance(entry, dict):
        return False
    name, includes = entry.get("name"), entry.get("includes", [])
    return bool(name) and _are_texts([name]) and isinstance(includes, list) and _are_texts(includes)


#: Where the verifier configuration is: a file, a URL of the authorization server, or the document itself, read or not.
ConfigSource = str | Path | Mapping[str, Json] | VerifierConfig


def config_of(source: ConfigSource, *, allow_http: bool) -> VerifierConfig | str:
    """Return the configuration, or the URL that will answer it; raise ConfigurationError for what cannot be used."""
    if isinstance(source, VerifierConfig):
        return source
    if isinstance(source, Mapping):
        return VerifierConfig.of(source, allow_http=allow_http)
    if isinstance(source, str) and source.startswith(("https:", "http:")):
        if not is_safe_url(source, allow_http=allow_http):
            raise ConfigurationError(
                "the configuration's URL must be https; plain http is for loopback (or allow_http)."
            )
        return source
    return VerifierConfig.read(source, allow_http=allow_http)


def is_safe_url(url: str, *, allow_http: bool) -> bool:
    """Tell whether what such a URL answers comes from whom it names: https, or plain http that stays on this host."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False  # two parsers might read it in two ways
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (allow_http or is_loopback(host)))


def _is_identifier(text: str) -> bool:
    """Tell whether a text can stand in a challenge, and the URL of the metadata be made of it (RFC 9728 §3.1)."""
    if not text.isascii() or not text.isprintable() or any(character in text for character in ' "\\'):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme not in ("https", "http") or bool(parts.hostname)


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _secret(key: Json) -> tuple[str, bytes]:
    """Return `kid` and secret of a JWK (RFC 7518 §6.4); two empty values for what is none."""
    if not isinstance(key, dict) or key.get("kty") != "oct" or key.get("alg", SigningAlg.HS256) != SigningAlg.HS256:
        return "", b""
    kid, encoded = key.get("kid"), key.get("k")
    if not isinstance(kid, str) or not isinstance(encoded, str):
        return "", b""
    try:
        return kid, decode_segment(encoded.encode())
    except (UntrustedToken, ValueError):
        return "", b""
