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
from urllib.parse import urlencode

import pytest

from relay.running import SENDER, Relay, plain_account, relay_table
from servers.sink import Sink
from support.local import short_folder
from support.ports import free_ports

TO = "you@example.org"
BATCH = 3


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def one(key: str) -> tuple[str, str, bytes]:
    """Path, media type and body of a message by its parts."""
    return "/v1/messages", "application/json", json.dumps({"to": TO, "subject": key}).encode()


def raw(key: str) -> tuple[str, str, bytes]:
    """… of a message as it is."""
    path = f"/v1/messages?{urlencode({'from': SENDER, 'to': TO})}"
    return path, "message/rfc822", f"From: {SENDER}\r\nSubject: {key}\r\n\r\nx\r\n".encode()


def many(key: str) -> tuple[str, str, bytes]:
    """… of several in one commit."""
    messages = [{"to": TO, "subject": f"{key}.{number}"} for number in range(BATCH)]
    return "/v1/messages/batch", "application/json", json.dumps({"messages": messages}).encode()


KINDS = {"one": one, "raw": raw, "many": many, "two": one}


def post(port: int, token: str, key: str, kind: str) -> tuple[str, ...]:
    """The ids of the messages; raises `OSError` without an answer, `ValueError` where it is another."""
    path, media_type, body = KINDS[kind](key)
    relay = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    fields = {"authorization": f"Bearer {token}", "content-type": media_type, "idempotency-key": key}
    try:
        relay.request("POST", path, body, fields)
        answer = relay.getresponse()
        told = json.loads(answer.read())
    except http.client.HTTPException as error:
        raise OSError("cut off") from error
    finally:
        relay.close()
    if answer.status != 202:
        raise ValueError(f"{answer.status}: {told}")
    return tuple(each["message"]["id"] for each in told["messages"]) if kind == "many" else (told["id"],)


class Program(threading.Thread):
    """Posts one thing after the other, each until it is answered, under a key of its own."""

    def __init__(self, kind: str, port: int, token: str) -> None:
        super().__init__(name=kind)
        self.known: dict[str, set[tuple[str, ...]]] = {}  # by key: the ids that were answered
        self.wrong: list[str] = []
        self.unanswered = 0
        self.ending = threading.Event()
        self._port = port
        self._token = token

    def run(self) -> None:
        number = 0
        while not self.ending.is_set() and not self.wrong:
            key, number = f"{self.name}-{number}", number + 1
            for _ in range(2):  # again, although it was answered: the same
                self.known.setdefault(key, set()).add(self._until_answered(key))

    def _until_answered(self, key: str) -> tuple[str, ...]:
        while True:
            try:
                return post(self._port, self._token, key, self.name)
            except ValueError as error:
                if "503" not in str(error):
                    self.wrong.append(str(error))
                    return ()
            except OSError:
                self.unanswered += 1
                time.sleep(0.02)


def subjects(key: str) -> list[str]:
    return [f"{key}.{number}" for number in range(BATCH)] if key.startswith("many") else [key]


def test_nothing_is_lost_and_nothing_is_doubled(home: Path, long: bool) -> None:
    kills, dice, sink = 200 if long else 24, random.Random(17), Sink()
    (port,) = free_ports(1)
    text = plain_account(sink.port) + relay_table() + f'[http]\nlisten = ["127.0.0.1:{port}"]\n'
    with Relay(home, text) as relay:
        assert relay.start()
        token = (home / "state" / "api-token").read_text().strip()
        programs = [Program(kind, port, token) for kind in KINDS]
        for program in programs:
            program.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0.0, 0.3))
            relay.kill()
            assert relay.start()
        for program in programs:
            program.ending.set()
        for program in programs:
            program.join(60)
        assert [program.wrong for program in programs] == [[]] * len(KINDS)
        assert all(program.unanswered for program in programs)  # the kills hit them
        known = {key: ids for program in programs for key, ids in program.known.items()}
        assert {len(ids) for ids in known.values()} == {1}  # each answer of a key names the same messages
        told = [identifier for ids in known.values() for identifier in next(iter(ids))]
        assert len(set(told)) == len(told)
        assert relay.drain()
        assert relay.stop() == 0
        kept = [entry.message.id for entry in asyncio.run(relay.entries())]
    assert sorted(kept) == sorted(told)  # none is lost, and none is there twice
    wanted = [subject for key in known for subject in subjects(key)]
    assert [each for each in wanted if not sink.messages(f"Subject: {each}\r\n".encode())] == []
    sink.close()
