"""The console beside a long queue: how soon pages come, what open ones cost, what acceptance feels of it.

    ./dev bench console [--queued 100000]

The queue waits for an account that is paused. `overview cold` is the first look after two seconds without
one, which all open pages then share; those of the queue are all cold. The processor's time is the relay's,
with twenty pages open that are fetched each five seconds, as a browser does, less that without; acceptance is
one message after the other by SMTP, with pages open and without. What the pages ask of the queue is counted
by tests/console/test_shared_reads.py.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import smtplib
import statistics
import threading
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import apsw
from _bench import goal, save
from _relays import folder

from postbearer.console.shared_reads import EVERY, SOONEST
from relay.running import Relay, plain_account, relay_table
from support.ports import free_ports

PAGES = 20  # open
GOALS = {100_000: 300.0, 1_000_000: 500.0}  # milliseconds of the queue's pages
MESSAGE = b"From: app@example.org\r\nTo: you@example.org\r\nSubject: hello\r\n\r\nHello\r\n"
FILL = """
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :count)
INSERT INTO message SELECT n, printf('%016d', n), :now - 86400 + n * 0.08, 'app',
  '{"reverse_path": "app@example.org"}', '', 600, '', 0, 0, :now + 432000, printf('<%d@example.org>', n),
  'app@example.org', printf('Message %d', n), '' FROM up;
INSERT INTO delivery (message, account, priority, client, due, since)
SELECT number, 'out', 1, 'app', accepted, accepted FROM message;
INSERT INTO recipient (delivery, state, address, notify, orcpt)
SELECT id, iif(id % 100 = 0, 'd', 'r'), printf('person%d@example.org', id), '', '' FROM delivery;
"""


def fill(path: Path, count: int) -> None:
    connection = apsw.Connection(str(path))
    with connection:
        connection.execute(FILL, {"count": count, "now": time.time()})
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()


class Reader:
    """A browser that is logged in."""

    def __init__(self, relay: Relay) -> None:
        code = relay.ask("console.open").url
        parts = urlsplit(code)
        self._http = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        form = urlencode({"one_time_code": parts.query.partition("=")[2]})
        fields = {"content-type": "application/x-www-form-urlencoded"}
        self._http.request("POST", parts.path, form, fields)
        answer = self._http.getresponse()
        answer.read()
        cookie = str(answer.getheader("set-cookie"))
        self._cookie = {"cookie": cookie.partition(";")[0]}

    def get(self, path: str, **more: str) -> tuple[float, str]:
        """Milliseconds, and the page."""
        began = time.perf_counter()
        self._http.request("GET", f"/console{path}", headers=self._cookie | more)
        answer = self._http.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, (path, answer.status)
        return (time.perf_counter() - began) * 1e3, text


def p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def cpu(relay: Relay) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{relay.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def accepts(relay: Relay, seconds: float) -> list[float]:
    """Milliseconds from the end of a message to its 250, one after the other, for so long."""
    found, until = [], time.monotonic() + seconds
    with smtplib.SMTP("127.0.0.1", relay.port) as smtp:
        smtp.ehlo()
        while time.monotonic() < until:
            smtp.mail("app@example.org")
            smtp.rcpt("you@example.org")
            began = time.perf_counter()
            smtp.data(MESSAGE)
            found.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.02)
    return found


class OpenPages:
    """So many pages, each fetched every few seconds."""

    def __init__(self, relay: Relay) -> None:
        self._stop = threading.Event()
        readers = [Reader(relay) for _ in range(PAGES)]
        self._threads = [threading.Thread(target=self._look, args=each) for each in enumerate(readers)]

    def _look(self, number: int, reader: Reader) -> None:
        self._stop.wait(number * EVERY / PAGES)
        while not self._stop.is_set():
            reader.get("/" if number % 2 else "/queue", **{"hx-request": "true"})
            self._stop.wait(EVERY)

    def __enter__(self) -> None:
        for each in self._threads:
            each.start()

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()


def main(queued: int, seconds: float) -> None:
    with folder() as at:
        text = plain_account(free_ports(1)[0]) + relay_table() + '[http]\nlisten = ["127.0.0.1:0"]\n'
        with Relay(at, text) as relay:
            relay.start()
            relay.ask("accounts.pause", name="out")
            relay.stop()
            fill(relay.spool, queued)
            relay.start()
            reader = Reader(relay)
            last = re.search(r'rel="next" href="/console([^"]+)"', reader.get("/queue")[1])
            assert last
            cold, warm, queue = [], [], []
            for _ in range(10):
                time.sleep(SOONEST + 0.1)
                cold.append(reader.get("/")[0])
                warm += [reader.get("/")[0] for _ in range(5)]
            middle = f"/queue?after={queued // 2:016d}"
            paths = (
                "/queue",
                last[1].replace("&amp;", "&"),
                middle,
                "/queue?state=ready",
                "/queue?state=deferred",
                "/queue?account=out",
                "/queue?state=held",
                "/queue?accepted=hour",
            )
            rounds = []
            for _ in range(12):
                time.sleep(SOONEST + 0.1)  # so that none is told what another one was
                rounds.append([reader.get(path)[0] for path in paths])
            for path, *times in zip(paths, *rounds, strict=True):
                print(f"{path:42} median {statistics.median(times):7.1f} ms, most {max(times):7.1f} ms")
                queue += times
            alone = accepts(relay, seconds)
            used, began = cpu(relay), time.monotonic()
            time.sleep(seconds)
            idle = (cpu(relay) - used) / (time.monotonic() - began)
            with OpenPages(relay):
                used, began = cpu(relay), time.monotonic()
                time.sleep(seconds)
                open_ = (cpu(relay) - used) / (time.monotonic() - began)
                beside = accepts(relay, seconds)
            relay.stop()
        print(f"overview cold {statistics.median(cold):.1f} ms, warm {statistics.median(warm):.1f} ms")
        print(f"acceptance alone {statistics.median(alone):.2f} ms (p95 {p95(alone):.2f})")
        print(f"acceptance beside {statistics.median(beside):.2f} ms (p95 {p95(beside):.2f})")
        goals = [
            goal("overview, ms", statistics.median(cold), 50.0, at_most=True),
            goal("queue page p95, ms", p95(queue), GOALS.get(queued, 500.0), at_most=True),
            goal("processor of twenty open pages, %", (open_ - idle) * 100, 3.0, at_most=True),
            goal(
                "acceptance beside, times alone",
                statistics.median(beside) / statistics.median(alone),
                1.1,
                at_most=True,
            ),
        ]
        save(f"console-{queued}", {"goals": goals}, {})


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--queued", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=20.0)
    given = options.parse_args()
    main(given.queued, given.seconds)
