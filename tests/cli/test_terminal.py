"""What a terminal shows: lines that fit, states in colour, and signs that it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Home
from cli.test_queue import SMALL, stopped
from postbearer.cli import tables
from postbearer.store import Spool, Status
from support.spooling import accept, claim, ending
from support.terminal import Terminal

CAUSE = "451 4.7.500 Server busy. Please try again later from the address that is named below (S77719)"


async def busy(spool: Spool, now: float) -> None:
    """Ids, addresses and replies as long as they are in life."""
    for number, to in enumerate(("operations@contoso.example", "anna.longname@department.example.org")):
        identity, client = f"01J{number}8Z4K7Q{number}M", f"c{number}"
        when = {"accepted": now - 7500, "due": now - 10}
        await accept(spool, identity, account="alerts", client=client, recipients=(to,), **when)
        (claimed,) = await claim(spool, now, account="alerts", client=client)
        await spool.settle(claimed, ending(claimed, Status.DEFERRED, at=now, reply=CAUSE, due=now + 300))
    await accept(spool, "01JREADY", account="alerts", accepted=now - 60, due=now)


@pytest.fixture
def queued(home: Home, tmp_path: Path) -> Home:
    home.write(SMALL)
    (tmp_path / "state").mkdir(mode=0o700)
    stopped(tmp_path / "state", busy)
    return home


def shown_by(home: Home, *arguments: str, columns: int = 80, **environ: str) -> Terminal:
    given = {**home.environ, **environ}
    with Terminal(*arguments, folder=home.folder, environ=given, kind="xterm", columns=columns) as terminal:
        terminal.code()
    return terminal


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 132, 200])
@pytest.mark.parametrize(
    "command", [("queue",), ("accounts",), ("queue", "show", "01J08Z4K7Q0M"), ("check",)]
)
def test_lines_fit_and_no_word_is_cut(queued: Home, command: tuple[str, ...], columns: int) -> None:
    whole = set(" ".join(queued.run(*command).out.split()).split()) | {"…"}
    lines = shown_by(queued, *command, columns=columns).seen.splitlines()
    longest = max(len(word) for word in whole) + 20  # with what stands before it: it cannot be broken
    assert [line for line in lines if len(line) > max(columns, longest)] == []
    if command[0] == "queue":  # what `check` and `accounts` say of time differs from one run to the next
        words = {word for line in lines for word in line.split() if not word.isdecimal()}
        assert words <= whole


def test_a_message_has_one_line_where_that_can_be(queued: Home) -> None:
    lines = shown_by(queued, "queue", columns=132).seen.splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("…")
    lines = shown_by(queued, "queue", columns=80).seen.splitlines()
    assert sum(line.startswith("01J") for line in lines) == 3
    assert next(line for line in lines if line.startswith("01JREADY")).split()[-1] != "ready"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (0, ["id  what", "1   a long tale of very many words"]),
        (80, ["id  what", "1   a long tale of very many words"]),
        (30, ["id  what", "1   a long tale of very many …"]),
        (20, ["id", "  what", "1", "  a long tale of", "  very many words"]),
    ],
)
def test_the_last_cell_takes_what_room_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, expected: list[str]
) -> None:
    monkeypatch.setattr("postbearer.cli.tables.room", lambda stream: columns)
    monkeypatch.setattr("postbearer.cli.output.room", lambda stream: columns)
    tables.table(("id", "what"), [("1", "a long tale of very many words")])
    assert capsys.readouterr().out.splitlines() == expected


def test_states_have_a_colour_unless_nobody_wants_one(queued: Home) -> None:
    assert b"\x1b[33;1mdeferred" in shown_by(queued, "queue").raw
    assert b"\x1b[32mready" in shown_by(queued, "accounts").raw
    assert b"\x1b[" not in shown_by(queued, "queue", NO_COLOR="1").raw
    assert "\x1b[" not in queued.run("queue").out


def test_a_terminal_without_our_signs_gets_others(home: Home) -> None:
    encoding = "ascii"
    for command in (("check",), ("providers", "microsoft"), ("accounts", "show", "nobody"), ("--help",)):
        ran = home.run(*command, environ={"PYTHONIOENCODING": encoding})
        assert "\\u" not in ran.out + ran.err
    assert "  ok configuration" in home.run("check", environ={"PYTHONIOENCODING": encoding}).out
    assert "  -> " in home.run("nothing", environ={"PYTHONIOENCODING": encoding}).err
