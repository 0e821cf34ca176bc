"""docs/sidecar.md names every option, variable and metric."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from authserver.cli.sidecar import PREFIX, SECRET_VARIABLE, sidecar
from authserver.sidecar.metrics import COUNTERS, GAUGES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "sidecar.md").read_text(encoding="utf-8")

#: Where a page's service listens, or is asked behind a proxy.
SERVICE = re.compile(r"(?:proxy_pass http://|reverse_proxy |listen |url: \"http://)(127\.0\.0\.1:\d+)")


def test_options() -> None:
    """Each option has its row, with its variable and its default."""
    for option in sidecar.params:
        assert isinstance(option, click.Option)
        variable = f"{PREFIX}_{option.name}".upper()
        default = f"`{option.default:g}`" if isinstance(option.default, int | float) else f"`{option.default}`"
        shown = "required" if option.name in {"config", "client_id", "client_secret_file"} else default
        row = (
            f"| `{option.opts[0]}` | `{variable}` | {'' if option.is_flag or option.name == 'rules' else f'{shown} '}|"
        )
        assert row in PAGE, row
    assert SECRET_VARIABLE in PAGE


@pytest.mark.parametrize("page", ["forward-auth.md", "quickstart/nginx.md", "quickstart/caddy.md"])
def test_the_default_address_is_no_services(page: str) -> None:
    """A proxy told to ask the sidecar must not find the service there, whose 200 would let everybody in."""
    services = set(SERVICE.findall((DOCS / page).read_text(encoding="utf-8")))
    (listen,) = [option.default for option in sidecar.params if option.name == "listen"]
    assert services
    assert listen not in services


def test_metrics() -> None:
    """Each metric of the verifier stands there."""
    for name in (*GAUGES, *(f"{counter}_total" for counter in COUNTERS)):
        assert f"`authserver_sidecar_{name}`" in PAGE
