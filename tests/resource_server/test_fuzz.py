"""Any input: a refusal, or a configuration error, and nothing else."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.errors import ConfigurationError
from authserver.core.resource import SigningAlg
from authserver.resource_server import (
    InvalidToken,
    MalformedRequest,
    MissingToken,
    Refusal,
    ThreadVerifier,
    VerifierConfig,
    bearer_token,
)
from authserver.resource_server.check import TokenCheck
from authserver.resource_server.key_set import UnknownKey, public_keys
from authserver.resource_server.revocations import FeedPage, RevocationCopy
from tests.resource_server.issuer import Issuer

#: Texts with half surrogate pairs too, which JSON can escape.
TEXTS = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)
ENTRY = {"kind": "jti", "value": "019a0000-0000-7000-8000-000000000000", "revoked_at_ms": 1, "expires_at": 2}
PAGE = {
    "cursor": "e.1",
    "as_of": 1.0,
    "known_after_ms": 5,
    "jwks": "",
    "snapshot": True,
    "more": False,
    "entries": [ENTRY],
}


@cache
def issuer() -> Issuer:
    """Return one issuer for all examples."""
    return Issuer()


@cache
def check() -> TokenCheck:
    """Return its check."""
    return issuer().check()


@cache
def verifier() -> ThreadVerifier:
    """Return a verifier that has this check and asks nobody."""
    made = ThreadVerifier.from_config(issuer().document(), follow_revocations=False)
    made._engine.check, made._engine.has_started = check(), True
    return made


def assert_refused(token: str) -> None:
    """Assert that the check refuses, whatever it is."""
    with pytest.raises((InvalidToken, UnknownKey)):
        check().verify(token)


def altered(document: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return documents with one or more members replaced by anything, or left out."""
    names = st.sampled_from(sorted(document))
    left_out = st.lists(names, max_size=2)
    changes = st.dictionaries(names, JSON, max_size=3)
    return st.builds(
        lambda out, change: {k: v for k, v in (document | change).items() if k not in out}, left_out, changes
    )


@given(TEXTS, st.integers(0, 2))
def test_fuzz_any_text(text: str, place: int) -> None:
    """Whatever text stands for a token or for a segment of a good one, it is refused; so it is at the verifier."""
    parts = issuer().mint().split(".")
    parts[place] = text
    for token in (text, ".".join(parts)):
        assert_refused(token)
        with pytest.raises(Refusal):
            verifier().verify(token)


@given(JSON)
def test_fuzz_any_signed_payload(value: Any) -> None:
    """Whatever JSON is signed in place of claims, it is refused."""
    assert_refused(issuer().mint(None, encode_any(value)))


@given(altered(Issuer.claims(issuer())))
def test_fuzz_any_claims(claims: dict[str, Any]) -> None:
    """Claims with members of any value are refused or are those of a token whose texts can be written."""
    try:
        token = check().verify(issuer().mint(None, encode_any(claims)))
    except InvalidToken:
        return
    repr(token).encode()
    assert token.expires_at == claims["exp"]


@given(altered({"alg": "ES256", "kid": "key-1", "typ": "at+jwt"}) | JSON)
def test_fuzz_any_header(header: Any) -> None:
    """Whatever JSON is signed as a header, only an honest one is let through."""
    token = issuer().mint(encode_any(header))
    if header == issuer().header():
        assert check().verify(token)
    else:
        assert_refused(token)


@given(TEXTS | TEXTS.map(lambda text: f"Bearer {text}"), TEXTS, TEXTS)
def test_fuzz_any_authorization(value: str, query: str, form: str) -> None:
    """Whatever stands in header, query and form, the outcome is a token in ASCII or a refusal."""
    for values in ([value], [value, value], []):
        try:
            token = bearer_token(values, query=query, form=form)
        except (MissingToken, MalformedRequest, InvalidToken):
            continue
        assert token.isascii()


@given(JSON | altered(Issuer.document(issuer())) | altered(Issuer(SigningAlg.HS256).document()))
def test_fuzz_any_configuration(document: Any) -> None:
    """Whatever a document says, the outcome is a configuration or an error that can be shown."""
    try:
        config = VerifierConfig.of(json.loads(json.dumps(document)))
    except ConfigurationError:
        return
    assert config.algorithms
    assert config.audience


@given(JSON | st.lists(altered(Issuer.jwk(issuer()))).map(lambda keys: {"keys": keys}))
def test_fuzz_any_key_set(document: Any) -> None:
    """Whatever is published, the outcome is keys or ValueError."""
    try:
        keys = public_keys(json.dumps(document).encode(), [SigningAlg.ES256])
    except ValueError:
        return
    assert all(key.alg is SigningAlg.ES256 for key in keys.values())


@given(JSON | altered(PAGE) | altered(ENTRY).map(lambda entry: {**PAGE, "entries": [entry]}))
def test_fuzz_any_feed_page(document: Any) -> None:
    """Whatever the feed answers, the outcome is a page that is taken up whole, or ValueError and nothing known."""
    copy = RevocationCopy()
    try:
        page = FeedPage.read(json.loads(json.dumps(document)), workspace_id="default")
        copy.take(page, known_at=5.0, now_seconds=int(page.as_of))
    except ValueError:
        assert (copy.known_at, copy.cursor, len(copy)) == (None, None, 0)
        return
    assert copy.cursor == document["cursor"]
    assert copy.known_at == (None if document["more"] else 5.0)


def encode_any(value: Any) -> bytes:
    """Return JSON in ASCII: half a surrogate pair becomes an escape."""
    return json.dumps(value).encode()
