"""Settings: each documented, none misspelt, secrets from files, all problems at once."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from authserver.core.errors import ConfigurationError
from authserver.settings import (
    FILE_SETTINGS,
    Settings,
    common_problems,
    production_problems,
    read_settings,
    setting_name,
)

KEY = "0123456789-abcdefghijklmnopqrstuvwxyz"
GOOD = {"AUTHSERVER_ISSUER": "https://as.example", "AUTHSERVER_SECRET_KEY": KEY}
REFERENCE = Path(__file__).parents[1] / "docs" / "reference.md"


WRONG_ISSUERS = [
    *("as.example?x=1", "as.example?", "as.example#x", "u:p@as.example", "as.example:99999", "as.example:x", "["),
    *("as example", "as.example\n", 'as.example/"x', "é.example", "as.example/\\", "as.example:0", "as.example/<x>"),
]


def problems_of(environment: dict[str, str]) -> tuple[str, ...]:
    """Return why these settings cannot be read."""
    with pytest.raises(ConfigurationError) as refused:
        read_settings(environment)
    return refused.value.problems


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_explained(field: str) -> None:
    """Each setting has one sentence, a default (None where it is required without --dev) and a row in the reference."""
    info = Settings.model_fields[field]
    assert info.description
    assert info.description.endswith(".")
    assert not info.is_required()
    assert f"`{setting_name(field)}`" in REFERENCE.read_text(encoding="utf-8")


def test_the_defaults_are_good() -> None:
    """Whoever sets issuer and secret key, and nothing else, has no problem left."""
    assert production_problems(read_settings(GOOD)) == []
    assert common_problems(read_settings({})) == []


@pytest.mark.parametrize(
    "name", ["AUTHSERVER_ISUER", "AUTHSERVER_", "AUTHSERVER_issuer_url", "AUTHSERVER_PORT_FILE", "AUTHSERVER_FILE"]
)
def test_unknown_names(name: str) -> None:
    """A name that no setting has is refused and named, so that a misspelt one is never ignored."""
    (problem,) = problems_of({**GOOD, name: "canary"})
    assert problem.startswith(f"{name} ")
    assert "canary" not in problem


def test_other_variables_are_not_ours() -> None:
    """Variables without our prefix are left alone."""
    assert read_settings({**GOOD, "ISSUER": "x", "AUTHLIB_X": "y"}).issuer == "https://as.example"


@pytest.mark.parametrize("field", FILE_SETTINGS)
def test_secrets_from_files(field: str, tmp_path: Path) -> None:
    """Each secret may lie in a file, whose last line break does not belong to it."""
    file = tmp_path / "secret"
    file.write_text(f"sqlite:///{KEY}\n")
    settings = read_settings({f"{setting_name(field)}_FILE": str(file)})
    assert getattr(settings, field).get_secret_value() == f"sqlite:///{KEY}"


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that is missing, a directory or no text is named with its setting and its remedy."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "binary"):
        problems = problems_of({"AUTHSERVER_SECRET_KEY_FILE": str(path)})
        assert any(problem.startswith("AUTHSERVER_SECRET_KEY_FILE: cannot read") for problem in problems)


def test_value_and_file_at_once(tmp_path: Path) -> None:
    """Which of two sources counts must be nobody's guess: both at once are refused."""
    file = tmp_path / "secret"
    file.write_text("x" * 40)
    problems = problems_of({"AUTHSERVER_SECRET_KEY": KEY, "AUTHSERVER_SECRET_KEY_FILE": str(file)})
    assert any("AUTHSERVER_SECRET_KEY_FILE" in problem for problem in problems)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "70000"),
        ("port", "http"),
        ("workers", "129"),
        ("workers", "0"),
        ("access_token_ttl", "0"),
        ("access_token_ttl", "-5"),
        ("max_access_token_ttl", "99999999999999999999"),
        ("signing_alg", "none"),
        ("signing_alg", "es256k"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "everybody"),
        ("trusted_proxies", "*"),
        ("request_seconds", "0"),
        ("request_seconds", "nan"),
        ("request_seconds", "inf"),
        ("leeway_seconds", "301"),
        ("max_requests", "0"),
        ("log_level", "DEBUG2"),
        ("log_format", "xml"),
        ("revocation_grace_seconds", "0"),
    ],
)
def test_wrong_values(field: str, value: str) -> None:
    """A value out of range or of another type is one problem, which names the setting and not the value."""
    (problem,) = problems_of({setting_name(field): value})
    assert problem.startswith(f"{setting_name(field)}: ")


