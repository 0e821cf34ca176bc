"""No hook of Authlib's that we fill in may be a coroutine function: Authlib takes a coroutine for a yes."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import authserver.oauth
from authserver.oauth.decision import DecisionServer

FEWEST_HOOKS = 5


def _modules() -> Iterator[ModuleType]:
    yield authserver.oauth
    for info in pkgutil.walk_packages(authserver.oauth.__path__, "authserver.oauth."):
        yield importlib.import_module(info.name)


def _classes() -> list[type]:
    """Return every class that `authserver.oauth` defines, whatever it inherits from."""
    found = [value for module in _modules() for value in vars(module).values() if inspect.isclass(value)]
    return [cls for cls in dict.fromkeys(found) if cls.__module__.startswith("authserver.oauth")]


def _is_asynchronous(value: Any) -> bool:
    """Tell whether calling it gives something to await, also behind a decorator, a property or a partial."""
    if isinstance(value, property):
        return any(_is_asynchronous(part) for part in (value.fget, value.fset, value.fdel) if part)
    plain = inspect.unwrap(getattr(value, "__func__", value))
    plain = getattr(plain, "func", plain)
    return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain) or hasattr(plain, "_is_coroutine")


def _offences(cls: type) -> list[str]:
    return [f"{cls.__name__}.{name}" for name, value in inspect.getmembers_static(cls) if _is_asynchronous(value)]


def _is_authlib(cls: type) -> bool:
    return any(base.__module__.startswith("authlib") for base in cls.__mro__)


def test_no_hook_is_a_coroutine_function() -> None:
    """AUTH-24: no method of ours, own or inherited, overriding Authlib's or handed to it, is asynchronous."""
    classes = _classes()
    assert sum(_is_authlib(cls) for cls in classes) >= 3
    assert [offence for cls in classes for offence in _offences(cls)] == []


def test_no_function_is_a_coroutine_function() -> None:
    """AUTH-24: neither is any function of the package: it does no I/O."""
    functions = [value for module in _modules() for value in vars(module).values() if inspect.isfunction(value)]
    assert functions
    assert [function.__qualname__ for function in functions if _is_asynchronous(function)] == []


def test_the_hooks_we_override_exist() -> None:
    """AUTH-24: every public method of an Authlib subclass overrides one of Authlib's, or is named here as ours.

    A hook that Authlib renames would else fall silent, and its default, which may be open, would speak.
    """
    ours = {"decide"}
    overridden = 0
    for cls in filter(_is_authlib, _classes()):
        bases = [base for base in cls.__mro__ if base.__module__.startswith("authlib")]
        methods = {name for name, value in vars(cls).items() if inspect.isfunction(value)} - {"__init__"}
        orphans = {name for name in methods if not any(hasattr(base, name) for base in bases)}
        assert orphans <= ours, cls
        overridden += len(methods - orphans)
    assert overridden >= FEWEST_HOOKS


def test_the_grants_in_use_are_synchronous() -> None:
    """AUTH-24: neither the server object that decides nor a grant that it registered has an asynchronous method."""
    server = DecisionServer()
    grants = [grant for grant, _ in server._token_grants]
    assert [grant.GRANT_TYPE for grant in grants] == ["client_credentials"]
    assert not server._authorization_grants
    assert [offence for cls in (type(server), *grants) for offence in _offences(cls)] == []


def test_the_walk_finds_what_it_looks_for() -> None:
    """AUTH-24: the test itself sees a coroutine function, also as a static method, a property or wrapped."""

    async def hook(*_: object) -> bool:
        return await asyncio.sleep(0, result=True)

    class Careless:
        check = hook
        static = staticmethod(hook)
        ready = property(hook)

    assert _offences(Careless) == ["Careless.check", "Careless.ready", "Careless.static"]
