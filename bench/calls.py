"""How many calls of our own functions one message costs on a good day: a number without noise.

./dev bench calls [-v]

One message to one recipient by DATA, on connections that are open already, through a relay that has nothing
else to do: from the first command to the 250, on to the provider's 250, and until that is marked. The
interpreter's profile hook counts, in all threads; a generator or a coroutine that goes on counts again. What
the log writes is left out. `-v` lists the functions, with how often each is called.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from _bench import sink
from _relays import SENDER

import postbearer
from postbearer.assembly import Assembly
from postbearer.daemon.relay import Relay
from postbearer.events import DeliveryEnded, Event
from postbearer.state import StateFolder
from relay.running import plain_account, relay_table

PACKAGE = f"{Path(postbearer.__file__).parent}{os.sep}"
WARM_UP, ROUNDS = 3, 5
SAID = (f"MAIL FROM:<{SENDER}>\r\n".encode(), b"RCPT TO:<anna@example.net>\r\n", b"DATA\r\n")
MESSAGE = (
    b"From: app@example.org\r\nTo: anna@example.net\r\nSubject: hello\r\n"
    b"Date: Mon, 05 Jan 2026 08:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello\r\n.\r\n"
)


class Counting:
    """A profile hook that counts the calls of functions of the package, while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.calls: Counter[CodeType] = Counter()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if self.on and event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            self.calls[frame.f_code] += 1


class Ears:
    """Hears when a delivery has ended, and nothing else."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def hears(self, kind: type[Event]) -> bool:
        return kind is DeliveryEnded

    def notice(self, event: Event) -> None:
        if isinstance(event, DeliveryEnded):
            assert [fate.status for fate in event.fates] == ["delivered"], event
            self.ended.set()


class Client:
    """A client that waits for each reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def reply(self) -> bytes:
        while (line := await self._reader.readline())[3:4] == b"-":
            pass
        return line

    async def say(self, line: bytes) -> bytes:
        self._writer.write(line)
        return await self.reply()

    def close(self) -> None:
        self._writer.close()


async def one(client: Client, ears: Ears) -> None:
    ears.ended.clear()
    for line in (*SAID, MESSAGE):
        reply = await client.say(line)
        assert reply[:1] in (b"2", b"3"), reply
    await ears.ended.wait()
    await asyncio.sleep(0.1)  # until all that is left to do for it is done


async def counted(folder: Path, port: int, hook: Counting) -> list[Counter[CodeType]]:
    """The calls of each round."""
    file = folder / "postbearer.toml"
    file.write_text(plain_account(port) + relay_table())
    file.chmod(0o600)
    ears = Ears()
    assembly = Assembly.load(file, {}, StateFolder(folder / "state"))
    relay = Relay(assembly, observer=ears)
    await relay.start()
    host, _, number = relay.addresses[0].rpartition(":")
    client = Client(*await asyncio.open_connection(host, int(number)))
    await client.reply()
    await client.say(b"EHLO client.example.org\r\n")
    for _ in range(WARM_UP):
        await one(client, ears)
    rounds = []
    for _ in range(ROUNDS):
        hook.calls = Counter()
        hook.on = True
        await one(client, ears)
        hook.on = False
        rounds.append(hook.calls)
    client.close()
    await relay.stop(5.0)
    return rounds


def new_loop() -> asyncio.AbstractEventLoop:
    """That of the relay's own process."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main(*, verbose: bool) -> None:
    hook = Counting()
    threading.setprofile(hook)
    sys.setprofile(hook)
    with (
        tempfile.TemporaryDirectory() as folder,
        sink("--plain", "--open") as target,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        rounds = runner.run(counted(Path(folder), target.port, hook))
    sys.setprofile(None)
    middle = statistics.median_low([calls.total() for calls in rounds])
    print(f"{middle} calls")
    calls = next(each for each in rounds if each.total() == middle)
    parts: Counter[str] = Counter()
    for code, count in calls.items():
        parts[code.co_filename.removeprefix(PACKAGE).split(os.sep)[0].removesuffix(".py")] += count
    print("  " + ", ".join(f"{part} {count}" for part, count in parts.most_common()))
    for code, count in sorted(calls.items(), key=_place) if verbose else ():
        place = f"{code.co_filename.removeprefix(PACKAGE)}:{code.co_firstlineno}"
        print(f"  {count:4} {place} {code.co_qualname}")


def _place(counted: tuple[CodeType, int]) -> tuple[str, int]:
    return counted[0].co_filename, counted[0].co_firstlineno


if __name__ == "__main__":
    main(verbose="-v" in sys.argv)
