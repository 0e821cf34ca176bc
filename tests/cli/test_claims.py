"""`authserver claims`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import CommandLine

API = "https://api.example.com"
SEED = '{ "user_id": {{ client.trusted_metadata.stytch_user_id }} }'


@pytest.fixture
def client_id(cli: CommandLine) -> str:
    """Return the id of a client whose metadata names a user."""
    client = cli.json("clients", "create", "--name", "n", "--metadata", '{"stytch_user_id": "user-7"}')
    return str(client["client_id"])


def test_set_takes_a_file_or_stdin_and_show_gives_it_back(cli: CommandLine, tmp_path: Path) -> None:
    """The seed's template is saved and shown as it was written."""
    assert cli.json("claims", "set", "-", stdin=SEED)["version"] == 1
    file = tmp_path / "template.json"
    file.write_text('{"a": 1}\n')
    assert "version 2" in cli.text("claims", "set", str(file))
    assert cli.text("claims", "show") == '{"a": 1}\n'
    assert cli.json("claims", "show")["template"] == '{"a": 1}\n'


def test_a_byte_order_mark_is_no_part_of_a_template(cli: CommandLine) -> None:
    """A file from an editor that writes a BOM is taken as it looks."""
    assert cli.json("claims", "set", "-", stdin=b"\xef\xbb\xbf{}")["template"] == "{}"


def test_a_template_that_does_not_compile_is_refused_with_its_place(cli: CommandLine) -> None:
    """The refusal says line and column, and nothing is saved."""
    assert "line 1, column " in cli.refusal("claims", "set", "-", stdin='{"a": {{ nobody.x }}}')
    assert cli.refusal("claims", "show") == "Error: no claims template here"


def test_preview_renders_without_saving(cli: CommandLine, client_id: str, tmp_path: Path) -> None:
    """A file can be tried on a real client; without one the template in force is rendered."""
    file = tmp_path / "template.json"
    file.write_text(SEED)
    arguments = ("claims", "preview", "--client", client_id)
    assert cli.json(*arguments) == {"claims": {}}
    assert cli.json(*arguments, "--file", str(file)) == {"claims": {"user_id": "user-7"}}
    assert cli.refusal("claims", "show")
    cli.text("claims", "set", str(file))
    assert cli.text(*arguments) == '{\n  "user_id": "user-7"\n}\n'
    assert cli.refusal("claims", "preview", "--client", "nobody") == "Error: no client 'nobody'"


def test_a_resource_has_a_template_of_its_own(cli: CommandLine, client_id: str) -> None:
    """`--resource` names another template than the workspace's."""
    cli.json("resources", "create", "--identifier", API)
    cli.json("claims", "set", "-", stdin=SEED)
    assert cli.json("claims", "set", "-", "--resource", API, stdin='{"own": true}')["resource"] == API
    assert cli.json("claims", "preview", "--client", client_id, "--resource", API) == {"claims": {"own": True}}
    assert "no resource 'urn:b'" in cli.refusal("claims", "show", "--resource", "urn:b")


def test_history_restore_and_remove(cli: CommandLine) -> None:
    """Earlier versions are kept, can be restored as the newest, and outlive a removal."""
    assert "No claims template" in cli.text("claims", "history")
    cli.json("claims", "set", "-", stdin='{"v": 1}')
    cli.json("claims", "set", "-", stdin='{"v": 2}')
    assert cli.json("claims", "restore", "1")["version"] == 3
    cli.text("claims", "remove")
    templates = [version["template"] for version in cli.json("claims", "history")]
    assert templates == [None, '{"v": 1}', '{"v": 2}', '{"v": 1}']
    assert "(removed)" in cli.text("claims", "history")
    assert cli.refusal("claims", "restore", "99")


def test_files_that_cannot_be_a_template_are_wrong_usage(cli: CommandLine) -> None:
    """A missing file, one that is not UTF-8 and one beyond 1 MB are refused before anything is opened."""
    assert cli.usage("claims", "set", "/nowhere/template.json")
    assert "UTF-8" in cli.usage("claims", "set", "-", stdin=b'{"a": "\xff"}')
    assert "1 MB" in cli.usage("claims", "set", "-", stdin=b" " * 1_100_000)
