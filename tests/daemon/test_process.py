"""The process of the relay: what a signal may bring about, and what not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import ServiceManager, process
from postbearer.daemon.relay import Relay
from postbearer.errors import ConfigError
from postbearer.log import EventLog


class Listening(EventLog):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def notice(self, event: object) -> None:
        self.said.append(str(getattr(event, "text", event)))


class Standing:
    """A relay that is not asked to change."""

    addresses = ("127.0.0.1:2525",)

    async def reload(self, assembly: Assembly) -> None:
        raise AssertionError("it was to stay as it is")


def broken() -> Assembly:
    raise ValueError("canary-of-a-secret")


async def test_a_defect_in_reading_the_configuration_does_not_end_the_relay() -> None:
    log = Listening()
    steered = process._Process(broken, log, ServiceManager())
    steered.relay = cast(Relay, Standing())
    with pytest.raises(ConfigError, match="a defect"):
        await steered.reload()
    (text,) = log.said
    assert "the old one stays: a defect (ValueError)" in text
    assert "canary" not in text


def test_why_the_relay_does_not_start_is_json_where_the_log_is(tmp_path: Path) -> None:
    config = tmp_path / "postbearer.toml"
    config.write_text("[accounts.a]\nprovider = 'nobody'\n[relay]\nlisten = 5\n")
    config.chmod(0o600)
    command = [sys.executable, "-m", "postbearer", "serve", "--log", "json", "--config", str(config)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    (told,) = [json.loads(line) for line in ran.stderr.splitlines()]
    assert (told["level"], told["error"]["exit"]) == ("error", ran.returncode) == ("error", 78)
    assert "relay.listen" in json.dumps(told)


async def test_what_asyncio_would_print_is_told_in_the_log() -> None:
    log, loop = Listening(), asyncio.get_running_loop()
    full = OSError(24, "Too many open files")
    process._unforeseen(log, loop, {"message": "socket.accept() out of system resource", "exception": full})
    process._unforeseen(log, loop, {"message": "a callback failed", "exception": ValueError("x")})
    process._unforeseen(log, loop, {"message": "something went wrong"})
    assert log.said[0] == "socket.accept() out of system resource: [Errno 24] Too many open files"
    assert ["Defect" in text for text in log.said] == [False, True, True]
