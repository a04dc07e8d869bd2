"""Bar charts as SVG, in as few lines as a bar chart needs; `python bench/picture.py > example.svg`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

WIDTH, BAR, GAP, LEFT, RIGHT, TOP = 640, 22, 10, 170, 90, 44
OURS, THEIRS = "#2f6f4f", "#9aa5b1"


@dataclass(frozen=True, slots=True)
class Chart:
    """Horizontal bars. Those whose name begins with ``postbearer`` stand out."""

    title: str
    unit: str
    values: Mapping[str, float]


def bars(chart: Chart) -> str:
    """The picture."""
    height = TOP + len(chart.values) * (BAR + GAP) + GAP
    scale = (WIDTH - LEFT - RIGHT) / max(chart.values.values())
    shapes = [
        f'<text x="{GAP}" y="24" font-size="15" font-weight="bold">{escape(chart.title)}</text>',
        *(_bar(place, *item, scale) for place, item in enumerate(chart.values.items())),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13" role="img" aria-label="{escape(chart.title)}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(shapes) + "\n"
        f"<title>{escape(chart.title)} ({escape(chart.unit)})</title>\n</svg>\n"
    )


def _bar(place: int, name: str, value: float, scale: float) -> str:
    top = TOP + place * (BAR + GAP)
    middle = top + BAR * 0.7
    length = max(value * scale, 1)
    colour = OURS if name.startswith("postbearer") else THEIRS
    return (
        f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
        f'<text x="{LEFT + length + 6:.1f}" y="{middle:.0f}">{number(value)}</text>'
    )


def number(value: float) -> str:
    """As many digits as anybody needs."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


if __name__ == "__main__":
    print(bars(Chart("Bars", "messages/s", {"postbearer": 21.0, "another": 5.25, "a third": 9.8})))
