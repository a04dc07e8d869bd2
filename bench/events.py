"""What follows the queue costs: many open event streams, quiet and with mail, beside none.

    ./dev bench events [--streams 1000] [--seconds 10]

A relay in a process of its own, whose memory and processor time are read from /proc. The last row is the
processor time of a message that each stream is told of.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import smtplib
from pathlib import Path
from tempfile import TemporaryDirectory

from _bench import show
from _relays import Relay, memory

from relay.running import plain_account, relay_table
from support.ports import free_ports

REQUEST = "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"


class Followed(Relay):
    """A relay with an API, as the system sees it."""

    def __init__(self, folder: Path, accounts: str = plain_account(9), *lines: str) -> None:
        [self.http] = free_ports(1)
        api = f'[http]\nlisten = ["127.0.0.1:{self.http}"]\n'
        super().__init__(folder, accounts + relay_table(*lines) + api)

    @property
    def token(self) -> str:
        return Path(self.state.path, "api-token").read_text().strip()

    def processor(self) -> float:
        """Seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, messages: int) -> None:
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            for number in range(messages):
                client.sendmail("a@example.org", ["b@example.org"], f"Subject: {number}\r\n\r\nHello.\r\n")


async def follow(relay: Followed) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.http)
    writer.write(REQUEST.format(token=relay.token).encode())
    await reader.readuntil(b"retry: 2000\n\n")
    return reader, writer


async def told(reader: asyncio.StreamReader, events: int) -> None:
    for _ in range(events):
        await reader.readuntil(b"event: message.queued")


async def quiet(relay: Followed, seconds: float) -> float:
    """Share of a processor while nothing happens."""
    before = relay.processor()
    await asyncio.sleep(seconds)
    return (relay.processor() - before) / seconds


async def busy(relay: Followed, streams: list[asyncio.StreamReader], messages: int) -> float:
    """Processor time of a message, and of telling it."""
    before = relay.processor()
    telling = asyncio.gather(*(told(each, messages) for each in streams))
    await asyncio.to_thread(relay.send, messages)
    await telling
    return (relay.processor() - before) / messages


async def measure(relay: Followed, count: int, seconds: float) -> None:
    await busy(relay, [], 20)
    alone = memory(relay), await quiet(relay, seconds), await busy(relay, [], 50)
    open_ = [await follow(relay) for _ in range(count)]
    many = memory(relay), await quiet(relay, seconds), await busy(relay, [each for each, _ in open_], 50)
    show(
        f"{count} event streams",
        ("", "without", "with"),
        [
            ("memory, MiB", f"{alone[0]:.1f}", f"{many[0]:.1f}"),
            ("idle, % of a processor", f"{alone[1]:.1%}", f"{many[1]:.1%}"),
            ("a message, told to all, ms", f"{alone[2] * 1000:.2f}", f"{many[2] * 1000:.2f}"),
        ],
    )
    for _, writer in open_:
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with TemporaryDirectory() as folder, Followed(Path(folder)) as relay:
        relay.start()
        asyncio.run(measure(relay, options.streams, options.seconds))


if __name__ == "__main__":
    main()
