"""Disks that are full, fail, or lie: nothing that was answered by 250 is lost, and people are told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.campaign import Campaign, Row
from relay.conversing import client_of, submit, text
from relay.disk import power_disk, small_disk
from relay.running import SENDER, Relay, plain_account, relay_table
from servers.processes import program
from servers.sink import Sink

MIB = 1 << 20
RESERVE = 64 * MIB  # what the relay keeps free on a disk of this size

Tell = Callable[[Row], None]


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all but `leave` octets."""
    found = os.statvfs(disk)
    file = disk / "filler"
    with file.open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, max(1, found.f_bavail * found.f_frsize - leave))
    return file


@pytest.mark.servers
def test_a_disk_that_fills_up(home: Path, sink: Sink) -> None:
    """Refused before it is too late, while the rest is delivered; then not even that; then all is well."""
    with small_disk(home, 128 * MIB) as disk:
        config = plain_account(sink.port) + relay_table(f'spool = "sqlite:{disk}/spool.db"')
        with Relay(home, config) as relay:
            assert relay.start()
            relay.ask("accounts.pause", name="out")
            assert [submit(relay, f"early-{number}") for number in range(20)] == [250] * 20
            filler = fill(disk, RESERVE - 20 * MIB)  # the file has some pages of its own
            with client_of(relay) as client:
                assert client.docmd("MAIL", f"FROM:<{SENDER}>") == (
                    452,
                    b"4.3.1 There is no room for this message now, try again later",
                )
                client.docmd("RSET")
                relay.ask("accounts.resume", name="out")
                assert relay.drain()  # what was accepted leaves all the same
                assert len(sink.messages()) == 20
                filler.unlink()
                assert client.docmd("MAIL", f"FROM:<{SENDER}>")[0] == 250  # the same connection, no restart
                client.docmd("RSET")
                relay.ask("accounts.pause", name="out")
                assert submit(relay, "late") == 250
                filler = fill(disk, RESERVE // 4)  # a delivery could not be marked
                relay.ask("accounts.resume", name="out")
                relay.wait_for("Warned", text="Too little room")
                assert len(sink.messages()) == 20
                filler.unlink()
                sink.wait_for(21)
            assert relay.drain()
            assert relay.stop() == 0


@pytest.mark.servers
def test_the_size_that_is_announced_counts(home: Path, sink: Sink) -> None:
    with small_disk(home, 128 * MIB) as disk:
        config = plain_account(sink.port) + relay_table(f'spool = "sqlite:{disk}/spool.db"')
        with Relay(home, config) as relay:
            assert relay.start()
            fill(disk, RESERVE + 10 * MIB)
            with client_of(relay) as client:
                assert client.docmd("MAIL", f"FROM:<{SENDER}> SIZE={20 * MIB}")[0] == 452
                assert client.docmd("MAIL", f"FROM:<{SENDER}> SIZE={MIB}")[0] == 250
            assert relay.stop() == 0


FAILING = {  # what strace does to the calls of each thread, once the relay listens
    "fsync fails once": "fdatasync:error=EIO:when=12",
    "fsync fails again and again": "fdatasync:error=EIO:when=9+9",
    "a write fails": "pwrite64:error=EIO:when=60",
    "the disk is read-only for a while": "pwrite64:error=EROFS:when=80..83",
}


@contextmanager
def failing(relay: Relay, inject: str, trace: Path) -> Iterator[None]:
    """System calls of a running relay fail as strace is told."""
    argv = [program("strace", "strace"), "-f", "-o", str(trace), "-p", str(relay.pid)]
    argv += ["-e", "trace=fdatasync,pwrite64", "-e", f"inject={inject}"]
    strace = subprocess.Popen(argv, stderr=subprocess.PIPE)
    assert strace.stderr is not None
    assert b"attached" in strace.stderr.readline()
    try:
        yield
    finally:
        strace.terminate()
        strace.communicate(timeout=20)


@pytest.mark.servers
@pytest.mark.parametrize("fault", FAILING)
async def test_a_disk_that_fails(home: Path, tell: Tell, fault: str) -> None:
    """Each failed commit is unknown: 451, the file is opened anew, and nothing that got 250 is missing."""
    trace = home / "trace"
    with Campaign(home / "relay", 600) as campaign:
        assert campaign.relay.start(), campaign.relay.log
        with failing(campaign.relay, FAILING[fault], trace):
            campaign.load.start(campaign.relay.port)
            for _ in range(300):
                await asyncio.sleep(0.05)
                if "INJECTED" in trace.read_text():
                    break
            await asyncio.sleep(1.0)  # and on
            campaign.load.finish()
        row, found = await campaign.outcome("disk fails", fault)
    tell(row)
    assert "INJECTED" in trace.read_text()
    assert found.bad == {}
    codes = [each.code for each in campaign.load.submitted]
    assert set(codes) <= {0, 250, 451, 452}  # 0: hung up without an answer, which promises nothing either
    assert 250 in codes[-20:]  # it went on by itself
    assert 451 in codes or "cannot be" in campaign.relay.log


def planted(relay: Relay, *names: str) -> None:
    """A spool that keeps these messages, and was closed."""
    assert relay.start(), relay.log
    relay.ask("accounts.pause", name="out")
    assert [submit(relay, name, size=50_000) for name in names] == [250] * len(names)
    assert relay.stop() == 0


def test_rotten_content_is_held_and_the_rest_goes(home: Path, sink: Sink) -> None:
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        planted(relay, "sound", "rotten")
        octets = bytearray(relay.spool.read_bytes())
        octets[octets.rindex(b"rotten\r\nxxx") + 20] ^= 1
        relay.spool.write_bytes(octets)
        assert relay.start(), relay.log
        relay.ask("accounts.resume", name="out")
        assert relay.drain()
        assert [message.content.count(b"sound") > 0 for message in sink.messages()] == [True]
        [entry] = relay.ask("queue.list", statuses=["held"]).messages
        assert "hash differs" in str(relay.ask("queue.show", message=entry.id))
        assert relay.stop() == 0


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda octets: b"\0" * 4096 + octets[4096:], "does not begin like an SQLite file"),
        (lambda octets: octets[: len(octets) // 2], "octets are missing"),
        (lambda octets: octets[:100] + b"\xff" * 60_000 + octets[60_100:], "is damaged"),
    ],
    ids=["first page", "cut off", "pages"],
)
def test_a_damaged_spool_is_refused_with_what_to_do(
    home: Path, sink: Sink, harm: Callable[[bytes], bytes], said: str
) -> None:
    """Never a start with a queue that is silently empty."""
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        planted(relay, "one", "two")
        relay.spool.write_bytes(harm(relay.spool.read_bytes()))
        assert not relay.start()
        assert relay.ended() != 0
        assert said in relay.log
        assert "Restore the file from a backup" in relay.log
        assert "Traceback" not in relay.log


@pytest.mark.servers
def test_a_read_only_disk_is_refused(home: Path, sink: Sink) -> None:
    with power_disk(home) as disk:
        config = plain_account(sink.port) + relay_table(f'spool = "sqlite:{disk.path}/spool.db"')
        with Relay(home, config, disk.path / "spool.db") as relay:
            planted(relay, "one")
            disk.unmount()
            disk.mount("ro")
            assert not relay.start()
            assert relay.ended() != 0
            assert "ead-only" in relay.log
            assert "Traceback" not in relay.log
            disk.unmount()
            disk.mount()
            assert relay.start(), relay.log
            relay.ask("accounts.resume", name="out")
            sink.wait_for(1)
            assert relay.stop() == 0


def test_a_killed_relay_leaves_a_spool_that_needs_nobody(home: Path, sink: Sink) -> None:
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        assert relay.start()
        relay.ask("accounts.pause", name="out")
        assert submit(relay, "one") == 250
        relay.signal(signal.SIGKILL)
        relay.ended()
        assert relay.start(), relay.log
        assert "did not end properly" in relay.log
        relay.ask("accounts.resume", name="out")
        [message] = sink.wait_for(1)
        assert message.content.endswith(text("one"))
        assert relay.stop() == 0
