"""Peak of memory while sending one large file, over that of sending 1 KiB; ours and others'.

./dev bench memory [--quick]
"""

from __future__ import annotations

import argparse
import tempfile

from _bench import goal, median, message, peers, save, show, sink
from picture import Chart

SMALL = 1024
MIB = 1 << 20
GOAL = 16.0  # MiB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--size", type=int, default=150, help="MiB of the large file (150)")
    options = parser.parse_args()
    clients = ("mailer", *peers())
    peaks: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, sink() as target:
        files = {size: message(folder, size) for size in (SMALL, options.size * MIB)}
        for _ in range(1 if options.quick else 3):
            for client in clients:
                for size, file in files.items():
                    result = target.send(client, target.port, file, count=1, warm_up=0)
                    peaks.setdefault((client, size), []).append(result["peak"] / 1024)
    small = {client: median(peaks[client, SMALL]) for client in clients}
    added = {client: median(peaks[client, options.size * MIB]) - small[client] for client in clients}
    names = {client: "postbearer" if client == "mailer" else client for client in clients}
    rows = [(names[client], f"{small[client]:.1f}", f"{added[client]:.1f}") for client in clients]
    show(f"Peak of memory, MiB, for a file of {options.size} MiB", ("client", "1 KiB", "added"), rows)
    goals = [goal(f"MiB added by {options.size} MiB", added["mailer"], GOAL, at_most=True)]
    results = {names[client]: {"small": small[client], "added": added[client]} for client in clients}
    chart = Chart(
        f"MiB of memory a file of {options.size} MiB adds", "MiB", {names[c]: added[c] for c in clients}
    )
    save("memory", {"results": results, "goals": goals}, {"": chart})


if __name__ == "__main__":
    main()
