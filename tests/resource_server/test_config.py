"""The verifier configuration: what a document must say, where it comes from, and what is refused at construction."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from authserver.core.resource import SigningAlg
from authserver.resource_server import ConfigurationError, InvalidToken, ThreadVerifier, Verifier, VerifierConfig
from authserver.resource_server.check import Limits
from tests.conformance.forge import b64
from tests.resource_server.issuer import ISSUER, Issuer

ES256 = Issuer()
HS256 = Issuer(SigningAlg.HS256)
CREDENTIALS: dict[str, Any] = {"client_id": "cl_1", "client_secret": "s3cr3t"}
SECRET = b64(b"s" * 32)


def refused(document: Any, about: str, **options: Any) -> None:
    """Assert a ConfigurationError with a line that begins with a member's name."""
    with pytest.raises(ConfigurationError) as caught:
        Verifier.from_config(document, **CREDENTIALS, **options)
    assert any(problem.startswith(about) for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    "name", ["issuer", "audience", "workspace_id", "algorithms", "typ", "jwks_uri", "revocations_endpoint"]
)
def test_rs_02_members_that_must_be_there(name: str) -> None:
    """RS-02: without an audience, or any other member that a check needs, there is no verifier."""
    values: list[Any] = [None, "", 5, [], {}, True]
    for value in values:
        document = ES256.document(**{name: None})
        refused(document if value is None else {**document, name: value}, name)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://as.example/x",
            "http://10.0.0.1/x",
            "ftp://as.example/x",
            "//as.example/x",
            "as.example",
            "file:///x",
        ),
        *("https://", "https://user:pass@as.example/x", "http://localhost@evil.example/", "https://as.example/#x"),
        *("http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "http://0.0.0.0/", "http://2130706433/"),
        *("https://as.exa\nmple/", "https://as.example/ x", "https://äs.example/", "https://\ud800/", "https://a:x/"),
        *("http:127.0.0.1/x", "http://127.0.0.1\\@evil.example/", "https://[::1/x", "javascript:alert(1)"),
    ],
)
@pytest.mark.parametrize("name", ["issuer", "jwks_uri", "revocations_endpoint", "introspection_endpoint"])
def test_rs_08_unsafe_urls(name: str, url: str) -> None:
    """RS-08: plain http that leaves this host, credentials in a URL and what two parsers may read in two ways."""
    refused(ES256.document(**{name: url}), name)


@pytest.mark.parametrize(
    "audience",
    [
        *("https://api.example/日本", "https://münchen.example", "https://api.example/\ud800", "urn:\x7f"),
        *('https://api.example/"q', "https://api.example/\\", "https://api.example/a\r\nSet-Cookie: a=b", "urn:a b"),
        *("https://[api.example", "https://api.example:port", "https://", "https:api.example", "http:///orders"),
    ],
)
def test_an_audience_that_no_challenge_can_name(audience: str) -> None:
    """RFC 9728 §5.1: one line says so at the start; a refusal that cannot be written would be a 500."""
    refused(ES256.document(audience=audience), "audience")
    with pytest.raises(ConfigurationError) as caught:
        VerifierConfig.of(ES256.document(audience=audience))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("audience", ["https://[::1]:8443/a?b=c", "http://api.internal/%E6%97%A5", "urn:a:b", "orders"])
def test_an_audience_of_any_scheme(audience: str) -> None:
    """RFC 9068 §3: any URI may be one; where the description would be is known of http(s) only."""
    assert VerifierConfig.of(ES256.document(audience=audience)).audience == audience


@pytest.mark.parametrize("url", ["http://as.example/c", "http://user@127.0.0.1/c", "https://a b/c"])
def test_rs_08_an_unsafe_url_of_the_configuration(url: str) -> None:
    """RS-08: the configuration itself comes from nobody else either."""
    refused(url, "the configuration's URL")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:1/x", "https://a.example"]
)
def test_loopback_may_be_plain(url: str) -> None:
    """What stays on this host, or is encrypted, is good; `allow_http` vouches for a network."""
    assert VerifierConfig.of(ES256.document(jwks_uri=url)).jwks_uri == url
    assert VerifierConfig.of(ES256.document(jwks_uri="http://as.internal/x"), allow_http=True)


