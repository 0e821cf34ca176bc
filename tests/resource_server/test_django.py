"""What Django's views ask of their callers, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from authserver.resource_server.django import SETTING, ResourceServerMiddleware, current_token, require, verifier
from tests.resource_server.deployment import Deployment, ask, serve_asgi, serve_wsgi
from tests.resource_server.integration import Integration
from tests.server import FORM

MIDDLEWARE = "authserver.resource_server.django.ResourceServerMiddleware"

settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=[MIDDLEWARE], ROOT_URLCONF=__name__, USE_TZ=True)
django.setup()


def who(request: HttpRequest) -> HttpResponse:
    """Say who calls."""
    return JsonResponse({"client_id": current_token(request).client_id})


async def who_async(request: HttpRequest) -> HttpResponse:
    """Say who calls."""
    return who(request)


@require("read")
def form(request: HttpRequest) -> HttpResponse:
    """Say what was sent, read as a stream if there is much of it."""
    return HttpResponse(request.read())


@require("read")
def fields(request: HttpRequest) -> HttpResponse:
    """Say what was sent, as fields."""
    return JsonResponse(request.POST.dict())


def owned(request: HttpRequest, owner: str) -> HttpResponse:
    """Refuse by itself."""
    token = request.META["authserver"].require(f"orders:{owner}")
    return JsonResponse({"client_id": token.client_id})


def upload(request: HttpRequest) -> HttpResponse:
    """Say how much was sent, to anybody, without holding it in memory."""
    return HttpResponse(str(sum(map(len, request))))


@method_decorator(require("read"), name="dispatch")
class Whole(View):
    """Say who calls; whatever the method, a token is required."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Say who calls."""
        return who(request)


@method_decorator(require("read"), name="dispatch")
class WholeInThreads(View):
    """The same, not asynchronous."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Say who calls."""
        return who(request)


def late(request: HttpRequest) -> HttpResponse:
    """Ask for a token after the form was parsed, as by the middleware that looks for a CSRF token."""
    fields = request.POST.dict()
    request.META["authserver"].require("read")
    return JsonResponse(fields)


def later(request: HttpRequest) -> HttpResponse:
    """Ask for a token in the middle of the form."""
    beginning = request.read(9)
    request.META["authserver"].require("read")
    return HttpResponse(beginning + request.read())


def reads_body(get_response: Any) -> Any:
    """Stand for a middleware before ours that reads the body whole."""

    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.body
        response: HttpResponse = get_response(request)
        return response

    return middleware


def reads_stream(get_response: Any) -> Any:
    """Stand for a middleware before ours that takes a part of the body for itself."""

    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.read(2)
        response: HttpResponse = get_response(request)
        return response

    return middleware


def health(_: HttpRequest) -> HttpResponse:
    """Be well."""
    return HttpResponse("well")


urlpatterns = [
    path("read", require("read")(who)),
    path("write", require(["write"])(who_async)),
    path("any", require(any_of=("admin", "write"))(who)),
    path("form", form),
    path("fields", fields),
    path("late", late),
    path("later", later),
    path("orders/<owner>", owned),
    path("careless", who),
    path("upload", upload),
    path("health", health),
    path("whole", Whole.as_view()),
    path("whole-in-threads", WholeInThreads.as_view()),
]


def behind(middleware: str) -> Any:
    """Have another middleware before ours."""
    return override_settings(MIDDLEWARE=[f"{__name__}.{middleware}", MIDDLEWARE])


@contextlib.contextmanager
def configured(deployment: Deployment, document: Any = None, **more: Any) -> Iterator[None]:
    """Have the setting of a service of this resource; its verifier ends with the block."""
    value = {"config": document or deployment.document, **deployment.options, "resource_name": "Orders", **more}
    with override_settings(**{SETTING: value}):
        yield


class OfDjango(Integration):
    """What holds under both."""

    @pytest.mark.parametrize("path", ["/whole", "/whole-in-threads"])
    def test_a_whole_class_can_be_decorated(self, deployment: Deployment, url: str, path: str) -> None:
        """`dispatch` of an asynchronous class has to be awaited, though it does not look like it."""
        good = ask(url, path, deployment.bearer())
        assert (good.status, good.json()) == (200, {"client_id": deployment.caller["client_id"]})
        assert ask(url, path).status == 401
        assert ask(url, path, deployment.bearer("admin")).status == 403
        assert ask(url, path, deployment.bearer(), method="DELETE").status == 405

    @pytest.mark.parametrize("path", ["/late", "/later"])
    def test_a_form_may_be_read_before_a_token_is_required(self, deployment: Deployment, url: str, path: str) -> None:
        """RS-06: a token in it is found all the same, and the view has the whole."""
        headers = deployment.bearer() | {"Content-Type": FORM}
        assert ask(url, path, headers, method="POST", body=b"access_token=x&name=ada").status == 400
        assert b"ada" in ask(url, path, headers, method="POST", body=b"longer=than-nine&name=ada").body
        assert ask(url, path, {"Content-Type": FORM}, method="POST", body=b"access_token=x").status == 401

    def test_the_beginning_of_a_long_form_is_looked_at(self, deployment: Deployment, url: str) -> None:
        """RS-06: its first 64 KB, as everywhere."""
        headers = deployment.bearer() | {"Content-Type": FORM}
        body = b"access_token=x&a=" + b"b" * 100_000
        assert ask(url, "/form", headers, method="POST", body=body).status == 400

    def test_a_middleware_before_ours_may_read_the_form(self, deployment: Deployment) -> None:
        """RS-06: what it has left in the request is looked at, and left for the view."""
        headers = deployment.bearer() | {"Content-Type": FORM}
        with behind("reads_body"), self.served(deployment) as url:
            assert ask(url, "/form", headers, method="POST", body=b"name=ada").body == b"name=ada"
            assert ask(url, "/form", headers, method="POST", body=b"access_token=x").status == 400
        with behind("reads_stream"), self.served(deployment) as url:
            assert ask(url, "/form", headers, method="POST", body=b"name=ada").body == b"me=ada"


