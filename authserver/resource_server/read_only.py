"""JSON that nobody can change: a token that was seen before is one object for all requests that bring it."""

from __future__ import annotations

from typing import Any, NoReturn

from authserver.core.json_value import Json


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("the claims of a token are read-only; copy what you want to change")


class ReadOnlyObject(dict[str, Json]):
    """A dict that refuses changes. Its copies, `copy.deepcopy` and pickles are dicts as all others."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes a plain dict of it."""
        return dict, (dict(self),)


class ReadOnlyArray(list[Json]):
    """A list that refuses changes. Its copies, `copy.deepcopy` and pickles are lists as all others."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes a plain list of it."""
        return list, (list(self),)


def read_only(value: Json) -> Json:
    """Return JSON whose objects and arrays, at any depth, can be read, compared and encoded as before."""
    if isinstance(value, dict):
        return ReadOnlyObject({name: read_only(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return ReadOnlyArray([read_only(inner) for inner in value])
    return value
