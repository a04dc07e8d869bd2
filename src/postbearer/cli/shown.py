"""Tables, ages and times, as people read them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from postbearer.cli.output import printable, style

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def age(seconds: float) -> str:
    """A time span in its two largest units."""
    left = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        if left >= size or (unit == "s" and not parts):
            count, left = divmod(left, size)
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def moment(when: float | None) -> str:
    """A point in time, here."""
    return "" if when is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under their columns; the last column may be as wide as it is."""
    shown = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in (columns, *shown)) for place in range(len(columns) - 1)]
    for number, row in enumerate((columns, *shown)):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        line = "  ".join((*cells, row[-1])).rstrip()
        click.echo(line if number else style(line, "bold", sys.stdout))


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one a line; empty ones are left away."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        if value:
            click.echo(f"{name:<{width}}  {printable(value)}")
