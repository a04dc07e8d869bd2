"""The relay is killed while programs post: nothing that got 202 is lost, and nothing is there twice."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.running import Relay, plain_account, relay_table
from servers.sink import Sink
from support.local import short_folder
from support.ports import free_ports

CLIENTS = 4


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def post(port: int, token: str, key: str) -> str:
    """The id of the message; raises `OSError` where there is no answer, `ValueError` where it is another."""
    relay = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    fields = {"authorization": f"Bearer {token}", "content-type": "application/json", "idempotency-key": key}
    try:
        relay.request("POST", "/v1/messages", json.dumps({"to": "you@example.org", "subject": key}), fields)
        answer = relay.getresponse()
        told = json.loads(answer.read())
    except http.client.HTTPException as error:
        raise OSError("cut off") from error
    finally:
        relay.close()
    if answer.status != 202:
        raise ValueError(f"{answer.status}: {told}")
    return str(told["id"])


class Program(threading.Thread):
    """Posts one message after the other, each until it is answered, under a key of its own."""

    def __init__(self, name: str, port: int, token: str) -> None:
        super().__init__(name=name)
        self.known: dict[str, set[str]] = {}  # by key: the ids that were answered
        self.wrong: list[str] = []
        self.ending = threading.Event()
        self._port = port
        self._token = token

    def run(self) -> None:
        number = 0
        while not self.ending.is_set() and not self.wrong:
            key, number = f"{self.name}-{number}", number + 1
            for _ in range(2):  # again, although it was answered: the same
                self.known.setdefault(key, set()).add(self._until_answered(key))

    def _until_answered(self, key: str) -> str:
        while True:
            try:
                return post(self._port, self._token, key)
            except ValueError as error:
                if "503" not in str(error):
                    self.wrong.append(str(error))
                    return ""
            except OSError:
                time.sleep(0.02)


def test_nothing_is_lost_and_nothing_is_doubled(home: Path, long: bool) -> None:
    kills, dice, sink = 100 if long else 6, random.Random(17), Sink()
    (port,) = free_ports(1)
    text = plain_account(sink.port) + relay_table() + f'[http]\nlisten = ["127.0.0.1:{port}"]\n'
    with Relay(home, text) as relay:
        assert relay.start()
        token = (home / "state" / "api-token").read_text().strip()
        programs = [Program(f"p{number}", port, token) for number in range(CLIENTS)]
        for program in programs:
            program.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.6))
            relay.kill()
            assert relay.start()
        for program in programs:
            program.ending.set()
        for program in programs:
            program.join(60)
        assert [program.wrong for program in programs] == [[]] * CLIENTS
        known = {key: ids for program in programs for key, ids in program.known.items()}
        assert {len(ids) for ids in known.values()} == {1}  # each answer of a key names one message
        assert len({next(iter(ids)) for ids in known.values()}) == len(known)
        assert relay.drain()
        assert relay.stop() == 0
        kept = {entry.message.id for entry in asyncio.run(relay.entries())}
    assert kept == {next(iter(ids)) for ids in known.values()}  # none is lost, and none is there twice
    assert all(sink.messages(f"Subject: {key}\r\n".encode()) for key in known)
    sink.close()
