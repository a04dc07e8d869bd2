"""A message as it is goes into the queue piece by piece: its size is no matter of memory."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.running import Relay, plain_account, relay_table
from support.local import short_folder
from support.ports import free_ports

HEADER = b"From: app@example.org\r\nSubject: large\r\n\r\n"
LINES = (b"x" * 98 + b"\r\n") * 10_000  # 1 MB


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def highest(pid: int) -> int:
    """The most memory that a process ever had, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def test_a_large_message_takes_no_memory(home: Path, long: bool) -> None:
    megabytes = 150 if long else 60
    dead, port = free_ports(2)
    text = plain_account(dead) + relay_table('size = "200 MB"')
    with Relay(home, f'{text}[http]\nlisten = ["127.0.0.1:{port}"]\n') as relay:
        assert relay.start()
        token = (home / "state" / "api-token").read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        fields = {"authorization": f"Bearer {token}", "content-type": "message/rfc822"}
        way = "/v1/messages?from=app@example.org&to=you@example.org"
        connection.request("POST", way, HEADER, fields)
        assert connection.getresponse().read()
        before = highest(relay.pid)
        pieces = (HEADER, *([LINES] * megabytes))
        fields["content-length"] = str(sum(map(len, pieces)))
        connection.request("POST", way, iter(pieces), fields)
        answer = connection.getresponse()
        assert (answer.status, answer.read() != b"") == (202, True)
        connection.close()
        assert highest(relay.pid) - before < 16 * 1024
        assert relay.stop() == 0
