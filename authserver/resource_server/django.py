"""For Django: a middleware, and a decorator for views; configured by the setting AUTHSERVER_RESOURCE_SERVER.

    MIDDLEWARE = ["authserver.resource_server.django.ResourceServerMiddleware", …]
    AUTHSERVER_RESOURCE_SERVER = {"config": "verifier.json", "client_id": "…", "client_secret": "…"}

It holds `config` and the other arguments of `ThreadVerifier.from_config`, and, as in `wsgi.py`, `require` and
`except_paths` to protect all views, `resource_name` and `metadata_url`. Views may be synchronous or asynchronous.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import cache, partial, wraps
from io import BufferedReader
from typing import Any, BinaryIO, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from authserver.core.errors import ConfigurationError
from authserver.resource_server.bearer import MAX_FORM_BYTES, is_form
from authserver.resource_server.demands import NO_SCOPES, Gate, choice_names, scope_names
from authserver.resource_server.errors import Refusal
from authserver.resource_server.metadata import WELL_KNOWN, Answer, ProtectedResource
from authserver.resource_server.token import VerifiedToken
from authserver.resource_server.verifier import ThreadVerifier
from authserver.resource_server.wsgi import CALLER, Beginning, Caller, FormBody

SETTING = "AUTHSERVER_RESOURCE_SERVER"

_OF_THE_MIDDLEWARE = ("require", "except_paths", "resource_name", "metadata_url")

View = Callable[..., Any]


@cache
def verifier() -> ThreadVerifier:
    """Return the verifier of this project, one for all its threads; raise ImproperlyConfigured."""
    options = {name: value for name, value in _setting().items() if name not in _OF_THE_MIDDLEWARE}
    if options.get("config", "") == "":
        raise ImproperlyConfigured(f"{SETTING}: config is missing, the path or the URL of the verifier configuration")
    try:
        return ThreadVerifier.from_config(options.pop("config"), **options)
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
        try:
            self._gate = Gate(options.pop("require", None), options.pop("except_paths", ()))
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"{SETTING}: {error}") from None
        self._resource = ProtectedResource(verifier(), **options)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        if self._is_async:
            return self._serve_async(request)
        response, demand = self._own_answer(request), self._gate.demand(request.path_info)
        if response is None and demand is not None:
            response = _refused(_caller(request), demand, NO_SCOPES)
        return cast("HttpResponseBase", self._get_response(request)) if response is None else response

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        response, demand = self._own_answer(request), self._gate.demand(request.path_info)
        if response is None and demand is not None:
            response = await _refused_async(_caller(request), demand, NO_SCOPES)
        return cast("HttpResponseBase", await self._get_response(request)) if response is None else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a Refusal that a view has raised itself."""
        return _response(_caller(request).answer(exception)) if isinstance(exception, Refusal) else None

    def _own_answer(self, request: HttpRequest) -> HttpResponse | None:
        """Return what is answered here; None for what the views have to answer, who may ask for the caller now."""
        path = request.path_info
        if path.startswith(WELL_KNOWN) and (answer := self._resource.own_answer(request.method, path)):
            return _response(answer)
        request.META[CALLER] = Caller(verifier(), self._resource, request.META, form=_form(request))
        return None


def require(all_of: Collection[str] = NO_SCOPES, *, any_of: Collection[str] = NO_SCOPES) -> Callable[[View], View]:
    """Return a decorator that lets into a view whose token has these scopes.

    `"read write"` or a list: all of them; `any_of`: one of them; nothing: any good token will do.
    """
    needed, choice = scope_names(all_of), choice_names(any_of)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            response = _refused(_caller(request), needed, choice)
            return view(request, *args, **kwargs) if response is None else response

        @wraps(view)
        async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            response = await _refused_async(_caller(request), needed, choice)
            return await view(request, *args, **kwargs) if response is None else response

        return guarded_async if _is_async(view) else guarded

    return decorate


def _is_async(view: View) -> bool:
    """Tell whether a view has to be awaited: `dispatch` of an asynchronous class looks as if it had not."""
    owner = getattr(getattr(view, "func", view), "__self__", None)  # in `method_decorator` it is a partial
    return iscoroutinefunction(view) or getattr(owner, "view_is_async", False) is True


def current_token(request: HttpRequest) -> VerifiedToken:
    """Return the token of a request of which one was required; raise RuntimeError for others."""
    token = _caller(request).token
    if token is None:
        raise RuntimeError("no token was required for this request: put @require(…) on the view")
    return token


def _refused(caller: Caller, all_of: Collection[str], any_of: Collection[str]) -> HttpResponse | None:
    try:
        caller.require(all_of, any_of=any_of)
    except Refusal as refusal:
        return _response(caller.answer(refusal))
    return None


async def _refused_async(caller: Caller, all_of: Collection[str], any_of: Collection[str]) -> HttpResponse | None:
    try:
        await caller.require_async(all_of, any_of=any_of)
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


def _form(request: Any) -> Beginning | None:
    """Return how to look at the beginning of a form, and leave the request as if nobody looked; None for what is none.

    That is why `request.body` is not asked: it reads any length, and raises where it is too much for it. Nor may the
    caller refer to the request, which refers to the caller.
    """
    stream = getattr(request, "_stream", None)
    if stream is None or not is_form(request.method, request.META.get("CONTENT_TYPE", "")):
        return None
    if request._read_started:  # noqa: SLF001 - Django has no other way
        return partial(_look, stream) if stream.seekable() else None
    form = FormBody(stream)
    request._stream = BufferedReader(form)  # noqa: SLF001 - Django has no other way
    return form.beginning


def _look(stream: BinaryIO) -> str:
    """Return the beginning of a body that another middleware has read, wholly or in part."""
    position = stream.tell()
    try:
        stream.seek(0)
        return stream.read(MAX_FORM_BYTES).decode("latin-1")
    finally:
        stream.seek(position)


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
