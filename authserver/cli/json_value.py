"""JSON on the command line, read as strictly as in a request's body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from authserver.admin.body import MalformedBody, parse_json
from authserver.core.json_value import Json

_SUBJECT = "The body "


class JsonObject(click.ParamType[Mapping[str, Json]]):
    """An option whose value is a JSON object; anything else is wrong usage, and is not repeated."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, Json]:
        """Return the object."""
        try:
            document = parse_json(str(value).encode("utf-8", "surrogateescape"))
        except MalformedBody as error:
            self.fail(error.detail.removeprefix(_SUBJECT), param, ctx)
        if not isinstance(document, dict):
            self.fail('is not a JSON object, such as {"plan": "free"}', param, ctx)
        return document
