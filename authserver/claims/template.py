r"""Claims templates: a JSON object with holes, compiled when it is saved, rendered into each token.

    accept request.plan
    {
      "user_id": {{ client.trusted_metadata.stytch_user_id }},
      "tenant": {{ required client.trusted_metadata.tenant }},
      "plan": {{ request.plan || client.trusted_metadata["default plan"] || "free" }},
      "https://example.com/label": "{{ client.client_name }} in {{ workspace.name }}"
    }

Values. `{{ path }}` alone is the value itself, with its JSON type. Inside a string it is written as text:
strings, numbers, true and false; an object or an array counts as missing there. Values are data: braces
that come out of metadata are never read again. `\u007b{` in a string of the template means the text `{{`.

Paths. Names after dots, `["any key"]`, `[0]` for the first element of an array. They start with one of
    client      client_id client_name client_description status scope audiences created_at trusted_metadata
    workspace   workspace_id name
    token       client_id sub aud scope iat exp jti iss credential_id workspace_id
    request     what the caller sends, only as declared by `accept request.NAME, …` lines in front. The caller
                chooses these values freely: name their claims so that nobody takes them for verified facts.
Nothing else can be named.

Missing values. A value is missing when it is absent or null. `||` goes on to the next path or ends with plain
JSON. What is still missing leaves out its claim, member or array element; a string goes as a whole. With
`required` in front it is an error instead, and no token is issued.

Names. Registered claims (RFC 7519 §4.1, RFC 9068 §2.2) and those of the server are refused, in any case.
The result is a payload only; the header (RFC 7515 §4) is out of its reach.

Limits. Source 16 KB; 16 levels of objects, arrays and braces; 100 members, elements and braces in strings
together; fixed part and result 4,096 bytes of UTF-8 JSON each; 16 request parameters, each of at most 256 characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from authserver.claims.compiler import Context, compile_members, static_form
from authserver.claims.errors import ClaimsTooLarge
from authserver.claims.names import REQUEST
from authserver.claims.parser import parse
from authserver.claims.plain_json import UNWRITABLE, encode, has_odd_number, is_plain
from authserver.claims.reader import refusal
from authserver.core.errors import InvalidRequest
from authserver.core.json_value import Json

MAX_SOURCE_BYTES: Final = 16 * 1024
MAX_CLAIMS_BYTES: Final = 4_096
MAX_PARAMETER_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ClaimsTemplate:
    """A compiled template. `request_parameters` are the names that it accepts from the caller."""

    source: str = field(repr=False)
    request_parameters: frozenset[str]
    build: Callable[[Context], dict[str, Json]] = field(repr=False)

    def render(self, context: Context) -> dict[str, Json]:
        """Return the claims for one token: a fresh dict whose values are shared with `context`.

        `context` holds a mapping for each root, of plain JSON values. Raises InvalidRequest for a request
        parameter or a value that cannot be a claim, MissingClaim for a required one, ClaimsTooLarge.
        Put the registered claims in last, so that they would win in any case.
        """
        if self.request_parameters:
            self._check_parameters(context.get(REQUEST, {}))
        claims = self.build(context)
        _check_claims(claims)
        return claims

    def _check_parameters(self, sent: Mapping[str, Any]) -> None:
        for name in self.request_parameters:
            value = sent.get(name)
            if value is None:
                continue
            if not isinstance(value, str) or len(value) > MAX_PARAMETER_CHARACTERS:
                raise InvalidRequest(f"{name} is not a string of at most {MAX_PARAMETER_CHARACTERS} characters")


def compile_template(source: str) -> ClaimsTemplate:
    """Return the compiled template; raise InvalidTemplate with the line, the column and what to do."""
    _check_source(source)
    document = parse(source)
    if len(encode(static_form(document.claims))) > MAX_CLAIMS_BYTES:
        raise refusal(f"its fixed part alone exceeds the {MAX_CLAIMS_BYTES} bytes that the claims may take")
    return ClaimsTemplate(
        source=source,
        request_parameters=document.request_parameters,
        build=compile_members(document.claims),
    )


def _check_source(source: str) -> None:
    try:
        too_long = len(source) > MAX_SOURCE_BYTES or len(source.encode()) > MAX_SOURCE_BYTES
    except UnicodeEncodeError:
        raise refusal("a lone surrogate is not text") from None
    if too_long:
        raise refusal(f"longer than {MAX_SOURCE_BYTES} bytes")


def _check_claims(claims: dict[str, Json]) -> None:
    """Refuse what is no JSON or too much of it. The C encoder is quicker than any estimate in Python."""
    try:
        encoded = encode(claims)
    except UNWRITABLE:
        raise _unwritable(claims) from None
    if len(encoded) > MAX_CLAIMS_BYTES:
        raise ClaimsTooLarge(f"the claims take {len(encoded)} of at most {MAX_CLAIMS_BYTES} bytes")
    if b"null" in encoded and has_odd_number(claims):  # the encoder writes NaN and Infinity as null
        raise _unwritable(claims)


def _unwritable(claims: dict[str, Json]) -> InvalidRequest:
    names = ", ".join(name for name, value in claims.items() if not is_plain(value))
    return InvalidRequest(f"claims with a value that is not JSON: {names}")
