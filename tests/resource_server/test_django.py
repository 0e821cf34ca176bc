"""What Django's views ask of their callers, synchronous and asynchronous."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path

from authserver.resource_server.django import SETTING, current_token, require, verifier
from tests.resource_server.deployment import Deployment, serve_asgi, serve_wsgi
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


def health(_: HttpRequest) -> HttpResponse:
    """Be well."""
    return HttpResponse("well")


urlpatterns = [
    path("read", require("read")(who)),
    path("write", require(["write"])(who_async)),
    path("any", require(any_of=("admin", "write"))(who)),
    path("form", form),
    path("fields", fields),
    path("orders/<owner>", owned),
    path("careless", who),
    path("health", health),
]


@contextlib.contextmanager
def configured(deployment: Deployment, document: Any = None, **more: Any) -> Iterator[None]:
    """Have the setting of a service of this resource; its verifier ends with the block."""
    value = {"config": document or deployment.document, **deployment.options, "resource_name": "Orders", **more}
    with override_settings(**{SETTING: value}):
        yield


class TestWsgi(Integration):
    """The verifier is the project's own, made by the setting; under WSGI."""

    @classmethod
    @contextlib.contextmanager
    def served(cls, deployment: Deployment, document: Any = None) -> Iterator[str]:
        """Serve it with wsgiref."""
        with configured(deployment, document), serve_wsgi(WSGIHandler()) as url:
            yield url


class TestAsgi(Integration):
    """The same under ASGI."""

    @classmethod
    @contextlib.contextmanager
    def served(cls, deployment: Deployment, document: Any = None) -> Iterator[str]:
        """Serve it with uvicorn."""
        with configured(deployment, document), serve_asgi(ASGIHandler(), lifespan="off") as url:
            yield url


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
    with pytest.raises(RuntimeError, match="nothing was required"):
        client.get("/careless")


def test_without_the_middleware_nobody_is_let_in(deployment: Deployment) -> None:
    """That is a failure of the project's, and says what is missing."""
    with override_settings(MIDDLEWARE=[]), pytest.raises(ImproperlyConfigured, match="is missing in MIDDLEWARE"):
        Client().get("/read", headers=deployment.bearer())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing, or no dict"),
        ({"config": {}, "client_id": "a", "client_secret": "hidden"}, "issuer: a text is missing here"),
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
