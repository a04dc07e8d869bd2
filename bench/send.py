"""Messages a second on one connection: TLS, XOAUTH2, 4 KB each, here and 50 ms away, against others.

    ./dev bench send [--quick]

Each round lets every client send in a process of its own, one after the other, to the same sink;
the numbers are medians over the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from _bench import Sink, delay, goal, median, message, peers, save, show, sink
from picture import Chart, number

OURS = ("mailer", "transport")
NAMES = {"mailer": "postbearer", "transport": "postbearer transport"}
SIZE = 4096
EACH_WAY = 25.0  # ms

Medians = dict[str, dict[str, float]]  # what was measured, by client
MEASURED = ("messages/s", "round trips", "processor µs")


def measure(
    sink: Sink, port: int, file: Path, clients: tuple[str, ...], *, rounds: int, count: int
) -> Medians:
    """Messages a second; round trips and the client's own processor time per message."""
    seen: dict[str, list[tuple[float, float, float]]] = {client: [] for client in clients}
    for turn in range(rounds):
        for client in clients if turn % 2 == 0 else reversed(clients):  # nobody is always first
            result = sink.send(client, port, file, count, warm_up=max(2, count // 10))
            processor = result["processor"] / count * 1e6
            seen[client].append((count / result["seconds"], result["flights"], processor))
    return {
        what: {client: median([each[place] for each in seen[client]]) for client in clients}
        for place, what in enumerate(MEASURED)
    }


def table(title: str, medians: Medians) -> None:
    rates = medians["messages/s"]
    rows = [
        (
            NAMES.get(client, client),
            f"{medians['round trips'][client]:.1f}",
            number(medians["processor µs"][client]),
            number(rate),
            "" if client in OURS else f"{rates['mailer'] / rate:.2f}",
        )
        for client, rate in rates.items()
    ]
    show(title, ("client", "round trips", "processor µs", "messages/s", "postbearer is × as fast"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few messages, three rounds")
    parser.add_argument("--near-only", action="store_true", help="leave the 50 ms out")
    options = parser.parse_args()
    clients = (*OURS, *peers())
    rounds, many, few = (3, 500, 20) if options.quick else (9, 3000, 60)
    results: dict[str, Medians] = {}
    charts: dict[str, Chart] = {}
    goals = []
    with tempfile.TemporaryDirectory() as folder, sink() as target, delay(target.port, EACH_WAY) as far:
        file = message(folder, SIZE)
        results["0 ms"] = near = measure(target, target.port, file, clients, rounds=rounds, count=many)
        table("TLS, 0 ms", near)
        rates = near["messages/s"]
        for peer in clients[len(OURS) :]:
            ratio = rates["mailer"] / rates[peer]
            goals += [goal(f"0 ms, against {peer}", ratio, 1.0)]
        if not options.near_only:
            results["50 ms"] = measure(target, far, file, clients, rounds=min(rounds, 5), count=few)
            table("TLS, 50 ms of round trip", results["50 ms"])
            rates = results["50 ms"]["messages/s"]
            for peer, wanted in {"aiosmtplib": 4.0, "nodemailer": 2.0}.items():
                if peer in rates:
                    goals += [goal(f"50 ms, against {peer}", rates["mailer"] / rates[peer], wanted)]
    for name, part in results.items():
        values = {NAMES.get(client, client): rate for client, rate in part["messages/s"].items()}
        title = f"Messages a second on one connection, TLS, {name}"
        charts[f"-{name.replace(' ', '')}"] = Chart(title, "messages/s", values)
    save("send", {"rounds": rounds, "results": results, "goals": goals}, charts)


if __name__ == "__main__":
    main()
