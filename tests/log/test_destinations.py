"""Where the log goes beside standard error."""

from __future__ import annotations

import json
import logging
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.errors import ConfigError
from postbearer.events import Warned
from postbearer.log import EventLog, LogDestination
from postbearer.log import destinations as module


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("postbearer")
    before = made.handlers[:], made.level, made.propagate
    made.handlers[:], made.propagate = [], False
    made.setLevel(logging.INFO)
    yield made
    for handler in made.handlers:
        handler.close()
    made.handlers[:], made.propagate = before[0], before[2]
    made.setLevel(before[1])


def told(text: str) -> None:
    EventLog().notice(Warned("out", text))


def test_a_file_is_put_aside_when_it_is_large_and_the_oldest_goes(
    tmp_path: Path, logger: logging.Logger
) -> None:
    logger.addHandler(LogDestination.of("file:relay.log", tmp_path, size=1000, keep=2).open())
    for number in range(100):
        told(f"line {number:03}")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["relay.log", "relay.log.1", "relay.log.2"]
    assert "line 099" in (tmp_path / "relay.log").read_text()
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert stat.S_IMODE((tmp_path / "relay.log").stat().st_mode) & 0o027 == 0


def test_json_if_it_is_asked_for(tmp_path: Path, logger: logging.Logger) -> None:
    logger.addHandler(LogDestination.of(f"file:{tmp_path}/relay.jsonl", Path("/"), as_json=True).open())
    told("a line\nof two")
    (line,) = (tmp_path / "relay.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "a line\nof two"


def test_what_syslog_of_this_machine_gets(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(place))
        monkeypatch.setattr(module, "SYSLOG", str(place))
        logger.addHandler(LogDestination.of("syslog:", tmp_path).open())
        told("a line\nof two\x1b[31m")
        line = daemon.recv(10_000)
    assert line.startswith(b"<20>postbearer[")  # facility mail, severity warning (RFC 5424 6.2.1)
    assert line.rstrip(b"\0").endswith(b"]: out: a line\\nof two\\x1b[31m")


def test_what_syslog_of_another_machine_gets(tmp_path: Path, logger: logging.Logger) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(10)
        port = daemon.getsockname()[1]
        logger.addHandler(LogDestination.of(f"syslog://127.0.0.1:{port}", tmp_path).open())
        told("it is late")
        assert b"it is late" in daemon.recv(10_000)


@pytest.mark.parametrize(
    "text",
    ["", "relay.log", "file:", "syslog", "syslog:///dev/log", "syslog://a b", "udp://a:514", "syslog://a:x"],
)
def test_what_is_no_place_is_refused_with_those_that_are(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no place for a log") as caught:
        LogDestination.of(text, tmp_path)
    assert caught.value.key == "relay.log"
    assert "file:/var/log" in caught.value.hint


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(module, "SYSLOG", str(tmp_path / "nobody"))
    for text in ("file:missing/relay.log", "file:.", "file:link", "syslog:"):
        with pytest.raises(ConfigError, match="The log cannot be written to") as caught:
            LogDestination.of(text, tmp_path).open()
        assert caught.value.hint
    assert not (tmp_path / "elsewhere").exists()
