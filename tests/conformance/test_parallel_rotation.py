"""Many at once want to rotate the secret of one client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.server import RunningServer


def test_race_01_one_of_fifty_rotations_wins(server: RunningServer) -> None:
    """RACE-01: one of 50 parallel starts gets a secret, which works; the others get 409, and no secret is lost."""
    client = server.create_client()
    path = f"/clients/{client['client_id']}/secrets"
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: server.admin("POST", path, {}), range(50)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49
    (winner,) = (answer.json() for answer in answers if answer.status == 201)
    assert server.token_response({**client, "client_secret": winner["client_secret"]}).status == 200
    assert server.token_response(client).status == 200
