"""A process that dies, at every step and at every system call: nothing it promised is lost."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from postbearer.clock import SystemClock
from postbearer.store import Entry, Query, SqliteSpool, Status
from support.spooling import TEXT

TESTS = Path(__file__).parent.parent
POINTS = [
    f"{what}.{when}" for what in ("accept", "attempt", "done", "dsn", "purge") for when in ("before", "after")
]


def run(
    path: Path | str, *, point: str = "", wrapped_in: Sequence[str] = (), messages: int = 4, how: str = ""
) -> list[list[str]]:
    """What the process said before its end."""
    here = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": here, "POSTBEARER_CRASH_AT": point}
    command = [
        *wrapped_in,
        sys.executable,
        "-m",
        "support.spoolrun",
        str(path),
        str(messages),
        *filter(None, [how]),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return [line.split(maxsplit=2) for line in done.stdout.splitlines()]


async def found(path: Path) -> dict[str, Entry]:
    """What is in the spool after a restart, read to the last octet."""
    spool = SqliteSpool(path, clock=SystemClock(), reserve=0, allow_ephemeral=True)
    await spool.open()
    entries = {entry.message.id: entry for entry in await spool.search(Query())}
    for entry in entries.values():
        text = b"".join((await spool.content(entry.message)).blocks())
        assert text.startswith(TEXT)
    changes = await spool.history(0, 10_000)
    first, newest = await spool.history_kept()
    assert [each.number for each in changes] == ([*range(first, newest + 1)] if first else [])
    last = {each.message: (each.status, each.unknown) for each in changes}
    for name, entry in entries.items():  # what was told last is what is, unless it was forgotten
        if first <= 1 or name in last:
            assert last[name] == (entry.rows[0].status, entry.rows[0].unknown)
    await spool.close()
    return entries


def check(said: list[list[str]], entries: dict[str, Entry]) -> None:
    """Nothing promised is missing, and nothing is said to be done that was not."""
    told = {tuple(words[:2]) for words in said}
    retired = any(words[0] == "retired" for words in said)
    for what, name, *_ in [(*words, "") for words in said]:
        if what == "accepted" and not retired:
            assert name in entries or ("done", name) in told, f"{name} is lost"
    for name, entry in entries.items():
        [row] = entry.rows
        if ("done", name) in told:
            assert row.status in (Status.DELIVERED, Status.FAILED)
        if row.status is Status.FAILED and not retired:
            assert f"r{name}" in entries  # its report, or neither
        if ("claimed", name) in told and not row.status.final:
            assert (row.status, row.unknown) == (Status.DEFERRED, True)  # never as if it had not been tried


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_named_point(tmp_path: Path, point: str) -> None:
    path = tmp_path / "spool.db"
    said = run(path, point=point)
    assert ["closed"] not in said
    entries = await found(path)
    check(said, entries)
    if point == "accept.before":
        assert entries == {}
    if point == "accept.after":
        assert entries["m0"].rows[0].status is Status.READY  # accepted, though nobody was told
    if point in ("attempt.after", "done.before"):
        assert entries["m0"].rows[0].unknown
    if point == "done.after":
        assert entries["m0"].rows[0].status is Status.DELIVERED
    if point.startswith("dsn"):
        assert ("rm2" in entries) == (point == "dsn.after")
    if point.startswith("purge"):
        assert ("m0" in entries) == (point == "purge.before")


async def test_an_undisturbed_run_ends_properly(tmp_path: Path) -> None:
    said = run(tmp_path / "spool.db")
    assert said[-2:] == [["retired", "4"], ["closed"]]
    assert list(await found(tmp_path / "spool.db")) == ["rm2"]


def strace(tmp_path: Path, inject: str) -> list[str]:
    program = shutil.which("strace")
    assert program, "strace is listed in tests/servers/debian-packages.txt"
    return [
        program,
        "-f",
        "-qq",
        "-o",
        str(tmp_path / "trace"),
        "-e",
        "trace=fdatasync,fsync,pwrite64",
        "-e",
        inject,
    ]


def struck(tmp_path: Path) -> bool:
    text = (tmp_path / "trace").read_text()
    return "INJECTED" in text or "killed by SIGKILL" in text


FAULTS = {  # what happens to a system call
    "sync fails": ("fdatasync", "error=EIO:when={n}"),
    "syncs fail from then on": ("fdatasync", "error=EIO:when={n}+"),
    "write fails": ("pwrite64", "error=EIO:when={n}"),
    "disk is full from then on": ("pwrite64", "error=ENOSPC:when={n}+"),
    "killed at a sync": ("fdatasync", "signal=KILL:when={n}"),
    "killed at a write": ("pwrite64", "signal=KILL:when={n}"),
}


def amid_the_work(folder: Path, call: str) -> list[int]:
    """Numbers of calls between the first acceptance and the last mark."""
    folder.mkdir()
    trace = folder / "trace"
    run(
        folder / "spool.db", wrapped_in=["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call},write"]
    )
    before, work, _ = re.split(r"write\(1, \"(?:accepted m0|retired)", trace.read_text())
    first, last = before.count(f" {call}("), (before + work).count(f" {call}(")
    return [first + (last - first) * third // 3 for third in (1, 2)]


_CALL = re.compile(r"^\d+ +(\w+)\(\d+<(.*?)>.* = (\d+)$", re.MULTILINE)  # name, file, result


def every_site(folder: Path, call: str) -> list[int]:
    """Numbers of calls that have a place of their own, and one behind the last.

    Between two syncs those of one size to one file are alike: only all of them together say something. The
    first, one amid them and the last stand for the others, which are thousands while the log is allocated.
    """
    folder.mkdir()
    trace = folder / "trace"
    traced = ["strace", "-f", "-qq", "-y", "-o", str(trace), "-e", "trace=fdatasync,fsync,pwrite64"]
    run(folder / "spool.db", wrapped_in=traced)
    alike: dict[tuple[object, ...], list[int]] = {}
    number = syncs = 0
    for name, file, size in _CALL.findall(trace.read_text()):
        syncs += name != "pwrite64"
        if name == call:
            number += 1
            alike.setdefault((syncs, file, size), []).append(number)
    chosen = {numbers[at] for numbers in alike.values() for at in (0, len(numbers) // 2, -1)}
    return [*sorted(chosen), number + 100]


@pytest.mark.servers
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_system_call_that_fails(tmp_path: Path, fault: str, long: bool) -> None:
    call, how = FAULTS[fault]
    for n in (every_site if long else amid_the_work)(tmp_path / "quiet", call):
        folder = tmp_path / str(n)
        folder.mkdir()
        said = run(folder / "spool.db", wrapped_in=strace(folder, f"inject={call}:{how.format(n=n)}"))
        check(said, await found(folder / "spool.db"))
        if not long:
            assert struck(folder)
            assert said[0] == ["accepted", "m0"]
        last = not struck(folder)
        shutil.rmtree(folder)
    assert last is long  # the full loop ends behind the last call


@pytest.mark.servers
async def test_a_folder_that_cannot_be_synced(tmp_path: Path) -> None:
    """SQLite ignores that; without the name of its log, a power cut would take what is in it."""
    answers = []
    for n in range(1, 50):
        folder = tmp_path / str(n)
        folder.mkdir()
        said = run(folder / "spool.db", wrapped_in=strace(folder, f"inject=fsync:error=EIO:when={n}"))
        answers.append(said[0][:2])
        check(said, await found(folder / "spool.db"))
        if not struck(folder):
            break
    assert answers[-1] == ["accepted", "m0"]
    assert answers[-2] == ["StoreError", "open"]  # the last sync of all is ours, after the log was made


SMALL_DISK = """
mount -t tmpfs -o size=$1 none "$2" && shift 2 && exec "$@"
"""


def on_a_disk_of(size: str, tmp_path: Path, messages: int, how: str = "") -> list[list[str]]:
    disk = tmp_path / "disk"
    disk.mkdir()
    user = ["--map-root-user", "--user"] if os.geteuid() else []
    apart = ["unshare", "--mount", *user, "sh", "-c", SMALL_DISK, "sh", size, str(disk)]
    return run(disk / "spool.db", wrapped_in=apart, messages=messages, how=how)


def named(said: list[list[str]], kind: str) -> set[str]:
    return {words[1] for words in said[:-2] if words[0] == kind}


@pytest.mark.servers
def test_a_small_disk_that_fills_up(tmp_path: Path) -> None:
    """Accepting ends with a clear error; what was accepted before is delivered and marked all the same."""
    said = on_a_disk_of("32m", tmp_path, 240, "reserve")
    assert len(named(said, "done")) > 3
    assert named(said, "StoreFull")
    assert named(said, "accepted") | named(said, "StoreFull") == {f"m{number}" for number in range(240)}
    assert named(said, "claimed") == named(said, "done")  # whatever was sent could be marked
    assert said[-2:] == [["retired", str(len(named(said, "done")))], ["closed"]]


@pytest.mark.servers
def test_marks_need_no_room(tmp_path: Path) -> None:
    said = on_a_disk_of("32m", tmp_path, 2000, "full")
    assert named(said, "done") == named(said, "accepted") == {f"m{number}" for number in range(2000)}
