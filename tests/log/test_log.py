"""The log: a line a person can act on, an object a machine can read, and the id of the message in each."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from postbearer.daemon import ServiceManager
from postbearer.events import (
    Accepted,
    AccountPaused,
    Connected,
    Defect,
    DeliveryEnded,
    Event,
    PossibleDuplicate,
    ServerFailed,
    Several,
    TokenFetched,
    TokenRefused,
    Warned,
)
from postbearer.log import EventLog, sentence, set_up
from postbearer.outcome import RecipientFate
from postbearer.reply import Reply
from postbearer.testing import ManualClock

ACCEPTED = Accepted(
    "alerts", id="1m82k", client="local", size=512, recipients=2, message_id="<1@example.org>"
)
ENDED = DeliveryEnded(
    "alerts",
    id="1m82k",
    attempt=1,
    fates=(
        RecipientFate(recipient="a@example.org", status="delivered", reply="250 2.0.0 OK"),
        RecipientFate(recipient="b@example.org", status="deferred", reply="450 4.2.1 Later"),
    ),
    queue_id="Q77",
    due=1_800_000_060.0,
)


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    logging.getLogger("postbearer").handlers.clear()


def logged(event: Event, *, as_json: bool = False, verbose: bool = False, journal: bool = False) -> str:
    out = io.StringIO()
    set_up(out, as_json=as_json, verbose=verbose, journal=journal)
    EventLog().notice(event)
    return out.getvalue()


def test_a_message_is_followed_by_one_id_from_accept_to_the_providers_own() -> None:
    assert "alerts: 1m82k: accepted from local for 2 recipients, 512 octets <1@example.org>" in logged(
        ACCEPTED
    )
    ended = logged(ENDED)
    assert "alerts: 1m82k: attempt 1 as Q77: a@example.org accepted by the provider (250 2.0.0 OK)" in ended
    assert "b@example.org deferred (450 4.2.1 Later); again at " in ended
    assert re.search(r"again at \d\d:\d\d:\d\d[+-]\d\d:\d\d$", ended.rstrip())  # in the zone of the line


@pytest.mark.parametrize("year", [2020, 2026, 2040])
def test_whether_it_is_tried_later_goes_by_the_time_of_the_event(year: int) -> None:
    now = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    listener = Several(clock=ManualClock(now))
    for wait, told in ((60.0, True), (0.0, False)):
        listener.notice(ended := dataclasses.replace(ENDED, due=now + wait))
        assert ("again at" in sentence(ended)) is told


def test_a_machine_reads_the_fields() -> None:
    told = json.loads(logged(ACCEPTED, as_json=True))
    assert (told["event"], told["id"], told["account"], told["recipients"]) == (
        "Accepted",
        "1m82k",
        "alerts",
        2,
    )
    assert told["level"] == "info"
    assert told["time"].endswith("+00:00")


def test_each_step_on_the_way_is_for_who_asks() -> None:
    assert logged(Connected("alerts", "mail.example.org:587")) == ""
    assert "connected to mail.example.org:587" in logged(
        Connected("alerts", "mail.example.org:587"), verbose=True
    )


@pytest.mark.parametrize(
    "event",
    [
        Warned("alerts", "look"),
        PossibleDuplicate("alerts", id="1m82k", window="DUP-REPLY"),
        AccountPaused("alerts", reason="535 5.7.3 refused.", remedy="Check the role.", person=True),
    ],
)
def test_what_a_person_should_see_is_a_warning(event: Event) -> None:
    assert " warning: alerts: " in logged(event)
    assert logged(event, journal=True).startswith("<4>alerts: ")


def test_a_pause_says_why_and_what_to_do() -> None:
    event = AccountPaused("alerts", reason="535 5.7.3 refused.", remedy="Check the role.", person=True)
    assert sentence(event) == "the account is paused: 535 5.7.3 refused. Check the role."
    later = AccountPaused("alerts", reason="Nobody has signed in.", remedy="Run: this", until=0.0)
    assert re.search(r"signed in\. It is tried again at [\d:]{8}[+-][\d:]{5}\. Run: this$", sentence(later))


def test_foreign_text_can_do_nothing_to_a_terminal_or_forge_a_line() -> None:
    line = logged(Warned("alerts", "nice\n2026-01-01 00:00:00 forged\x1b[31m"))
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_events_nobody_put_into_words_are_still_named() -> None:
    class New(Event):
        pass

    assert sentence(New("alerts")) == "New"


def test_systemd_is_told_when_we_are_ready(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        supervisor = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        supervisor.ready("Listening")
        supervisor.alive()
        supervisor.stopping()
        told = [manager.recv(1000) for _ in range(3)]
    assert told == [b"READY=1\nSTATUS=Listening", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_systemd_nothing_happens() -> None:
    ServiceManager({}).ready("Listening")


def test_a_token_is_never_in_words() -> None:
    assert sentence(TokenFetched("alerts", "static", 300.0)) == "token fetched by static, good for 300 s"


class Pipe(io.StringIO):
    """Counts how often it is written to; broken, it raises."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.broken = False

    def write(self, text: str) -> int:
        self.writes += 1
        if self.broken:
            raise BrokenPipeError
        return super().write(text)


async def test_what_one_round_of_the_loop_says_is_written_in_one_piece_and_in_order() -> None:
    out = Pipe()
    set_up(out, as_json=True, verbose=False)
    for number in range(5):
        EventLog().notice(Warned("", f"number {number}"))
    assert out.writes == 0
    await asyncio.sleep(0)
    assert [json.loads(line)["text"] for line in out.getvalue().splitlines()] == [
        f"number {number}" for number in range(5)
    ]
    assert out.writes == 1