@pytest.mark.parametrize(
    "algorithms",
    [[], ["none"], ["ES256", "ES256"], ["es256"], "ES256", [["ES256"]], [{}], [None], ["HS256", "ES256"], ["ES256", 5]],
)
def test_jose_12_algorithms(algorithms: Any) -> None:
    """JOSE-12, RS-12: none, unknown ones, one twice, or HS256 beside another are no list of algorithms."""
    refused(ES256.document(algorithms=algorithms), "algorithms")
    refused(HS256.document(algorithms=algorithms), "algorithms")


@pytest.mark.parametrize(
    "scopes",
    [
        5,
        "read",
        {"name": "read"},
        [{}],
        [{"name": 5}],
        [{"name": ""}],
        ["read"],
        [{"name": "a", "includes": "b"}],
        [{"name": "a", "includes": [5]}],
    ],
)
def test_scopes_that_are_none(scopes: Any) -> None:
    """A scope that cannot be read is a problem and not left out: inclusion decides what a token allows."""
    refused(ES256.document(scopes=scopes), "scopes")


@pytest.mark.parametrize(
    "keys",
    [
        *(
            [],
            None,
            {},
            [None],
            [5],
            [{}],
            [{"kid": "a", "k": SECRET}],
            [{"kty": "oct", "kid": "a", "k": b64(b"short")}],
        ),
        *([{"kty": "oct", "kid": "a", "k": k}] for k in (SECRET + "=", SECRET + "==", "é", 5, "", SECRET[:-1] + "/")),
        *([{"kty": "oct", "kid": kid, "k": SECRET}] for kid in (None, "", 5)),
        [{"kty": "oct", "kid": "a", "k": SECRET, "alg": "HS512"}],
        [{"kty": "RSA", "kid": "a", "k": SECRET}],
        [{"kty": "oct", "kid": "a", "k": SECRET}, {"kty": "oct", "kid": "a", "k": b64(b"t" * 32)}],
        [{"kty": "oct", "kid": "a", "k": SECRET}, {"kty": "oct", "kid": "b"}],
    ],
)
def test_rs_12_secrets_that_are_none(keys: Any) -> None:
    """RS-12, ROT-06: a secret that is short, mis-spelt, of another kind or of a kid that another has is a problem."""
    refused(HS256.document(jwks={"keys": keys}), "jwks")


def test_rs_12_hs256_by_its_own_document() -> None:
    """RS-12: tokens with a MAC are taken where the document says HS256 and holds the secret, and nowhere else."""
    token = HS256.mint()
    assert HS256.check().verify(token).client_id == "cl_1"
    for elsewhere in (ES256.check(), ES256.check(HS256.jwk(), ES256.jwk())):
        with pytest.raises(InvalidToken):
            elsewhere.verify(token)
    refused(HS256.document(jwks=None, jwks_uri=f"{ISSUER}/jwks"), "jwks")


def test_several_secrets_at_once() -> None:
    """During a rotation the secrets before and after are good, each under its own kid."""
    other = Issuer(SigningAlg.HS256, kid="key-2")
    check = HS256.check(jwks={"keys": [HS256.jwk(), other.jwk()]})
    assert {check.verify(issuer.mint()).kid for issuer in (HS256, other)} == {HS256.kid, other.kid}
    with pytest.raises(InvalidToken):
        check.verify(other.mint(other.header(kid=HS256.kid)))


def test_all_problems_at_once() -> None:
    """An operator mends everything in one go."""
    with pytest.raises(ConfigurationError) as caught:
        VerifierConfig.of({"issuer": "http://x.example", "algorithms": [5]})
    assert len(caught.value.problems) == 6


@pytest.mark.parametrize("document", [[], "x", 5, None, {}])
def test_what_is_no_document(tmp_path: Path, document: Any) -> None:
    """A file with other JSON is refused."""
    path = tmp_path / "verifier.json"
    path.write_text(json.dumps(document))
    refused(path, "The verifier configuration")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000])
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    """A file without JSON, and none at all, is named in the error."""
    path = tmp_path / "verifier.json"
    path.write_bytes(content)
    for source in (path, tmp_path / "absent.json", tmp_path, f"{tmp_path}/\0"):
        refused(source, str(source))


