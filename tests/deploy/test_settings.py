"""The settings that `deploy/` names are settings of this version, and `example.env` names them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from authserver.cli.sidecar import PREFIX, sidecar
from authserver.settings import FILE_SETTINGS, FILE_SUFFIX, Settings, read_settings, setting_name
from tests.deploy.documents import COMPOSE, DEPLOY, KUSTOMIZATIONS, document
from tests.deploy.example_env import EXAMPLE, example_env

KNOWN = {setting_name(name) for name in Settings.model_fields}
KNOWN |= {setting_name(name) + FILE_SUFFIX for name in FILE_SETTINGS}
SIDECAR = {f"{PREFIX}_{option.name}".upper() for option in sidecar.params}
SERVERS = [path for path in KUSTOMIZATIONS if path.parent.name != "sidecar"]
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and "secrets" not in path.parts)

_NAME = re.compile(r"AUTHSERVER_[A-Z][A-Z_]*")
_COMMENTED = re.compile(r"^#(AUTHSERVER_[A-Z_]+)=(.+)$", re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_named_in_a_file_exists(path: Path) -> None:
    """A misspelt AUTHSERVER_* name would keep the server, or the sidecar, from starting."""
    unknown = set(_NAME.findall(path.read_text(encoding="utf-8"))) - KNOWN - SIDECAR
    assert not unknown, f"{path.name} names settings that there are not: {', '.join(sorted(unknown))}"


def test_the_example_is_that_of_the_settings() -> None:
    """Every setting stands there with its default and its meaning: else run `make reference`."""
    assert EXAMPLE.read_text(encoding="utf-8") == example_env()


def test_the_defaults_of_the_example_are_accepted_and_change_nothing() -> None:
    """Taking off every # that has a default before it gives the settings that an empty environment gives."""
    uncommented = dict(_COMMENTED.findall(EXAMPLE.read_text(encoding="utf-8")))
    assert len(uncommented) > 10
    assert read_settings(uncommented) == read_settings({})


def test_the_values_in_compose_are_accepted(tmp_path: Path) -> None:
    """The server reads the settings of an instance, its secrets being there."""
    environment = dict(COMPOSE["services"]["authserver-1"]["environment"])
    environment["AUTHSERVER_ISSUER"] = environment["AUTHSERVER_ISSUER"].partition(":-")[2].rstrip("}")
    assert str(_read(environment, tmp_path).trusted_proxies[0]) == "172.31.250.2/32"


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.parent.name)
def test_the_values_in_kubernetes_are_accepted(path: Path, tmp_path: Path) -> None:
    """The server reads the settings of each ConfigMap that is for one, the secrets being there."""
    literals = [line for generator in document(path)["configMapGenerator"] for line in generator["literals"]]
    environment = dict(line.split("=", 1) for line in literals)
    assert environment.keys() <= KNOWN
    _read(environment, tmp_path)


def _read(environment: dict[str, str], tmp_path: Path) -> Settings:
    """Return the settings, each secret's file replaced by one that is there."""
    secret = tmp_path / "secret"
    secret.write_text("redis://a-secret-of-forty-characters-in-all-here", encoding="utf-8")
    return read_settings({k: str(secret) if k.endswith(FILE_SUFFIX) else v for k, v in environment.items()})
