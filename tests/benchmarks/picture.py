"""The rates beside those of the peers, as a picture (SVG) that reads well on a light page and on a dark one."""

from collections.abc import Sequence
from html import escape

from tests.benchmarks.figures import Figure
from tests.benchmarks.own_server import OWN_NAME

_SHOWN = {"tokens": "Tokens a second", "introspection": "Introspections a second"}

_WIDTH = 760
_ROW = 26
_TITLE = 40
_BAR_LEFT = 320
_BAR_LONGEST = 350
_GAP = 8

_STYLE = """
text { font: 14px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.ours { fill: #1f6feb; }
.peer { fill: #afb8c1; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .peer { fill: #6e7681; }
}
"""


def as_svg(figures: Sequence[Figure]) -> str:
    """Return the picture: a bar for each of `figures` that has a peer, the longest of each section as long as fits."""
    parts: list[str] = []
    height = 0
    for section, title in _SHOWN.items():
        shown = [figure for figure in figures if figure.section == section]
        if not shown:
            continue
        parts.append(f'<text class="title" x="0" y="{height + _TITLE - _GAP * 2}">{title}</text>')
        height += _TITLE
        fastest = max(figure.requests_per_second for figure in shown)
        for figure in shown:
            parts += _bar(figure, height, figure.requests_per_second / fastest)
            height += _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">\n<style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(figure: Figure, top: int, share: float) -> list[str]:
    width = round(_BAR_LONGEST * share)
    kind = "ours" if figure.name.startswith(OWN_NAME) else "peer"
    baseline = top + _ROW - _GAP
    return [
        f'<text x="{_BAR_LEFT - _GAP}" y="{baseline}" text-anchor="end">{escape(figure.name)}</text>',
        f'<rect class="{kind}" x="{_BAR_LEFT}" y="{top + _GAP // 2}" width="{width}" height="{_ROW - _GAP}" rx="2"/>',
        f'<text x="{_BAR_LEFT + width + _GAP}" y="{baseline}">{figure.requests_per_second:,.0f}</text>',
    ]