def test_all_problems_at_once() -> None:
    """Everything that is wrong is said together, one line each."""
    problems = problems_of({"AUTHSERVER_PORT": "x", "AUTHSERVER_LOG_LEVEL": "x", "AUTHSERVER_X": "x"})
    assert sorted(problem.split()[0].rstrip(":") for problem in problems) == [
        "AUTHSERVER_LOG_LEVEL",
        "AUTHSERVER_PORT",
        "AUTHSERVER_X",
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"AUTHSERVER_ISSUER": "http://as.example"}, "AUTHSERVER_ISSUER"),
        ({"AUTHSERVER_ISSUER": "as.example"}, "AUTHSERVER_ISSUER"),
        ({"AUTHSERVER_ISSUER": "https://"}, "AUTHSERVER_ISSUER"),
        *(({"AUTHSERVER_ISSUER": f"https://{issuer}"}, "AUTHSERVER_ISSUER") for issuer in WRONG_ISSUERS),
        ({"AUTHSERVER_SECRET_KEY": "short"}, "AUTHSERVER_SECRET_KEY"),
        ({"AUTHSERVER_SECRET_KEY": f"{KEY},short"}, "AUTHSERVER_SECRET_KEY"),
        ({"AUTHSERVER_SECRET_KEY": ""}, "AUTHSERVER_SECRET_KEY"),
        ({"AUTHSERVER_ADMIN_TOKEN": "short"}, "AUTHSERVER_ADMIN_TOKEN"),
        ({"AUTHSERVER_ACCESS_TOKEN_TTL": "86401"}, "AUTHSERVER_ACCESS_TOKEN_TTL"),
        ({"AUTHSERVER_JWKS_MAX_AGE_SECONDS": "601"}, "AUTHSERVER_JWKS_MAX_AGE_SECONDS"),
        ({"AUTHSERVER_SIGNING_ALG": "HS256"}, "AUTHSERVER_SIGNING_ALG"),
    ],
)
def test_unsafe_in_production(changes: dict[str, str], named: str) -> None:
    """META-08: what is unsafe keeps a server without --dev from starting, and is named without its value."""
    problems = production_problems(read_settings({**GOOD, **changes}))
    assert problems
    assert all(problem.startswith(named) for problem in problems)
    assert not any(value in problem for problem in problems for value in changes.values() if len(value) > 5)


@pytest.mark.parametrize(
    "issuer", ["https://as.example/", "https://as.example:8443/tenant", "https://[2001:db8::1]/a%20b/c", "https://AS"]
)
def test_good_issuers(issuer: str) -> None:
    """RFC 8414 §2: an issuer may have a port and a path, and is kept as it is written."""
    settings = read_settings({**GOOD, "AUTHSERVER_ISSUER": issuer})
    assert production_problems(settings) == []
    assert settings.issuer == issuer


@pytest.mark.parametrize("value", ["0", "1", "false"])
def test_insecure_transport(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """META-08: any value of AUTHLIB_INSECURE_TRANSPORT, 0 included, switches a check off: refused."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", value)
    (problem,) = production_problems(read_settings(GOOD))
    assert problem.startswith("AUTHLIB_INSECURE_TRANSPORT ")


def test_lists() -> None:
    """Lists are separated by commas, spaces or line breaks."""
    settings = read_settings({"AUTHSERVER_TRUSTED_PROXIES": "10.0.0.0/8, ::1\n192.0.2.1"})
    assert settings.trusted_proxies == tuple(map(ip_network, ("10.0.0.0/8", "::1/128", "192.0.2.1/32")))
    assert read_settings({"AUTHSERVER_SECRET_KEY": f"{KEY},\n{KEY}2,"}).secret_keys == (KEY, f"{KEY}2")
    assert read_settings({"AUTHSERVER_ADMIN_TOKEN": f"{KEY} {KEY}2"}).admin_tokens == (KEY, f"{KEY}2")


@pytest.mark.parametrize(("override", "port"), [({}, 1), ({"port": 2}, 2), ({"port": None}, 1)])
def test_options_win(override: dict[str, Any], port: int) -> None:
    """What the command line says wins over the environment; what it leaves out does not."""
    assert read_settings({"AUTHSERVER_PORT": "1"}, **override).port == port


def test_database_in_the_data_directory() -> None:
    """Without a database URL there is one SQLite file in the data directory."""
    assert read_settings({"AUTHSERVER_DATA_DIR": "/var/lib/as"}).database == "sqlite:////var/lib/as/authserver.db"
