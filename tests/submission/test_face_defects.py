"""A defect of ours that one client meets: it is answered and told once, and the next client is served."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control.test_control import raw
from postbearer.control.messages import Messages
from postbearer.engine import Intake
from postbearer.events import Defect
from postbearer.submission import Access
from submission.test_drop import CONTENT, parcel, put
from submission.test_local_submission import say
from support.local import local_relay
from support.relay import Ears
from support.submitting import running

DEFECT = "RuntimeError('injected')"


@pytest.fixture(autouse=True)
async def nothing_printed() -> AsyncIterator[None]:
    """What asyncio would have said by itself."""
    found: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    yield
    assert found == []


class Once:
    """In place of a method: a defect, the first time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> None:
        real, self.left = getattr(where, name), 1

        def stand_in(*given: Any, **named: Any) -> Any:
            if self.left:
                self.left -= 1
                raise RuntimeError("injected")
            return real(*given, **named)

        monkeypatch.setattr(where, name, stand_in)


def defects(ears: Any) -> list[tuple[str, str, str]]:
    return [(each.what, each.peer, each.error) for each in ears.events if isinstance(each, Defect)]


async def test_in_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    ears = Ears()
    Once(monkeypatch, Intake, "refuse_sender")
    async with running(observer=ears) as relay:
        async with await relay.client() as client:
            await client.say("EHLO client.example.org")
            assert (await client.say("MAIL FROM:<app@example.org>")).startswith("421 4.3.0")
        async with await relay.client() as client:
            assert (await client.deliver()).startswith("250")
    assert defects(ears) == [("listener 127.0.0.1:0", "127.0.0.1", DEFECT)]


async def test_in_a_message_handed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Once(monkeypatch, Intake, "refuse_recipient")
    async with local_relay(folder) as relay:
        assert (await say(relay.handover.path, parcel())).startswith("421 4.3.0")
        assert (await say(relay.handover.path, parcel())).startswith("250 ")
    assert defects(relay.ears) == [("submit.sock", f"uid {os.getuid()}", DEFECT)]


async def test_in_a_file_of_the_drop_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Once(monkeypatch, Intake, "refuse_recipient")
    async with local_relay(folder, handing=False) as relay:
        put(relay, parcel(), "0" * 32)
        put(relay, parcel(), "1" * 32)
        assert await relay.drop.collect() == 1
        assert (await relay.one())[1] == CONTENT
        assert [name[:4] for name in os.listdir(relay.drop.path)] == ["bad."]
    assert defects(relay.ears) == [("drop folder", "", DEFECT)]


async def test_in_a_request_to_the_control_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Once(monkeypatch, Messages, "stats")
    async with local_relay(folder) as relay:
        request = json.dumps({"act": "queue.stats"}).encode() + b"\n"
        first, second = await raw(relay, request * 2)
    assert "defect" in first["error"]["message"]
    assert "ok" in second
    assert defects(relay.ears) == [("control.sock, queue.stats", f"uid {os.getuid()}", DEFECT)]


async def test_who_hangs_up_at_once_is_not_taken_for_a_local_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a connection that was reset the system does not know any more who it was."""
    asked: list[str] = []
    real = Access.by_network

    def by_network(self: Access, address: str, *, legacy: bool = False) -> Any:
        asked.append(address)
        return real(self, address, legacy=legacy)

    monkeypatch.setattr(Access, "by_network", by_network)
    async with running() as relay:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", relay.port)) as end:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        while len(asked) < 10:  # some are gone before they are accepted
            async with await relay.client():
                pass
    assert set(asked) == {"127.0.0.1"}
