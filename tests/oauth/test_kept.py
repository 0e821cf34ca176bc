"""Decisions that are kept: for the very same objects, and no others."""

from __future__ import annotations

import pytest

from authserver.core.errors import InvalidScope
from authserver.oauth import decision, kept
from authserver.oauth.decision import Decision
from authserver.oauth.kept import KeptDecisions
from tests.oauth.subjects import a_client, a_resource, loaded

GRANT = "client_credentials"


def test_another_client_is_another_question() -> None:
    """TOK-20: what a client was granted before it was changed is no answer to what it is granted now."""
    decisions = KeptDecisions()
    for _ in range(2 * kept.MAX_KEPT):  # objects that are gone leave their place in memory to others
        assert decisions.decide(GRANT, "admin", loaded(a_client(scope=("admin",)))) == Decision(("admin",))
        with pytest.raises(InvalidScope):
            decisions.decide(GRANT, "admin", loaded(a_client()))
    assert len(decisions._kept) == kept.MAX_KEPT


def test_another_resource_is_another_question() -> None:
    """RES-06: the same client, where `write` includes `read` and where it does not."""
    decisions, client = KeptDecisions(), a_client(scope=("write",))
    for _ in range(2):
        including = loaded(client, a_resource(write=("read",), read=()))
        assert decisions.decide(GRANT, "read", including) == Decision(("read",))
        with pytest.raises(InvalidScope):
            decisions.decide(GRANT, "read", loaded(client, a_resource(write=(), read=())))


def test_the_same_question_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was granted is kept; a long scope, of which there are many, is decided each time."""
    decisions, long = KeptDecisions(), "r" * (kept.MAX_SCOPE_CHARACTERS + 1)
    subject = loaded(a_client(scope=("read", long)))
    assert decisions.decide(GRANT, "read", subject) == Decision(("read",))
    assert decisions.decide(GRANT, long, subject) == Decision((long,))
    monkeypatch.setattr(decision, "choose_scope", lambda *_, **__: ("other",))
    assert decisions.decide(GRANT, "read", subject) == Decision(("read",))
    assert decisions.decide(GRANT, long, subject) == Decision(("other",))
    assert decisions.decide(GRANT, None, subject) == Decision(("other",))


def test_a_refusal_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """TOK-21: whoever is refused is judged again the next time."""
    decisions, subject = KeptDecisions(), loaded()
    with pytest.raises(InvalidScope):
        decisions.decide(GRANT, "admin", subject)
    monkeypatch.setattr(decision, "choose_scope", lambda *_, **__: ("admin",))
    assert decisions.decide(GRANT, "admin", subject) == Decision(("admin",))
