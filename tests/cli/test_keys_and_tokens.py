"""`authserver keys` and `authserver tokens`."""

from __future__ import annotations

import pytest

from tests.cli.command import CommandLine

API = "https://api.example.com"


def test_keys_are_listed_without_their_private_part(cli: CommandLine) -> None:
    """The first ES256 key signs and the next one is published; no private member is shown."""
    keys = cli.json("keys", "list")
    assert sorted((key["alg"], key["state"]) for key in keys) == [("ES256", "active"), ("ES256", "next")]
    assert not {"d", "sealed_private", "public_jwk"} & set(keys[0])
    assert keys[0]["kid"] in cli.text("keys", "list")


def test_rotate_lets_the_next_key_sign(cli: CommandLine) -> None:
    """After a forced rotation the next key is active and the old one retires."""
    before = {key["state"]: key["kid"] for key in cli.json("keys", "list")}
    after = {key["kid"]: key["state"] for key in cli.json("keys", "rotate", "--alg", "es256", "--force")}
    assert (after[before["next"]], after[before["active"]]) == ("active", "retiring")


def test_rotate_refuses_what_is_not_there(cli: CommandLine) -> None:
    """HS256 keys belong to a resource; an algorithm that nobody uses has no keys."""
    assert "--resource" in cli.usage("keys", "rotate", "--alg", "HS256")
    assert cli.refusal("keys", "rotate", "--alg", "PS256")
    assert f"no resource '{API}'" in cli.refusal("keys", "rotate", "--resource", API)


def test_revoke_withdraws_a_key(cli: CommandLine) -> None:
    """A revoked key is gone at once, and another one signs."""
    kid = next(key["kid"] for key in cli.json("keys", "list") if key["state"] == "active")
    after = {key["kid"]: key for key in cli.json("keys", "revoke", kid, "--reason", "stolen")}
    assert after[kid]["state"] == "gone"
    assert "active" in {key["state"] for key in after.values()}
    assert cli.refusal("keys", "revoke", "nobody") == "Error: no signing key has this kid"


def test_export_prints_pem(cli: CommandLine) -> None:
    """The public part in PEM; a shared secret has none."""
    cli.json("resources", "create", "--identifier", API, "--alg", "HS256")
    kids = {key["alg"]: key["kid"] for key in cli.json("keys", "list")}
    assert cli.text("keys", "export", kids["ES256"]).startswith("-----BEGIN PUBLIC KEY-----\n")
    assert cli.json("keys", "export", kids["ES256"])["pem"].endswith("-----END PUBLIC KEY-----\n")
    assert "no public part" in cli.refusal("keys", "export", kids["HS256"])


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("--client", "c", "client"),
        ("--credential", "cred_1", "credential"),
        ("--subject", "user-7", "subject"),
        ("--kid", "k", "kid"),
        ("--workspace", "default", "workspace"),
        ("--jti", "01a1ff6a-4ffb-73cf-a732-252f677837c0", "jti"),
    ],
)
def test_revoke_sets_a_watermark_or_names_a_token(cli: CommandLine, option: str, value: str, kind: str) -> None:
    """Each kind of revocation, with who asked for it and why."""
    revocation = cli.json("tokens", "revoke", option, value, "--reason", "leaked", "--force")
    assert (revocation["kind"], revocation["value"], revocation["reason"]) == (kind, value, "leaked")
    assert revocation["actor"].startswith("cli:")


def test_revoke_all_does_not_ask_a_script(cli: CommandLine) -> None:
    """Without a terminal `--all` needs no confirmation."""
    assert cli.json("tokens", "revoke", "--all")["kind"] == "all"
    assert "every token issued until" in cli.text("tokens", "revoke", "--all")


def test_revoke_takes_exactly_one_kind(cli: CommandLine) -> None:
    """None or two are wrong usage; a jti that no token of ours can have is refused."""
    assert "exactly one" in cli.usage("tokens", "revoke")
    assert "exactly one" in cli.usage("tokens", "revoke", "--all", "--client", "c")
    assert "--jti: must be the jti" in cli.refusal("tokens", "revoke", "--jti", "x")
    assert cli.refusal("tokens", "revoke", "--workspace", "another")
    assert "--reason: " in cli.refusal("tokens", "revoke", "--all", "--reason", "x" * 501)


def test_revoke_refuses_what_is_not_known(cli: CommandLine) -> None:
    """A typo in an emergency is no success; `--force` is for what was deleted; subjects cannot be known."""
    line = cli.refusal("tokens", "revoke", "--client", "nobody")
    assert line == "Error: no client 'nobody' is known here; --force revokes all the same"
    assert "no credential 'cred_x' is known" in cli.refusal("tokens", "revoke", "--credential", "cred_x")
    assert "no signing key 'k' is known" in cli.refusal("tokens", "revoke", "--kid", "k")
    assert cli.json("tokens", "revoke", "--subject", "whoever")["kind"] == "subject"


def test_revoke_takes_what_is_known(cli: CommandLine) -> None:
    """A client, its credential and a signing key need no `--force`."""
    client = cli.json("clients", "create", "--name", "n")
    kid = cli.json("keys", "list")[0]["kid"]
    known = (("--client", client["client_id"]), ("--credential", client["credential_id"]), ("--kid", kid))
    for option, value in known:
        assert cli.json("tokens", "revoke", option, value)["value"] == value
