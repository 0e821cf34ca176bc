"""A Markdown table whose columns line up, so that it reads well in a terminal too."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, to_the_right: Iterable[str] = ()) -> str:
    """Return the table, the columns named in `to_the_right` aligned right; nothing when there are no rows."""
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    if not body:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(header, *body, strict=True)]
    right = [name in set(to_the_right) for name in header]
    rule = ["-" * (width - 1) + (":" if is_right else "-") for width, is_right in zip(widths, right, strict=True)]
    return "\n".join(_line(cells, widths, right) for cells in [header, rule, *body])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    ]
    return f"| {' | '.join(padded)} |"
