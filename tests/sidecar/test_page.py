"""docs/sidecar.md names every option, variable and metric."""

from __future__ import annotations

from pathlib import Path

import click

from authserver.cli.sidecar import PREFIX, SECRET_VARIABLE, sidecar
from authserver.sidecar.metrics import COUNTERS, GAUGES

PAGE = (Path(__file__).parents[2] / "docs" / "sidecar.md").read_text(encoding="utf-8")


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


def test_metrics() -> None:
    """Each metric of the verifier stands there."""
    for name in (*GAUGES, *(f"{counter}_total" for counter in COUNTERS)):
        assert f"`authserver_sidecar_{name}`" in PAGE
