"""`authserver clients`."""

from __future__ import annotations

from tests.cli.command import CommandLine

API = "https://api.example.com"


def test_create_prints_the_client_with_its_secret(cli: CommandLine) -> None:
    """Each option of create stands in the document, under the management API's names."""
    for identifier in (API, "urn:b"):
        cli.json("resources", "create", "--identifier", identifier)
    client = cli.json(
        *("clients", "create", "--name", "billing", "--client-id", "bill", "--scope", "read write"),
        *("--default-scope", "read", "--audience", API, "--audience", "urn:b", "--default-audience", "urn:b"),
        *("--metadata", '{"plan": {"name": "free"}}', "--auth-method", "client_secret_post", "--ttl", "600"),
        *("--description", "bills people"),
    )
    assert client.pop("client_secret").startswith("cs_")
    expected = {
        "client_id": "bill",
        "client_name": "billing",
        "client_description": "bills people",
        "scope": "read write",
        "default_scope": "read",
        "audiences": [API, "urn:b"],
        "default_audience": "urn:b",
        "trusted_metadata": {"plan": {"name": "free"}},
        "token_endpoint_auth_method": "client_secret_post",
        "access_token_ttl_seconds": 600,
        "status": "active",
    }
    assert client | expected == client


def test_credentials_are_printed_as_curl_takes_them(cli: CommandLine) -> None:
    """`--credentials` prints one line: id, colon, secret."""
    client_id, _, secret = cli.text("clients", "create", "--name", "n", "--credentials").strip().partition(":")
    assert cli.json("clients", "show", client_id)["secrets"][0]["secret_hint"] == secret[-4:]


def test_import_reads_the_secret_from_stdin(cli: CommandLine) -> None:
    """A secret from elsewhere is taken from stdin, its line end removed and nothing else."""
    arguments = ("clients", "create", "--name", "n", "--client-id", "old", "--client-secret-stdin")
    assert cli.json(*arguments, stdin="a b+c%20d:e/f=g é\r\n")["client_secret"] == "a b+c%20d:e/f=g é"


def test_a_secret_is_shown_once(cli: CommandLine) -> None:
    """After create no command prints the secret again."""
    client = cli.json("clients", "create", "--name", "n")
    later = (("clients", "list"), ("clients", "show", client["client_id"]), ("clients", "disable", client["client_id"]))
    for command in later:
        assert client["client_secret"] not in cli.text(*command) + cli.text(*command, "--json")


def test_list_has_every_client_for_programs_and_people(cli: CommandLine) -> None:
    """`list --json` is an array; without it a table; an empty one says how to begin."""
    assert "clients create" in cli.text("clients", "list")
    ids = {cli.json("clients", "create", "--name", name)["client_id"] for name in ("first", "second")}
    assert {client["client_id"] for client in cli.json("clients", "list")} == ids
    heading, *lines = cli.text("clients", "list").splitlines()
    assert heading.startswith("CLIENT ID")
    assert {line.split()[0] for line in lines} == ids


def test_update_changes_what_is_given_and_merges_metadata(cli: CommandLine) -> None:
    """Update is a merge patch: what is not named stays, null removes a key (RFC 7396)."""
    client = cli.json("clients", "create", "--name", "n", "--scope", "read", "--metadata", '{"a": 1, "b": 2}')
    changed = cli.json("clients", "update", client["client_id"], "--name", "m", "--metadata", '{"b": null, "c": 3}')
    assert (changed["client_name"], changed["scope"]) == ("m", "read")
    assert changed["trusted_metadata"] == {"a": 1, "c": 3}


def test_update_can_take_things_away(cli: CommandLine) -> None:
    """Lists, defaults and lifetimes can be removed again."""
    cli.json("resources", "create", "--identifier", API)
    rights = ("--scope", "a b", "--default-scope", "a", "--audience", API, "--default-audience", API, "--ttl", "60")
    client = cli.json("clients", "create", "--name", "n", *rights)
    less = ("--no-default-scope", "--no-audience", "--ttl", "default")
    changed = cli.json("clients", "update", client["client_id"], *less)
    assert (changed["default_scope"], changed["default_audience"], changed["audiences"]) == (None, None, [])
    assert changed["access_token_ttl_seconds"] is None


def test_rotation_starts_and_completes_or_is_cancelled(cli: CommandLine) -> None:
    """One more secret at most; afterwards one is left: the new one, or the old one."""
    client = cli.json("clients", "create", "--name", "n", "--client-id", "c")
    new = cli.json("clients", "rotate-secret", "c")
    assert new["client_secret"] != client["client_secret"]
    assert "under way" in cli.refusal("clients", "rotate-secret", "c")
    kept = cli.json("clients", "rotate-secret", "c", "--complete")
    assert [secret["credential_id"] for secret in kept["secrets"]] == [new["credential_id"]]
    cli.json("clients", "rotate-secret", "c")
    assert cli.json("clients", "rotate-secret", "c", "--cancel")["secrets"][0]["credential_id"] == new["credential_id"]
    assert cli.refusal("clients", "rotate-secret", "c", "--cancel")


def test_remove_secret_leaves_the_other_one(cli: CommandLine) -> None:
    """One of two secrets can go at once."""
    old = cli.json("clients", "create", "--name", "n", "--client-id", "c")["credential_id"]
    new = cli.json("clients", "rotate-secret", "c")["credential_id"]
    cli.text("clients", "remove-secret", "c", old)
    assert [secret["credential_id"] for secret in cli.json("clients", "show", "c")["secrets"]] == [new]