def test_by_path_and_by_text(tmp_path: Path) -> None:
    """A path may be a Path or a text; unknown members are left alone."""
    path = tmp_path / "verifier.json"
    path.write_text(json.dumps(ES256.document(new_member={"a": 1})))
    for source in (path, str(path)):
        assert ThreadVerifier.from_config(source, **CREDENTIALS).config == VerifierConfig.of(ES256.document())


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({"introspection": "sometimes"}, "introspection"),
        ({"leeway_seconds": 61}, "leeway_seconds"),
        ({"leeway_seconds": -1}, "leeway_seconds"),
        ({"leeway_seconds": float("nan")}, "leeway_seconds"),
        ({"max_staleness_seconds": 1}, "max_staleness_seconds"),
        ({"max_staleness_seconds": float("nan")}, "max_staleness_seconds"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], about: str) -> None:
    """An option out of range is refused at construction; a comparison with NaN would let everything through."""
    refused(ES256.document(), about, **options)


def test_an_endpoint_that_is_needed() -> None:
    """Introspection, and following revocations, need their endpoint in the document."""
    for mode in ("foreign", "always"):
        refused(ES256.document(introspection_endpoint=None), "introspection_endpoint", introspection=mode)
    refused(ES256.document(revocations_endpoint=None), "revocations_endpoint")
    assert Verifier.from_config(ES256.document(revocations_endpoint=None), follow_revocations=False)


@pytest.mark.parametrize("given", [{}, {"client_id": "cl_1"}, {"client_secret": "s"}])
def test_credentials_are_needed_or_renounced(given: dict[str, Any]) -> None:
    """Without credentials revocations cannot be followed: that must be said."""
    document = ES256.document()
    cases: list[dict[str, Any]] = [{}, {"introspection": "always", "follow_revocations": False}]
    for options in cases:
        with pytest.raises(ConfigurationError, match="client_id"):
            Verifier.from_config(document, **given, **options)
    with pytest.raises(ConfigurationError, match="client_id"):
        Verifier.from_config("https://as.example/c", **given, follow_revocations=False)
    assert Verifier.from_config(document, **given, follow_revocations=False)


def test_a_document_may_be_read_before(tmp_path: Path) -> None:
    """What `VerifierConfig` has read is taken as it is, from wherever it was."""
    (tmp_path / "verifier.json").write_text(json.dumps(ES256.document()))
    config = VerifierConfig.read(str(tmp_path / "verifier.json"))
    assert Verifier.from_config(config, **CREDENTIALS).config is config


def test_secrets_are_in_no_repr() -> None:
    """U4: neither the configuration nor the connection shows a secret."""
    config = VerifierConfig.of(HS256.document())
    verifier = Verifier.from_config(HS256.document(), **CREDENTIALS)
    shown = repr((config, verifier._engine._connection, Limits(), verifier.status()))
    assert "s3cr3t" not in shown
    assert HS256.jwk()["k"] not in shown
    assert str(next(iter(config.secrets.values()))) not in shown


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    """The client's secret may be named by its file; one that is not there is a clear refusal."""
    (tmp_path / "secret").write_text("s3cr3t\n")
    verifier = Verifier.from_config(ES256.document(), client_id="orders", client_secret=tmp_path / "secret")
    assert "s3cr3t" not in repr(verifier)
    (tmp_path / "empty").write_text("\n")
    for name, reason in (("none", "No such file or directory"), ("empty", "empty")):
        with pytest.raises(ConfigurationError, match=rf"secret cannot be read \({reason}\)"):
            Verifier.from_config(ES256.document(), client_id="orders", client_secret=tmp_path / name)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_that_none_is(seconds: float) -> None:
    """Nothing can be fetched in it, or nothing ends."""
    with pytest.raises(ConfigurationError, match="timeout_seconds"):
        Verifier.from_config(ES256.document(), **CREDENTIALS, timeout_seconds=seconds)


@pytest.mark.parametrize("verify_mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_context_that_verifies_nothing(verify_mode: ssl.VerifyMode) -> None:
    """What says who is let in must be who it says it is: certificate and host name are checked."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = verify_mode
    with pytest.raises(ConfigurationError, match="does not verify the server"):
        Verifier.from_config(ES256.document(), **CREDENTIALS, ssl_context=context)
