"""``sendmail``: take a message from standard input and see to it that it leaves."""

from __future__ import annotations

import posix
import sys

from postbearer.cli.dropin.arguments import (
    DATA,
    NO_INPUT,
    NO_PERMISSION,
    OK,
    TRY_AGAIN,
    UNAVAILABLE,
    EarlyExit,
    Invocation,
    say,
    understand,
)
from postbearer.cli.dropin.caller import caller
from postbearer.cli.dropin.descriptors import opened
from postbearer.cli.dropin.message import HandedMessage, write
from postbearer.handover import (
    MOST_RECIPIENTS,
    RelayDown,
    RelayLocation,
    drop,
    drops,
    hand_over,
    opening,
    places,
    reached,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_BLOCK = 1 << 20


def main(words: list[str] | None = None, program: str = "sendmail") -> int:
    """Run the command; its exit code (``sysexits.h``)."""
    if words is None:
        program, words = sys.argv[0], sys.argv[1:]
    closed = opened()
    try:
        order = understand(program, words)
        if 0 in closed and order.mode in ("m", "s"):
            raise EarlyExit(NO_INPUT, "standard input is closed: there is no message")
        return _run(order, words)
    except EarlyExit as stop:
        say(2, f"sendmail: {stop.text}")
        return stop.code


def _run(order: Invocation, words: list[str]) -> int:
    if order.mode == "i":
        return OK  # there is no database of aliases to build
    if order.mode == "p":
        return _postbearer(["queue", "list"])
    relays = places(posix.environ)
    if order.mode == "s":
        from postbearer.cli.dropin.stdio_smtp import bridge

        return bridge(relays)
    for place in relays:
        connection = reached(place)
        if connection is not None or drops(place):
            return _hand_over(order, place, connection)
    if sys.flags.no_site:
        return _postbearer(["sendmail", *words])
    from postbearer.cli.dropin.direct import send

    return send(order, _letter(order))


def _hand_over(order: Invocation, place: RelayLocation, connection: socket | None) -> int:
    letter = _letter(order)
    if len(letter.recipients) > MOST_RECIPIENTS:
        too_many = f"{len(letter.recipients)} recipients are more than the {MOST_RECIPIENTS}"
        raise EarlyExit(DATA, f"{too_many} that one message may have")
    blocks = opening(_envelope(order, letter), len(letter.content)), letter.content
    if connection is not None:
        try:
            return _told(order, hand_over(connection, blocks))
        except RelayDown:
            pass
    try:
        name = drop(place, blocks)
    except OSError as error:
        raise EarlyExit(
            TRY_AGAIN,
            f"the relay does not run, and {place.drop} cannot be written: {error.strerror}; try again",
        ) from None
    if order.verbose:
        say(1, f"The relay does not run; it will find the message in its drop folder as {name}.")
    return OK


def _envelope(order: Invocation, letter: HandedMessage) -> dict[str, str | int | list[str]]:
    """With who says so; the relay believes the kernel."""
    return {
        "uid": posix.getuid(),
        "from": letter.sender,
        "to": letter.recipients,
        "ret": order.ret,
        "envid": order.envid,
        "notify": order.notify,
    }


def _told(order: Invocation, reply: str) -> int:
    """The exit code for what the relay said. Raises `EarlyExit`, or `RelayDown` when it goes away."""
    if reply.startswith("250"):
        if order.verbose:
            say(1, reply)
        return OK
    if reply.startswith("421"):
        raise RelayDown
    if reply.startswith("5"):
        classes = {"5.7": NO_PERMISSION, "5.6": DATA, "5.5": DATA, "5.1": DATA}
        raise EarlyExit(classes.get(reply[4:7], UNAVAILABLE), reply)
    raise EarlyExit(TRY_AGAIN, reply)


def _letter(order: Invocation) -> HandedMessage:
    return write(order, _read(order.dots), caller(), posix.urandom)


def _read(dots: bool) -> bytes:
    """Standard input to its end; to a line with a dot alone, unless `dots` are ordinary."""
    data = bytearray()
    while block := posix.read(0, _BLOCK):
        place = max(len(data) - 4, 0)
        data += block
        if not dots and (end := _dot(data, place)) >= 0:
            return bytes(data[:end])
    if not dots and (data == b"." or data.endswith(b"\n.")):
        del data[-1:]
    return bytes(data)


def _dot(data: bytearray, start: int) -> int:
    """Where a line with a dot alone begins; -1 if there is none from `start` on."""
    if data.startswith((b".\n", b".\r\n")):
        return 0
    found = [place + 1 for mark in (b"\n.\n", b"\n.\r\n") if (place := data.find(mark, start)) >= 0]
    return min(found, default=-1)


def _postbearer(words: list[str]) -> int:
    """Go on as ``postbearer``, which may import all it wants. Does not return."""
    posix.execv(sys.executable, [sys.executable, "-P", "-m", "postbearer", *words])
