"""Rules of forward-auth: a map from method and path to the scopes that a request needs. Parsed and matched, no I/O.

    {
      "rules": [
        {"methods": ["GET"], "path": "/orders/*", "scope": "read"},
        {"methods": ["*"], "path": "/public/**", "anonymous": true}
      ],
      "claims": {"user_id": "X-Auth-User-Id"}
    }

The first rule that fits decides; a request that none fits is refused. `*` is one segment of a path, `**` at its end
the rest, if any. A path that fits in other capitals only is refused: a service may take `/ADMIN` for `/admin`. A rule
with a `resource` is for that audience, and for proxies that name it or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from authserver.core.errors import AccessDenied, InvalidScope
from authserver.core.identifiers import ADMIN_RESOURCE
from authserver.core.json_value import Json
from authserver.core.scope import Scopes, parse_scope
from authserver.endpoints.forward_path import MAX_PATH_CHARACTERS, SPECIAL, is_composed, plain_path
from authserver.resources.identifier import check_identifier

MAX_RULES: Final = 1000
MAX_CLAIMS: Final = 20
MAX_CLAIM_CHARACTERS: Final = 128

#: Claims to hand on: the name of each, and the header that it goes into, in lower case.
ClaimHeaders = tuple[tuple[str, bytes], ...]

_EVERY_METHOD = "*"
_METHOD = re.compile(r"[A-Z]{1,20}(?:-[A-Z]{1,20})?")
_HEADER = re.compile(r"x-auth(?:-[a-z0-9]{1,40}){1,8}", re.IGNORECASE)
_RESERVED_HEADERS = frozenset(
    ("x-auth-client-id", "x-auth-subject", "x-auth-scope", "x-auth-workspace", "x-auth-knowledge-age")
)
_CLAIM_PREFIX = "x-auth-claim-"
_RULE_MEMBERS = frozenset(("methods", "path", "scope", "any_scope", "anonymous", "resource"))

T = TypeVar("T")


class RulesRefused(Exception):
    """The document is no set of rules. `problems` has one line for each fault: its place, and what is wrong."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class ScopeNeeds:
    """Scopes that a request needs: each of `all_of`, and one of `any_of` unless that is empty."""

    all_of: Scopes = ()
    any_of: Scopes = ()

    def met_by(self, scopes: frozenset[str]) -> bool:
        """Tell whether these scopes are enough."""
        return scopes.issuperset(self.all_of) and (not self.any_of or not scopes.isdisjoint(self.any_of))


_Matchers = Sequence[tuple[Callable[[str], object], "Rule"]]

