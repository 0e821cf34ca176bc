"""What the sidecar's options name, read: every problem in one go, each by the option that it comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from authserver.core.errors import ConfigurationError
from authserver.sidecar.options import Options, read_sources
from tests.resource_server.issuer import Issuer

GOOD: dict[str, Any] = {
    "client_id": "orders",
    "client_secret_file": None,
    "client_secret": "s3cr3t",
    "rules": None,
    "max_staleness_seconds": 60.0,
    "fail_open": False,
    "leeway_seconds": 30,
    "allow_http": False,
}
NONE = Path("/none")


@pytest.fixture
def document(tmp_path: Path) -> str:
    """Return the path of a verifier configuration."""
    path = tmp_path / "verifier.json"
    path.write_text(json.dumps(Issuer().document()))
    return str(path)


def options(config: str, **changes: Any) -> Options:
    """Return good options, changed."""
    return Options(config=config, **{**GOOD, **changes})


def problems(config: str, **changes: Any) -> list[str]:
    """Return what is wrong with good options that were changed."""
    with pytest.raises(ConfigurationError) as refused:
        read_sources(options(config, **changes))
    return list(refused.value.problems)


def heads(problems: list[str]) -> list[str]:
    """Return what stands before the first colon of each."""
    return [problem.partition(":")[0] for problem in problems]


def test_good_options(document: str) -> None:
    """They are read without a word to the authorization server, the configuration only if it is a file."""
    of_file = read_sources(options(document)).verifier
    of_url = read_sources(options("https://as.example/oauth2/verifier-config?resource=a")).verifier
    assert (of_file.config is None, of_url.config is None) == (False, True)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"client_id": None}, ["--client-id"]),
        ({"client_id": "a\nb"}, ["--client-id"]),
        ({"client_secret": None}, ["--client-secret-file"]),
        ({"client_secret": None, "client_secret_file": NONE}, ["--client-secret-file"]),
        ({"client_secret": "s\udcff"}, ["AUTHSERVER_SIDECAR_CLIENT_SECRET"]),
        ({"rules": NONE}, ["--rules"]),
        ({"max_staleness_seconds": float("nan")}, ["--max-staleness"]),
        ({"leeway_seconds": 61}, ["--leeway"]),
        (
            {"client_id": "", "client_secret": None, "rules": NONE, "leeway_seconds": -1},
            ["--client-id", "--client-secret-file", "--rules", "--leeway"],
        ),
    ],
    ids=str,
)
def test_each_problem_names_its_option(document: str, changes: dict[str, Any], named: list[str]) -> None:
    """Beside a good configuration, and beside one that cannot be read, which is told as well."""
    assert heads(problems(document, **changes)) == named
    assert sorted(heads(problems("/none", **changes))) == sorted([*named, "--config"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"audience": 5, "typ": "x"}, ["--config: audience", "--config: typ"]),
        ({"revocations_endpoint": None}, ["--config: revocations_endpoint"]),
        ({"issuer": "http://as.example"}, ["--config: issuer"]),
    ],
    ids=str,
)
def test_problems_of_the_document(document: str, change: dict[str, Any], told: list[str]) -> None:
    """One line for each member that is wrong."""
    Path(document).write_text(json.dumps({**Issuer().document(), **change}))
    assert [": ".join(problem.split(": ")[:2]) for problem in problems(document)] == told


@pytest.mark.parametrize("url", ["http://as.example/oauth2/verifier-config", "https://a:b@as.example/", "https:"])
def test_urls_that_nobody_vouches_for(url: str) -> None:
    """RFC 9700 §2.6: what decides who is let in comes over https; --allow-http is for a network that one trusts."""
    assert heads(problems(url)) == ["--config"]
    if url.startswith("http:"):
        read_sources(options(url, allow_http=True))


def test_the_environment_is_no_option(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot be used is told by its variable."""
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1080")
    (problem,) = problems(document)
    assert "ALL_PROXY" in problem.partition(":")[0]


def test_the_secret_is_read_once(document: str) -> None:
    """A pipe holds its text but once; it will do until the secret is sent."""
    reading, writing = os.pipe()
    try:
        os.write(writing, b"s3cr3t\n")
        os.close(writing)
        read_sources(
            Options(
                config=document, **{**GOOD, "client_secret": None, "client_secret_file": Path(f"/dev/fd/{reading}")}
            )
        )
    finally:
        os.close(reading)
