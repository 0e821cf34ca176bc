"""For Django: a middleware, and a decorator for views; configured by the setting AUTHSERVER_RESOURCE_SERVER.

    MIDDLEWARE = ["authserver.resource_server.django.ResourceServerMiddleware", …]
    AUTHSERVER_RESOURCE_SERVER = {"config": "verifier.json", "client_id": "…", "client_secret": "…"}

It holds `config` and the other arguments of `ThreadVerifier.from_config`, and, as in `wsgi.py`, `require` and
`except_paths` to protect all views, `resource_name` and `metadata_url`. Views may be synchronous or asynchronous.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import cache, wraps
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from authserver.core.errors import ConfigurationError
from authserver.resource_server.demands import exact_paths, scope_names
from authserver.resource_server.errors import Refusal
from authserver.resource_server.metadata import Answer, ProtectedResource
from authserver.resource_server.token import VerifiedToken
from authserver.resource_server.verifier import ThreadVerifier
from authserver.resource_server.wsgi import CALLER, MAX_FORM_BYTES, Caller, is_form

SETTING = "AUTHSERVER_RESOURCE_SERVER"

_OF_THE_MIDDLEWARE = ("require", "except_paths", "resource_name", "metadata_url")

View = Callable[..., Any]


@cache
def verifier() -> ThreadVerifier:
    """Return the verifier of this project, one for all its threads; raise ImproperlyConfigured."""
    options = {name: value for name, value in _setting().items() if name not in _OF_THE_MIDDLEWARE}
    try:
        return ThreadVerifier.from_config(options.pop("config", ""), **options)
    except (ConfigurationError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"{SETTING}: {error}") from None


class ResourceServerMiddleware:
    """Lets the views ask who calls, or asks for them; serves the protected resource metadata (RFC 9728)."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: View) -> None:
        """Read the setting; raise ImproperlyConfigured."""
        self._get_response = get_response
        options = {name: value for name, value in _setting().items() if name in _OF_THE_MIDDLEWARE}
        required = options.pop("require", None)
        try:
            self._require = None if required is None else scope_names(required)
            self._except_paths = exact_paths(options.pop("except_paths", ()))
        except TypeError as error:
            raise ImproperlyConfigured(f"{SETTING}: {error}") from None
        self._resource = ProtectedResource(verifier(), **options)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        if self._is_async:
            return self._serve_async(request)
        response = self._before(request)
        return cast("HttpResponseBase", self._get_response(request)) if response is None else response

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await sync_to_async(self._before, thread_sensitive=False)(request)
        return cast("HttpResponseBase", await self._get_response(request)) if response is None else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a Refusal that a view has raised itself."""
        return _response(_caller(request).answer(exception)) if isinstance(exception, Refusal) else None

    def _before(self, request: HttpRequest) -> HttpResponse | None:
        """Return the answer, None if the views have to give it."""
        path = request.path_info
        if request.method in ("GET", "HEAD") and self._resource.serves(path):
            return _response(self._resource.describe())
        caller = request.META[CALLER] = Caller(verifier(), self._resource, request.META, form=_form(request))
        if self._require is None or path in self._except_paths:
            return None
        return _refused(caller, self._require, ())


def require(all_of: Collection[str] = (), *, any_of: Collection[str] = ()) -> Callable[[View], View]:
    """Return a decorator that lets into a view whose token has these scopes.

    `"read write"` or a list: all of them; `any_of`: one of them; nothing: any good token will do.
    """
    needed, choice = scope_names(all_of), scope_names(any_of)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            response = _refused(_caller(request), needed, choice)
            return view(request, *args, **kwargs) if response is None else response

        @wraps(view)
        async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            response = await sync_to_async(_refused, thread_sensitive=False)(_caller(request), needed, choice)
            return await view(request, *args, **kwargs) if response is None else response

        return guarded_async if iscoroutinefunction(view) else guarded

    return decorate


def current_token(request: HttpRequest) -> VerifiedToken:
    """Return the token of a request of which one was required; raise RuntimeError for others."""
    token = _caller(request).token
    if token is None:
        raise RuntimeError("nothing was required of the caller of this view")
    return token


def _refused(caller: Caller, all_of: Collection[str], any_of: Collection[str]) -> HttpResponse | None:
    try:
        caller.require(all_of, any_of=any_of)
    except Refusal as refusal:
        return _response(caller.answer(refusal))
    return None


def _response(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def _caller(request: HttpRequest) -> Caller:
    caller: Caller | None = request.META.get(CALLER)
    if caller is None:
        raise ImproperlyConfigured(f"{__name__}.ResourceServerMiddleware is missing in MIDDLEWARE")
    return caller


def _form(request: HttpRequest) -> str:
    """Return a short urlencoded body; Django keeps what was read of it for `POST` and `body`."""
    if not is_form(request.META.get("CONTENT_TYPE", "")):
        return ""
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    return request.body.decode("latin-1") if length.isdecimal() and int(length) <= MAX_FORM_BYTES else ""


def _setting() -> dict[str, Any]:
    value = getattr(settings, SETTING, None)
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f"{SETTING}: is missing, or no dict")
    return value


def _forget(*, setting: str, **_: Any) -> None:
    """Take up a setting that a test has changed."""
    if setting == SETTING and verifier.cache_info().currsize:
        verifier().close()
        verifier.cache_clear()


setting_changed.connect(_forget)