def test_the_last_words_of_a_loop_are_written_when_it_has_ended() -> None:
    out = Pipe()
    set_up(out, as_json=False, verbose=False)

    async def say() -> None:
        EventLog().notice(Warned("", "first"))
        asyncio.get_running_loop().stop()

    loop = asyncio.new_event_loop()
    saying = loop.create_task(say())
    loop.run_forever()
    assert saying.done()
    loop.close()
    EventLog().notice(Warned("", "second"))
    assert [line.rpartition(" ")[2] for line in out.getvalue().splitlines()] == ["first", "second"]


async def test_a_log_nobody_takes_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    out = Pipe()
    set_up(out, as_json=False, verbose=False)
    out.broken = True
    EventLog().notice(Warned("", "lost"))
    await asyncio.sleep(0)
    assert "BrokenPipeError" in capsys.readouterr().err
    out.broken = False
    EventLog().notice(Warned("", "said"))
    await asyncio.sleep(0)
    assert out.getvalue().endswith("said\n")


def test_an_event_is_an_object_with_its_parts_and_what_has_words_of_its_own_says_them() -> None:
    ended = json.loads(logged(ENDED, as_json=True))
    assert ended["fates"] == [dataclasses.asdict(fate) for fate in ENDED.fates]
    refused = json.loads(logged(TokenRefused("alerts", "mail", Reply(535, (b"5.7.3 No",))), as_json=True))
    assert refused["reply"] == "535 5.7.3 No"
    failed = json.loads(logged(ServerFailed("alerts", "mail", ValueError("no")), as_json=True))
    assert failed["error"] == "no"


def test_the_time_has_its_zone() -> None:
    line = logged(Warned("", "look"))
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d warning: look$", line)


HUGE = DeliveryEnded(
    "alerts",
    id="1m82k",
    attempt=1,
    fates=tuple(
        RecipientFate(recipient=f"r{number}@example.org", status="failed", reply="550 " + "x" * 20_000)
        for number in range(1000)
    ),
)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "event",
    [
        HUGE,
        Warned("alerts", "y" * 1_000_000),
        Warned("alerts", "\u202e\x00" * 1_000_000),
        Defect("", what="session", error="z" * 10_000_000, traceback="t" * 10_000_000),
        ServerFailed("alerts", "mail", ValueError("v" * 10_000_000)),
    ],
    ids=["replies", "text", "controls", "defect", "error"],
)
def test_no_line_is_longer_than_some_kilobytes(event: Event, as_json: bool) -> None:
    lines = logged(event, as_json=as_json).splitlines()
    assert max(map(len, lines)) < 30_000
    if as_json:
        assert all(json.loads(line)["event"] for line in lines)


def test_nothing_in_a_line_of_json_turns_it_around() -> None:
    """By characters for bidirectional text, which a terminal or a web page follows."""
    said = "gr\u00fcn \u202egnp.exe\u2066 \u200b\u2028\x9b31m"
    line = logged(Warned("", said), as_json=True)
    assert line.rstrip("\n").isprintable()
    assert "gr\u00fcn" in line
    assert said in json.loads(line)["text"]


def test_of_many_recipients_each_is_told() -> None:
    fates = tuple(
        RecipientFate(recipient=f"r{n}@example.org", status="failed", reply="550 No") for n in range(995)
    )
    event = dataclasses.replace(HUGE, fates=fates)
    told = [json.loads(line) for line in logged(event, as_json=True).splitlines()]
    assert [fate["recipient"] for line in told for fate in line["fates"]] == [
        fate.recipient for fate in fates
    ]
    text = logged(event)
    assert all(f"{fate.recipient} failed (550 No)" in text for fate in fates)


def test_what_cannot_be_written_as_utf_8_is_told_all_the_same() -> None:
    told = json.loads(logged(Warned("alerts", "half a pair \ud800"), as_json=True))
    assert told["text"] == "half a pair \\ud800"


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("as_json", [False, True])
def test_an_event_that_cannot_be_put_into_words_is_told_as_that(as_json: bool) -> None:
    out = io.StringIO()
    set_up(out, as_json=as_json, verbose=False)
    record = logging.LogRecord("postbearer", logging.ERROR, "", 0, "%s", (Unreadable(),), None)
    logging.getLogger("postbearer").handle(record)
    (line,) = out.getvalue().splitlines()
    assert "could not be written: RuntimeError('no words')" in line
    assert not as_json or json.loads(line)["level"] == "error"


ANYTHING = """
import gc, logging, sys, threading, warnings
from postbearer.log import capture_everything, set_up
set_up(sys.stderr, as_json=True, verbose=False)
capture_everything()
warnings.warn("of Python")
logging.getLogger("another.package").warning("of another package")
logging.getLogger("asyncio").error("of asyncio", exc_info=ValueError("x"))
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
class Dying:
    def __del__(self):
        raise OSError("while dying")
Dying(); gc.collect()
raise KeyError("nobody caught this")
"""


def test_whatever_is_said_in_the_process_is_a_line_of_json() -> None:
    ran = subprocess.run([sys.executable, "-c", ANYTHING], capture_output=True, text=True, timeout=60)
    told = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [next(word for word in WORDS if word in each["text"]) for each in told] == list(WORDS)
    assert "ZeroDivisionError" in told[3]["traceback"]


WORDS = (
    *("of Python", "of another package", "of asyncio", "ZeroDivisionError"),
    *("while dying", "nobody caught this"),
)
