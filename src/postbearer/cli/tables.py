"""Tables, ages and times, as people read them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from postbearer.cli.output import folded, printable, room, style
from postbearer.clock import age as age

_GAP = "  "
_ENOUGH = 24  # columns that are worth it for the beginning of a last cell
_STATES = {  # state of a recipient or an account → its colour
    **dict.fromkeys(("delivered", "ready", "working"), "good"),
    **dict.fromkeys(("deferred", "held"), "warning"),
    **dict.fromkeys(("failed", "expired", "paused", "not-signed-in", "failing", "disabled"), "error"),
    **dict.fromkeys(("cancelled", "scheduled"), "dim"),
}


def moment(when: float | None) -> str:
    """A point in time, here."""
    return "" if when is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def state(name: str, width: int = 0) -> str:
    """A state in its colour."""
    return style(f"{name:<{width}}", _STATES[name], sys.stdout) if name in _STATES else f"{name:<{width}}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under their columns. On a terminal they fit its width: one line for each row where that can be.

    What the last column has no room for is left away from a word on, or stands below the row; a cell is
    never cut within a word. Elsewhere every row is one line, however long.
    """
    shown = [[printable(cell).replace("\n", " ") for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(columns))]
    lines = _packed(widths, room(sys.stdout))
    for number, row in enumerate(shown):
        for text in _laid_out(row, widths, lines, columns.index("state") if "state" in columns else -1):
            click.echo(text if number else style(text, "bold", sys.stdout))


def _packed(widths: Sequence[int], width: int) -> list[list[int]]:
    """Which columns stand together in a line of `width` columns; 0: there is no end."""
    last = len(widths) - 1
    lines: list[list[int]] = [[]]
    taken = 0
    for place, wide in enumerate(widths):
        needed = min(wide, _ENOUGH) if place == last else wide
        if lines[-1] and width and taken + len(_GAP) + needed > width:
            lines.append([])
            taken = 0
        taken += wide + len(_GAP)
        lines[-1].append(place)
    return lines


def _laid_out(row: Sequence[str], widths: Sequence[int], lines: list[list[int]], coloured: int) -> list[str]:
    """The lines of one row; those below the first are indented, and left away where nothing is in them."""
    found: list[str] = []
    for number, places in enumerate(lines):
        indent = _GAP if number else ""
        if number and not any(row[place] for place in places):
            continue
        cells = [
            state(row[place], widths[place]) if place == coloured else f"{row[place]:<{widths[place]}}"
            for place in places
        ]
        taken = len(indent) + sum(widths[place] + len(_GAP) for place in places[:-1])
        if places[-1] == len(row) - 1:
            cells[-1] = _last(row[-1], taken, alone=len(places) == 1)
        found.append((indent + _GAP.join(cells)).rstrip())
    return found


def _last(cell: str, taken: int, *, alone: bool) -> str:
    """The last cell: all of it in several lines where it stands alone, else what there is room for."""
    if alone:
        return folded(cell, sys.stdout, taken=taken, indent=taken)
    width = room(sys.stdout) - taken
    if room(sys.stdout) == 0 or len(cell) <= width:
        return cell
    kept = cell[:width].rpartition(" ")[0]
    while kept and len(kept) + 2 > width:
        kept = kept.rpartition(" ")[0]
    return f"{kept} …".lstrip()


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one below the other; empty ones are left away."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        if value:
            told = folded(printable(value), sys.stdout, taken=width + 2, indent=width + 2)
            click.echo(f"{name:<{width}}  {state(told) if name.strip() == 'state' else told}")
