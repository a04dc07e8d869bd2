"""How soon mail flows as before, once a fault of a cluster is over."""

from __future__ import annotations

import itertools
import signal
import smtplib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self

from _bench import goal
from _database import server
from _relays import folder

from relay.cluster import Cluster
from relay.failing import KILL, all_connections
from relay.load import transaction
from relay.running import SENDER
from servers.postgresql import Postgresql

OFFERED = 12  # messages a second: what also a busy machine takes
SENDERS = 6
WINDOW = 2.0  # seconds over which arrivals are counted
SHARE = 0.95
TEXT = f"From: {SENDER}\r\nSubject: x\r\n\r\n{'x' * 1000}\r\n".encode()


class Offered:
    """Programs that hand in so many a second, each at the next node if one does not take it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for each in self._threads:
            each.start()

    def _send(self, number: int) -> None:
        nodes, pause = itertools.cycle(range(len(self._cluster.nodes))), SENDERS / OFFERED
        due = time.monotonic() + number * pause / SENDERS
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause, time.monotonic() - 1.0)
            node = self._cluster.nodes[next(nodes)]
            with (
                suppress(OSError, smtplib.SMTPException),
                smtplib.SMTP("127.0.0.1", node.port, "load.example.org", timeout=5) as client,
            ):
                client.ehlo()
                transaction(client, ["anna@example.net"], TEXT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()


@contextmanager
def _killed(cluster: Cluster, on: Postgresql) -> Iterator[None]:
    cluster.nodes[0].kill()
    yield
    cluster.start(cluster.nodes[0])


@contextmanager
def _stopped(cluster: Cluster, on: Postgresql) -> Iterator[None]:
    cluster.nodes[0].signal(signal.SIGSTOP)
    yield
    cluster.nodes[0].signal(signal.SIGCONT)


@contextmanager
def _crashed(cluster: Cluster, on: Postgresql) -> Iterator[None]:
    on.stop("immediate")
    on.start()
    yield


@contextmanager
def _ended(cluster: Cluster, on: Postgresql) -> Iterator[None]:
    on.sql(KILL)
    yield


@contextmanager
def _taken(cluster: Cluster, on: Postgresql) -> Iterator[None]:
    with all_connections(on):
        time.sleep(3.0)
    yield


FAULTS: Mapping[str, Callable[[Cluster, Postgresql], Any]] = {
    "a node killed": _killed,
    "a node stopped": _stopped,
    "the database crashed": _crashed,
    "connections ended": _ended,
    "no connection left": _taken,
}


def recovered(quick: bool) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Seconds from the end of a fault until as much arrives as before (95 %, over two seconds)."""
    found: dict[str, float] = {}
    with (
        server() as on,
        folder() as at,
        on.schema() as url,
        Cluster(at / "c", url, 1) as cluster,
        Offered(cluster),
    ):
        for name, fault in FAULTS.items():
            for _ in range(1 if quick else 3):
                before = min(_rate(cluster, 10.0), OFFERED)  # what arrives of it on this machine, just now
                with fault(cluster, on):
                    taken = _flows(cluster, before, 60.0)
                found[name] = max(taken, found.get(name, 0.0))
                print(f"{name}: {taken:.1f} s until {before:.1f} a second arrive", flush=True)
                _flows(cluster, before, 60.0)
    return found, [
        goal(f"seconds until mail flows again, {name}", taken, 10, at_most=True)
        for name, taken in found.items()
    ]


def _rate(cluster: Cluster, seconds: float) -> float:
    before, began = len(cluster.sink.messages()), time.monotonic()
    time.sleep(seconds)
    return (len(cluster.sink.messages()) - before) / (time.monotonic() - began)


def _flows(cluster: Cluster, rate: float, most: float) -> float:
    """Seconds until the first moment behind which so much arrives."""
    began = time.monotonic()
    seen = [(began, len(cluster.sink.messages()))]
    while time.monotonic() < began + most:
        time.sleep(0.1)
        seen.append((time.monotonic(), len(cluster.sink.messages())))
        while seen[1][0] <= seen[-1][0] - WINDOW:
            seen.pop(0)
        passed = seen[-1][0] - seen[0][0]
        if passed >= WINDOW and (seen[-1][1] - seen[0][1]) / passed >= SHARE * rate:
            return seen[0][0] - began
    return most