def test_disable_enable_and_delete(cli: CommandLine) -> None:
    """A client can be switched off and on, and deleted; then it is not found."""
    cli.json("clients", "create", "--name", "n", "--client-id", "c")
    assert cli.json("clients", "disable", "c")["status"] == "disabled"
    assert cli.json("clients", "enable", "c")["status"] == "active"
    assert cli.text("clients", "delete", "c") == "Deleted c.\n"
    assert cli.refusal("clients", "show", "c") == "Error: no client 'c'"


def test_refusals_name_the_field_on_one_line(cli: CommandLine) -> None:
    """All options at fault stand on the one line of the refusal, with what they were given."""
    line = cli.refusal("clients", "create", "--name", "n", "--audience", "no uri", "--ttl", "90000")
    assert "--audience 'no uri': is not an absolute URI" in line
    assert "--ttl 90000: is more than this server's 86400" in line
    assert "--name '': should have at least 1 character" in cli.refusal("clients", "create", "--name", "")
    cli.json("clients", "create", "--name", "n", "--client-id", "c", "--scope", "a b", "--default-scope", "a")
    assert "--default-scope: is not part of --scope" in cli.refusal("clients", "update", "c", "--scope", "b")


def test_a_refusal_repeats_no_secret(cli: CommandLine) -> None:
    """What is a secret, or has the form of one, is not shown again, whatever option it was given to."""
    arguments = ("clients", "create", "--name", "n", "--client-id", "c", "--client-secret-stdin")
    assert "hidden" not in cli.refusal(*arguments, stdin="hidden\n")
    secret = cli.json("clients", "create", "--name", "n")["client_secret"]
    assert secret not in cli.refusal("clients", "create", "--name", "n", "--client-id", secret)


def test_a_client_that_exists_is_named_with_what_changes_it(cli: CommandLine) -> None:
    """The refusal of an id that is taken has the way out."""
    cli.json("clients", "create", "--name", "n", "--client-id", "taken")
    line = cli.refusal("clients", "create", "--name", "n", "--client-id", "taken")
    assert line == "Error: client 'taken' exists already; to change it: authserver clients update taken"


def test_scope_may_be_repeated(cli: CommandLine) -> None:
    """Each `--scope` and `--default-scope` adds to the others; one that is empty takes all away."""
    scopes = ("--scope", "read write", "--scope", "admin", "--default-scope", "read", "--default-scope", "write")
    client = cli.json("clients", "create", "--name", "n", "--client-id", "c", *scopes)
    assert (client["scope"], client["default_scope"]) == ("read write admin", "read write")
    assert cli.json("clients", "update", "c", "--scope", "read", "--scope", "write")["scope"] == "read write"
    assert cli.json("clients", "update", "c", "--no-default-scope", "--scope", "")["scope"] == ""


def test_what_is_seldom_meant_is_a_warning(cli: CommandLine) -> None:
    """A comma in a scope, an audience that is not registered and a scope that it does not have: said on stderr."""
    cli.json("resources", "create", "--identifier", API, "--scope", "read write")
    create = ("clients", "create", "--name", "n", "--audience", API, "--json")
    unknown = f"warning: {API} has no scope 'unknown' (it has read, write)"
    assert cli.warned(*create, "--scope", "read unknown", "--client-id", "c") == [unknown]
    assert cli.warned(*create, "--audience", "urn:b", "--scope", "x") == ["warning: urn:b is no registered resource"]
    assert "a comma in its name" in cli.warned("clients", "create", "--name", "n", "--scope", "read,write")[0]
    assert cli.warned("clients", "update", "c", "--scope", "read unknown") == [unknown]
    assert cli.warned("clients", "update", "c", "--name", "m") == []


def test_scopes_of_several_audiences(cli: CommandLine) -> None:
    """One audience that knows the scope, or leaves scopes to its clients, is enough."""
    for identifier, scope in (("urn:r", "read"), ("urn:w", "write"), ("urn:any", None)):
        cli.json("resources", "create", "--identifier", identifier, *(("--scope", scope) if scope else ()))
    create = ("clients", "create", "--name", "n", "--scope", "read write other")
    (line,) = cli.warned(*create, "--audience", "urn:r", "--audience", "urn:w")
    assert line == "warning: none of urn:r, urn:w has a scope 'other' (they have read, write)"
    assert cli.warned(*create, "--audience", "urn:r", "--audience", "urn:any") == []


def test_wrong_usage_ends_with_2(cli: CommandLine) -> None:
    """Options that cannot be meant are wrong usage; a JSON value is not repeated."""
    assert "--name" in cli.usage("clients", "create")
    assert "not valid JSON" in cli.usage("clients", "create", "--name", "n", "--metadata", "{hidden")
    assert "hidden" not in cli.usage("clients", "create", "--name", "n", "--metadata", "{hidden")
    assert "not a JSON object" in cli.usage("clients", "create", "--name", "n", "--metadata", "[1]")
    assert "does not know" in cli.usage("clients", "create", "--name", "n", "--metadata", '{"a": NaN}')
    assert "twice" in cli.usage("clients", "create", "--name", "n", "--metadata", '{"a": 1, "a": 2}')
    assert "UTF-8" in cli.usage("clients", "create", "--name", "n", "--client-secret-stdin", stdin=b"\xff\n")
    assert cli.usage("clients", "create", "--name", "n", "--auth-method", "none")
    assert "Nothing to change" in cli.usage("clients", "update", "c")
    assert "exclude each other" in cli.usage("clients", "rotate-secret", "c", "--complete", "--cancel")