#: A good token is enough.
NO_NEEDS: Final = ScopeNeeds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What requests of some methods and paths need; `methods` None is every method."""

    methods: frozenset[str] | None
    path: re.Pattern[str]
    path_in_any_case: re.Pattern[str]
    needs: ScopeNeeds
    anonymous: bool
    resource: str | None


class Rules:
    """All rules in their order, and the `claims` that every answer hands on."""

    __slots__ = ("_by_method", "_for_others", "claims")

    def __init__(self, rules: Sequence[Rule], claims: ClaimHeaders = ()) -> None:
        """Sort the rules by method, so that a request is compared with those for its own alone."""
        self.claims = claims
        named = {method for rule in rules for method in rule.methods or ()}
        self._by_method = {method: _matchers(rules, method) for method in named}
        self._for_others = _matchers(rules, None)

    def find(self, method: str, uri: str, resource: str | None) -> Rule:
        """Return the first rule that fits a method and a raw request target, behind a proxy that names `resource`.

        Raises AccessDenied when none does, and when that one fits but for capitals: a later one must not decide.
        """
        if not method or not uri:
            raise AccessDenied("the rules need the original method and URI, and the proxy has not said both")
        if not _METHOD.fullmatch(method):  # `post` is POST for some services: it must not slip by a rule for POST
            raise AccessDenied("the original method is not written in capitals")
        path = plain_path(uri.partition("?")[0])
        for fits, rule in self._by_method.get(method, self._for_others):
            if fits(path) and (resource is None or rule.resource is None or rule.resource == resource):
                if not rule.path.fullmatch(path):
                    raise AccessDenied("the original path differs from a rule's in capitals alone")
                return rule
        raise AccessDenied("no rule fits the original method and path")


def _matchers(rules: Iterable[Rule], method: str | None) -> _Matchers:
    return [(rule.path_in_any_case.fullmatch, rule) for rule in rules if rule.methods is None or method in rule.methods]


def parse_rules(text: str) -> Rules:
    """Return the rules of a JSON document; raise RulesRefused with every fault."""
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise RulesRefused(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise RulesRefused(str(error)) from None
    reader = _Reader()
    rules = reader.document(document)
    if reader.problems:
        raise RulesRefused(*reader.problems)
    return rules


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) < len(members):
        names = [name for name, _ in members]
        raise ValueError(f"a member stands twice in one object: {max(names, key=names.count)!a}")
    return made


def _method(text: str) -> str:
    if text != _EVERY_METHOD and not _METHOD.fullmatch(text):
        raise ValueError('is no method: use capitals, or "*" for every method')
    return text


def _pattern(text: str) -> str:
    if not text.startswith("/") or len(text) > MAX_PATH_CHARACTERS:
        raise ValueError(f"begins with / and has at most {MAX_PATH_CHARACTERS} characters")
    segments = text.removesuffix("/").split("/")[1:]
    if "**" in segments[:-1]:
        raise ValueError("has ** before its end")
    if any("*" in segment for segment in segments if segment not in {"*", "**"}):
        raise ValueError("has a * that is not a whole segment")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError("has an empty or a dot segment")
    if not text.isprintable() or any(character in text for character in SPECIAL.replace("/", "").replace(".", "")):
        raise ValueError("is written decoded, without any of \\ % ; ? # and controls, with which no request gets in")
    if not is_composed(text):
        raise ValueError("is not in the normal form NFC of Unicode, and no other gets in: write é as one character")
    return text


def _scope(text: str) -> Scopes:
    try:
        return parse_scope(text)
    except InvalidScope as error:
        raise ValueError(error.reason) from None


def _some_scope(text: str) -> Scopes:
    if not text:
        raise ValueError("is empty")
    return _scope(text)


def _resource(text: str) -> str:
    if text == ADMIN_RESOURCE:
        raise ValueError("is the management API, which judges its callers itself")
    return check_identifier(text)


def _header(text: str) -> str:
    lowered = text.lower()
    if not _HEADER.fullmatch(text) or lowered in _RESERVED_HEADERS or lowered.startswith(_CLAIM_PREFIX):
        raise ValueError(
            "must be a header X-Auth-… of letters, digits and single hyphens, not one the server itself sets"
        )
    return lowered


class _Reader:
    """Reads a document member by member, and notes what is wrong in it, and where."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def document(self, value: Json) -> Rules:
        members = self._members(value, "", {"rules", "claims"})
        entries = self._items(members.get("rules"), "rules", MAX_RULES)
        rules = [self._rule(entry, f"rules[{index}]") for index, entry in enumerate(entries)]
        return Rules(rules, self._claims(members.get("claims", {})))

    def _rule(self, value: Json, place: str) -> Rule:
        before = len(self.problems)
        members = self._members(value, f"{place}.", _RULE_MEMBERS)
        listed = self._items(members.get("methods"), f"{place}.methods", MAX_RULES)
        methods = {self._text(name, f"{place}.methods[{i}]", _method, "") for i, name in enumerate(listed)}
        path = self._text(members.get("path"), f"{place}.path", _pattern, "/")
        scope, any_scope, resource = (members.get(name) for name in ("scope", "any_scope", "resource"))
        needs = ScopeNeeds(
            () if scope is None else self._text(scope, f"{place}.scope", _scope, ()),
            () if any_scope is None else self._text(any_scope, f"{place}.any_scope", _some_scope, ()),
        )
        audience = None if resource is None else self._text(resource, f"{place}.resource", _resource, "")
        anonymous = members.get("anonymous", False)
        if not isinstance(anonymous, bool):
            self._note(f"{place}.anonymous", "must be true or false")
        if (scope is not None) + (any_scope is not None) + (anonymous is True) != 1 and len(self.problems) == before:
            self._note(place, 'says one of scope, any_scope, "anonymous": true; "scope": "" is any good token')
        return Rule(
            methods=None if _EVERY_METHOD in methods else frozenset(methods),
            path=_compiled(path),
            path_in_any_case=_compiled(path, re.IGNORECASE),
            needs=needs,
            anonymous=anonymous is True,
            resource=audience,
        )

    def _claims(self, value: Json) -> ClaimHeaders:
        if not isinstance(value, dict) or len(value) > MAX_CLAIMS:
            self._note("claims", f"must be an object of at most {MAX_CLAIMS} claims")
            return ()
        if not all(0 < len(name) <= MAX_CLAIM_CHARACTERS for name in value):
            self._note("claims", f"a claim has a name of 1 to {MAX_CLAIM_CHARACTERS} characters")
        headers = tuple(
            (name, self._text(value[name], f"claims.{_printable(name)}", _header, "").encode()) for name in value
        )
        if len({header for _, header in headers}) < len(headers):
            self._note("claims", "puts two claims into one header")
        return headers

    def _members(self, value: Json, place: str, known: Collection[str]) -> Mapping[str, Json]:
        if not isinstance(value, dict):
            self._note(place.removesuffix(".") or "the document", "must be a JSON object")
            return {}
        for name in value:
            if name not in known:
                self._note(f"{place}{_printable(name)}", "is unknown here")
        return value

    def _items(self, value: Json, place: str, most: int) -> Sequence[Json]:
        if isinstance(value, list) and 0 < len(value) <= most:
            return value
        self._note(place, f"must be a list with 1 to {most} entries")
        return ()

    def _text(self, value: Json, place: str, read: Callable[[str], T], otherwise: T) -> T:
        if not isinstance(value, str):
            self._note(place, "must be a string")
            return otherwise
        try:
            return read(value)
        except ValueError as error:
            self._note(place, str(error))
            return otherwise

    def _note(self, place: str, problem: str) -> None:
        self.problems.append(f"{place}: {problem}")


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _compiled(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Return what matches the paths that `plain_path` returns."""
    parts = {"*": "/[^/]+", "**": "(?:/.*)?"}
    segments = pattern.removesuffix("/").split("/")[1:]
    return re.compile("".join(parts.get(segment, "/" + re.escape(segment)) for segment in segments), flags)
