"""A process that uses a spool and may die at any moment: it says what it was promised.

    python -m support.spoolrun FILE|URL MESSAGES [full | reserve]

For each message it prints ``accepted ID``, ``claimed ID``, ``done ID``, or what went wrong instead, and
at the end ``retired N`` and ``closed``. With ``full``, all are accepted, then all are claimed, then the
disk is filled up to its last octet, then all are marked. With ``reserve``, 8 MiB of it are kept free.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import replace
from pathlib import Path

from postbearer.clock import SystemClock
from postbearer.errors import StoreError, StoreFull
from postbearer.store import NewDelivery, Report, Spool, SqliteSpool, Status
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl
from support.spooling import START, TEXT, accept, claim, ending, message


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")  # one system call a line
    sys.stdout.flush()


async def carry(spool: Spool, name: str, *, large: bool, fails: bool) -> None:
    """One message from its acceptance to its end; a failed one makes a report."""
    text = TEXT + name.encode() * (100_000 if large else 1)
    if not await spool.room(len(text)):
        raise StoreFull("No room.")
    await accept(spool, name, text=text, client=name)
    say("accepted", name)
    [claimed] = await claim(spool, client=name)
    say("claimed", name)
    end = ending(claimed, Status.FAILED if fails else Status.DELIVERED, reply="ok")
    if fails:
        content = spool.stage(f"r{name}")
        await content.write(TEXT)
        about = replace(message(f"r{name}", content), report_of=name)
        back = NewDelivery(account="work", recipients=about.envelope.recipients, client="reports")
        end = replace(end, reports=(Report(message=about, content=content, delivery=back),))
    await spool.settle(claimed, end)
    say("done", name)


async def carry_while_the_disk_fills(spool: Spool, path: Path, messages: int) -> None:
    for number in range(messages):
        await accept(spool, f"m{number}")
        say("accepted", f"m{number}")
    taken = await claim(spool, most=messages)
    fill(path.with_name("others"))
    for claimed in taken:
        await spool.settle(claimed, ending(claimed, Status.DELIVERED, reply="250 ok"))
        say("done", claimed.message.id)


def fill(path: Path) -> None:
    """Take all the room there is, as another program would."""
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


async def main(url: str, messages: int, how: str = "") -> None:
    path = Path(url)
    reserve = 8 * 1024 * 1024 if how == "reserve" else 0
    spool: Spool
    if url.startswith("postgresql:"):
        spool = PostgresSpool(PostgresUrl.parse(url), clock=SystemClock(), events=True)
    else:
        spool = SqliteSpool(path, clock=SystemClock(), reserve=reserve, allow_ephemeral=True, events=True)
    try:
        await spool.open()
    except StoreError as error:
        say(type(error).__name__, "open", error)
        return
    if how == "full":
        await carry_while_the_disk_fills(spool, path, messages)
        messages = 0
    for number in range(messages):
        try:
            await carry(spool, f"m{number}", large=number % 4 == 1, fails=number % 4 == 2)
        except StoreError as error:
            say(type(error).__name__, f"m{number}", error)
    try:
        say("retired", await spool.retire(START + 1))
    except StoreError as error:
        say(type(error).__name__, "retire", error)
    await spool.close()
    say("closed")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