class TestWsgi(OfDjango):
    """The verifier is the project's own, made by the setting; under WSGI."""

    @classmethod
    @contextlib.contextmanager
    def served(cls, deployment: Deployment, document: Any = None) -> Iterator[str]:
        """Serve it with wsgiref."""
        with configured(deployment, document), serve_wsgi(WSGIHandler()) as url:
            yield url


class TestAsgi(OfDjango):
    """The same under ASGI."""

    @classmethod
    @contextlib.contextmanager
    def served(cls, deployment: Deployment, document: Any = None) -> Iterator[str]:
        """Serve it with uvicorn."""
        with configured(deployment, document), serve_asgi(ASGIHandler(), lifespan="off") as url:
            yield url

    def test_a_form_without_a_length_is_looked_at_where_it_is_short(self, deployment: Deployment, url: str) -> None:
        """RS-06: a chunked form has come whole before Django knows of it."""
        headers = deployment.bearer() | {"Content-Type": FORM}
        for body in ([b"access_token=x"], [b"a=b&access_", b"token=x"]):
            assert ask(url, "/form", headers, method="POST", body=body).status == 400
        for part in (b"a=b", b"a" * 65536):
            response = ask(url, "/form", headers, method="POST", body=[part, part])
            assert (response.status, response.body) == (200, part * 2)

    def test_an_open_view_takes_a_form_of_any_length(self, url: str) -> None:
        """One beyond DATA_UPLOAD_MAX_MEMORY_SIZE too, which a view may read as a stream."""
        response = ask(url, "/upload", {"Content-Type": FORM}, method="POST", body=[b"%41&" * 250_000] * 3)
        assert (response.status, response.body) == (200, b"3000000")


@pytest.fixture
def client(deployment: Deployment) -> Iterator[Client]:
    """Yield Django's own client, which raises what Django takes for a failure."""
    with configured(deployment):
        yield Client()


def test_a_refusal_is_no_failure(client: Client, deployment: Deployment) -> None:
    """Neither from the decorator, of whichever kind of view, nor from a view itself."""
    assert client.get("/read").status_code == 401
    assert client.get("/write", headers=deployment.bearer("read")).status_code == 403
    response = client.get("/orders/ada", headers=deployment.bearer())
    assert response.status_code == 403
    assert 'scope="orders:ada"' in response["WWW-Authenticate"]


def test_a_form_is_parsed_as_ever(client: Client, deployment: Deployment) -> None:
    """RS-06: its fields are there."""
    response = client.post("/fields", b"name=a", content_type=FORM, headers=deployment.bearer())
    assert response.json() == {"name": "a"}


@pytest.mark.parametrize("length", ["", "-1", "a", "9" * 5000, "7"])
def test_a_form_never_makes_an_open_view_fail(deployment: Deployment, length: str) -> None:
    """Neither one without a length, nor one that breaks off, nor one that is too long for memory."""
    with configured(deployment), override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=5):
        assert Client().post("/upload", b"name=ada", content_type=FORM).content == b"8"
        assert posted("/health", length) == "200 OK"


def test_a_form_that_breaks_off_is_a_failure_for_whoever_reads_it(client: Client) -> None:
    """And not an empty one: Django says the same to the first who reads and to the second."""
    assert client is not None
    assert posted("/upload", "7") == "500 Internal Server Error"


def test_a_form_is_not_waited_for_without_a_good_token(deployment: Deployment, client: Client) -> None:
    """RS-06: who shows none, or none that will do, holds up no thread; then the view finds out what is wrong."""
    assert client is not None
    Reset.reads = 0
    assert posted("/form", "7") == "401 Unauthorized"
    assert posted("/form", "7", "Bearer a.b.c") == "401 Unauthorized"
    assert posted("/form", "7", deployment.bearer("admin")["Authorization"]) == "403 Forbidden"
    assert posted("/health", "7") == "200 OK"
    assert Reset.reads == 0
    assert posted("/form", "7", deployment.bearer()["Authorization"]) == "500 Internal Server Error"
    assert Reset.reads == 1


