"""Documents into models, and what pydantic says about them into our own words (RFC 9457 §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from authserver.core.errors import FieldProblem, ValidationFailed
from authserver.core.json_value import Json

ModelT = TypeVar("ModelT", bound=BaseModel)

#: Names that may be repeated to the caller; anything else that was sent is not.
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_OWN_TEXT = "Value error, "
_SUBJECT = re.compile(r"(?:String|Input|List|Dictionary) (?=should )")

#: Enough to mend a document by; a hostile one has thousands.
MAX_PROBLEMS = 50


def validated(model: type[ModelT], document: Mapping[str, Json]) -> ModelT:
    """Read `document` strictly; raise ValidationFailed naming every field at fault, never a value."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise ValidationFailed(*_problems(error)) from None


def merged(present: Mapping[str, Json], patch: Mapping[str, Json], model: type[BaseModel]) -> dict[str, Json]:
    """Return the document after a merge patch (RFC 7396): null removes, so that the default counts again.

    Names that `model` does not know stay in, even when null, so that its validation refuses them.
    """
    document = dict(merge_patch(present, patch))
    document.update({name: None for name in patch if name not in model.model_fields})
    return document


def merge_patch(target: Json, patch: Json) -> Json:
    """Apply a JSON merge patch, as the pseudocode of RFC 7396 §2 has it, without changing `target`."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def _problems(error: ValidationError) -> list[FieldProblem]:
    return [
        FieldProblem(_path(detail["loc"]), _words(detail["type"], detail["msg"]))
        for detail in islice(error.errors(include_url=False, include_context=False, include_input=False), MAX_PROBLEMS)
    ]


def _path(location: tuple[int | str, ...]) -> str:
    parts = [str(part) if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "…" for part in location]
    return ".".join(parts) or "body"


def _words(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is unknown, or cannot be set here"
    if kind == "missing":
        return "is required"
    return _SUBJECT.sub("", message.removeprefix(_OWN_TEXT), count=1)
