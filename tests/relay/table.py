"""The table of the crash tests as Markdown, from the JSON lines that `./dev test --long` leaves.

python tests/relay/table.py   writes it into docs/explanation/never-lost.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.campaign import Row

PAGE = Path(__file__).parents[2] / "docs/explanation/never-lost.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
COLUMNS = {
    "kills": "kills",
    "accepted": "accepted",
    "delivered": "arrived",
    "failed": "reported",
    "lost": "lost",
    "duplicated": "second copies, explained",
    "unexplained": "unexplained",
    "recovered": "kept though not answered",
    "unexpected": "unexpected",
}


def table(rows: Sequence[Row] | Sequence[dict[str, Any]]) -> str:
    """One line a fault, and their sum, the control runs not counted."""
    dicts = [row if isinstance(row, dict) else _dict(row) for row in rows]
    lines = [
        "| fault | " + " | ".join(COLUMNS.values()) + " | windows | restart s (median, max) |",
        "| --- |" + " ---: |" * len(COLUMNS) + " --- | ---: |",
        *map(_line, dicts),
    ]
    counted = [each for each in dicts if not each["control"]]
    sums = " | ".join(f"**{sum(each[name] for each in counted):,}**" for name in COLUMNS)
    return "\n".join([*lines, f"| **all but control runs** | {sums} | | |"])


def _line(row: dict[str, Any]) -> str:
    name = row["fault"] + (f", {row['variant']}" if row["variant"] else "")
    windows = ", ".join(f"{window} {count}" for window, count in sorted(row["windows"].items()))
    counts = " | ".join(f"{row[column]:,}" for column in COLUMNS)
    return f"| {name} | {counts} | {windows} | {row['restart_p50']}, {row['restart_max']} |"


def _dict(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.as_json())
    return found


def main() -> None:
    from relay.load import RESULTS

    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    versions = ", ".join(f"{name} {value}" for name, value in rows[0]["versions"].items())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n\n{versions}\n{END}{after}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
