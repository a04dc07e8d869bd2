"""The clients that are compared, each sending the same message over one connection it logged in on.

    python bench/_clients.py NAME PORT CA_FILE FILE COUNT WARM_UP

Each prints the seconds that COUNT messages took behind WARM_UP others, by the clock and of the processor,
and its own peak of memory in KiB.
FILE is the message as octets; a client that can send a file without reading all of it does so.
"""

from __future__ import annotations

import asyncio
import json
import re
import smtplib
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postbearer.secret import SecretSource

SENDER = "alerts@example.org"
RECIPIENT = "someone@example.org"
TOKEN = "t" * 1400  # about what Microsoft gives out
LARGE = 1 << 20  # from here on a message stays in its file


Timed = tuple[float, float]  # by the clock, of the processor


def now() -> Timed:
    return time.perf_counter(), time.process_time()


def since(began: Timed) -> Timed:
    wall, processor = now()
    return wall - began[0], processor - began[1]


@dataclass(frozen=True, slots=True)
class Task:
    port: int
    ca_file: str
    file: str
    count: int
    warm_up: int

    @property
    def size(self) -> int:
        return Path(self.file).stat().st_size

    def read(self) -> bytes:
        return Path(self.file).read_bytes()

    def time(self, send: Callable[[], object]) -> Timed:
        for _ in range(self.warm_up):
            send()
        began = now()
        for _ in range(self.count):
            send()
        return since(began)

    async def time_async(self, send: Callable[[], Awaitable[object]]) -> Timed:
        for _ in range(self.warm_up):
            await send()
        began = now()
        for _ in range(self.count):
            await send()
        return since(began)


async def mailer(task: Task) -> Timed:
    """`postbearer.AsyncMailer`: header, sender rule, outcomes and all."""
    from postbearer import StaticToken
    from postbearer.account import Account
    from postbearer.envelope import Envelope
    from postbearer.mailer import AsyncMailer
    from postbearer.message import FileContent

    account = Account.smtp(
        SENDER,
        grant=StaticToken(_secret()),
        servers=[f"localhost:{task.port}"],
        tls="implicit",
        ca_file=task.ca_file,
    )
    message = FileContent(task.file) if task.size >= LARGE else task.read()
    envelope = Envelope.of(SENDER, [RECIPIENT])
    async with AsyncMailer(account, state="memory") as mailer:
        return await task.time_async(lambda: mailer.send(message, envelope))


async def transport(task: Task) -> Timed:
    """`postbearer.transport.SmtpTransport` alone."""
    from postbearer import CachedSource, StaticToken
    from postbearer.envelope import Envelope
    from postbearer.message import BytesContent
    from postbearer.oauth import Endpoint
    from postbearer.transport import ServerAddress, Smarthost, SmtpTransport

    smarthost = Smarthost(
        servers=(ServerAddress("localhost", task.port),),
        tls="implicit",
        ca_file=task.ca_file,
        username=SENDER,
    )
    source = CachedSource(StaticToken(_secret()), Endpoint(""), account="bench")
    transport = SmtpTransport(smarthost, source)
    envelope, data = Envelope.of(SENDER, [RECIPIENT]), task.read()
    timed = await task.time_async(lambda: transport.deliver(envelope, BytesContent(data)))
    await transport.close()
    return timed


def _secret() -> SecretSource:
    from postbearer.secret import GivenSecret, Secret

    return GivenSecret(Secret(TOKEN), "the token of the benchmark")


def smtplib_(task: Task) -> Timed:
    context = ssl.create_default_context(cafile=task.ca_file)
    with smtplib.SMTP_SSL("localhost", task.port, local_hostname="localhost", context=context) as smtp:
        smtp.ehlo()
        smtp.auth("XOAUTH2", lambda challenge=None: f"user={SENDER}\x01auth=Bearer {TOKEN}\x01\x01")
        data = task.read()
        return task.time(lambda: smtp.sendmail(SENDER, [RECIPIENT], data))


async def aiosmtplib(task: Task) -> Timed:
    import aiosmtplib

    async def token() -> str:
        return TOKEN

    context = ssl.create_default_context(cafile=task.ca_file)
    smtp = aiosmtplib.SMTP(
        hostname="localhost",
        port=task.port,
        use_tls=True,
        tls_context=context,
        username=SENDER,
        oauth_token_generator=token,
    )
    async with smtp:
        data = task.read()
        return await task.time_async(lambda: smtp.sendmail(SENDER, [RECIPIENT], data))


CLIENTS: dict[str, Callable[[Task], Timed | Coroutine[Any, Any, Timed]]] = {
    "mailer": mailer,
    "transport": transport,
    "smtplib": smtplib_,
    "aiosmtplib": aiosmtplib,
}


def main(name: str, port: str, ca_file: str, file: str, count: str, warm_up: str) -> None:
    result = CLIENTS[name](Task(int(port), ca_file, file, int(count), int(warm_up)))
    seconds, processor = result if isinstance(result, tuple) else asyncio.run(result)
    print(json.dumps({"seconds": seconds, "processor": processor, "peak": peak()}))


def peak() -> int:
    """Of this program alone: `ru_maxrss` begins with what the process that started it had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main(*sys.argv[1:])