def test_a_body_of_get_is_no_form(client: Client, deployment: Deployment) -> None:
    """RFC 6750 §2.2: it has no meaning, here as in ASGI."""
    headers = deployment.bearer()
    response = client.generic("GET", "/read", b"access_token=x", content_type=FORM, headers=headers)
    assert response.status_code == 200


def posted(path: str, length: str, authorization: str = "") -> str:
    """Return the status of a form whose connection breaks."""
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_TYPE": FORM,
        "CONTENT_LENGTH": length,
        "SERVER_NAME": "service",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": Reset(),
        **({"HTTP_AUTHORIZATION": authorization} if authorization else {}),
    }
    said: list[Any] = []
    handler: Any = WSGIHandler()
    handler(environ, lambda *answer: said.append(answer))
    return str(said[0][0])


class Reset:
    """A connection that its client has reset."""

    reads = 0

    def read(self, *_: int) -> bytes:
        """Fail."""
        Reset.reads += 1
        raise ConnectionResetError

    readline = read


@pytest.mark.parametrize("setting", [{}, {"require": "read", "except_paths": ["/health"]}, {"require": "read"}])
@pytest.mark.parametrize("guarded", [False, True])
def test_no_view_in_an_event_loop_waits_for_a_thread(
    deployment: Deployment,
    setting: dict[str, Any],
    guarded: bool,  # noqa: FBT001
) -> None:
    """The threads of an event loop may all be busy; nor does one stand still for a token that cannot be judged yet."""
    free = threading.Event()

    async def well(_: HttpRequest) -> HttpResponse:
        return HttpResponse("well")

    view: Any = require("read")(well) if guarded else well
    request = RequestFactory().get("/health", headers=deployment.bearer("read"))

    async def while_all_are_busy() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, free.wait)
        try:
            async with asyncio.timeout(10):
                middleware: Any = ResourceServerMiddleware(view)
                assert (await middleware(request)).content == b"well"
        finally:
            free.set()
            await busy

    with configured(deployment, **setting):
        asyncio.run(while_all_are_busy())


def test_everything_can_be_protected_in_an_event_loop(deployment: Deployment) -> None:
    """As without one; the description and the question before it are for anybody."""

    async def statuses(**headers: str) -> list[int]:
        client = AsyncClient()
        paths = ("/health", "/careless", "/.well-known/oauth-protected-resource")
        answers = [await client.get(path, headers=headers) for path in paths]
        return [answer.status_code for answer in (*answers, await client.options(paths[-1]))]

    with configured(deployment, require="write", except_paths=["/health"]):
        assert asyncio.run(statuses()) == [200, 401, 200, 204]
        assert asyncio.run(statuses(**deployment.bearer("read"))) == [200, 403, 200, 204]
        assert asyncio.run(statuses(**deployment.bearer())) == [200, 200, 200, 204]


def test_a_browser_may_ask_for_the_description(client: Client) -> None:
    """A CORS preflight is answered there, and nowhere else."""
    response = client.options("/.well-known/oauth-protected-resource/orders")
    assert (response.status_code, response.content) == (204, b"")
    assert response["Access-Control-Allow-Headers"] == "*"
    assert client.options("/.well-known/oauth-protected-resource/other").status_code == 404


def test_everything_can_be_protected(deployment: Deployment) -> None:
    """`require` asks every request; `except_paths` are exact."""
    with configured(deployment, require="write", except_paths=["/health"]):
        client = Client()
        assert client.get("/health").status_code == 200
        assert client.get("/careless").status_code == 401
        assert client.get("/nowhere").status_code == 401
        assert client.get("/careless", headers=deployment.bearer("read")).status_code == 403
        assert client.get("/careless", headers=deployment.bearer()).json() == {
            "client_id": deployment.caller["client_id"]
        }


def test_who_asks_for_a_token_that_nobody_required_is_told(client: Client) -> None:
    """Fail closed: a view that forgot its decorator learns nothing."""
    with pytest.raises(RuntimeError, match="put @require"):
        client.get("/careless")


def test_without_the_middleware_nobody_is_let_in(deployment: Deployment) -> None:
    """That is a failure of the project's, and says what is missing."""
    with override_settings(MIDDLEWARE=[]), pytest.raises(ImproperlyConfigured, match="is missing in MIDDLEWARE"):
        Client().get("/read", headers=deployment.bearer())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing, or no dict"),
        ({"client_id": "a", "client_secret": "hidden"}, "config is missing"),
        ({"config": {}, "client_id": "a", "client_secret": "hidden"}, "issuer: must be a string"),
        ({"config": {}, "client_secret": "hidden", "clientid": "a"}, "clientid"),
    ],
)
def test_a_wrong_setting_ends_the_start(value: Any, problem: str) -> None:
    """Django does not load, and says why, without the secret."""
    with override_settings(**{SETTING: value}), pytest.raises(ImproperlyConfigured, match=problem) as refused:
        WSGIHandler()
    assert "hidden" not in str(refused.value)


def test_one_process_has_one_verifier(client: Client, deployment: Deployment) -> None:
    """However many handlers there are; a health check can ask it how it is."""
    mine = verifier()
    Client().get("/read", headers=deployment.bearer())
    assert verifier() is mine
    assert mine.status().ready
