"""A running server, ours or a peer's: what it is asked, when it is ready, what memory it holds."""

import http.client
import json
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.processes import LOOPBACK, Processes, RunningProcess

SCOPE = "read write"
AUDIENCE = "https://api.example.com"

_ANSWER_SECONDS = 60
_READINESS_PAUSE_SECONDS = 0.002
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Client:
    """A client's id and secret."""

    client_id: str
    client_secret: str

    def basic(self) -> str:
        """Return the Authorization value (RFC 6749 §2.3.1; the names here need no encoding)."""
        pair = f"{self.client_id}:{self.client_secret}"
        return f"Basic {b64encode(pair.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class FormPost:
    """One request: who asks, and the form."""

    authorization: str
    body: str


@dataclass(frozen=True, slots=True)
class Load:
    """Requests for one endpoint of a server, and the member of the answer that is true when it did its work."""

    running: RunningProcess | Processes
    """Whose CPU time counts."""
    port: int
    path: str
    posts: Sequence[FormPost]
    proof: str
    only_once: bool = False
    """Whether a measurement is void that has sent a request for the second time."""
    method: str = "POST"
    """A GET has no form: the bodies are empty."""

    def prove(self) -> None:
        """Send the first request; BenchmarkError unless the answer is what the measurement is about."""
        first = self.posts[0]
        with Connection(self.port) as connection:
            answer = connection.send(self.method, self.path, first.authorization, FORM, first.body)
        if not answer.get(self.proof):
            raise BenchmarkError(f"{self.path} answered without {self.proof}: {json.dumps(answer)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a running server listens and what its endpoints are called."""

    name: str
    port: int
    running: RunningProcess
    ready_path: str
    token_path: str
    introspection_path: str

    def wait_until_ready(self, seconds: float) -> None:
        """Return once the server answers 200; BenchmarkError when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not self._is_ready():
            self.running.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self.name} was not ready within {seconds:g} s: {self.running.last_words()}")
            time.sleep(_READINESS_PAUSE_SECONDS)

    def token_load(self, clients: Sequence[Client]) -> Load:
        """Return a token request of each of `clients`."""
        body = urlencode({"grant_type": "client_credentials", "scope": SCOPE})
        posts = [FormPost(client.basic(), body) for client in clients]
        return Load(self.running, self.port, self.token_path, posts, proof="access_token")

    def introspection_load(self, client: Client, tokens: Sequence[str], *, only_once: bool = False) -> Load:
        """Return an introspection of each of `tokens`, asked by `client`."""
        authorization = client.basic()
        posts = [FormPost(authorization, urlencode({"token": token})) for token in tokens]
        return Load(self.running, self.port, self.introspection_path, posts, proof="active", only_once=only_once)

    def bearer_load(self, token: str, *, running: Processes | None = None) -> Load:
        """Return a GET with `token`; `running` are those whose CPU time counts, the server alone when None."""
        get = FormPost(f"Bearer {token}", "")
        return Load(running or self.running, self.port, "/", [get], proof="served", method="GET")

    def issue_tokens(self, clients: Sequence[Client]) -> list[str]:
        """Return one token of each of `clients`, asked for one after another."""
        load = self.token_load(clients)
        with Connection(self.port) as connection:
            answers = [connection.post(load.path, post.authorization, FORM, post.body) for post in load.posts]
        return [str(answer["access_token"]) for answer in answers]

    def is_active(self, client: Client, token: str) -> bool:
        """Return what introspection by `client` says about `token`."""
        post = self.introspection_load(client, [token]).posts[0]
        with Connection(self.port) as connection:
            return bool(connection.post(self.introspection_path, post.authorization, FORM, post.body)["active"])

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", self.ready_path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Connection:
    """One kept-alive connection to a loopback port."""

    def __init__(self, port: int) -> None:
        """Connect with the first request."""
        self._http = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def post(self, path: str, authorization: str, content_type: str, body: str) -> dict[str, Any]:
        """Return the JSON object of a 2xx answer; BenchmarkError for any other."""
        return self.send("POST", path, authorization, content_type, body)

    def get(self, path: str, authorization: str) -> dict[str, Any]:
        """Return the JSON object of a 2xx answer; BenchmarkError for any other."""
        return self.send("GET", path, authorization, "", "")

    def send(self, method: str, path: str, authorization: str, content_type: str, body: str) -> dict[str, Any]:
        """Return the JSON object of a 2xx answer; BenchmarkError for any other."""
        headers = {"Authorization": authorization, **({"Content-Type": content_type} if body else {})}
        self._http.request(method, path, body.encode() or None, headers)
        response = self._http.getresponse()
        content = response.read()
        if response.status not in {http.client.OK, http.client.CREATED}:
            raise BenchmarkError(f"{path} answered {response.status}: {content.decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(content) if content else {}
        return answer
