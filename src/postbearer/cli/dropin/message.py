"""A message as programs pipe it in, made fit to be sent: line ends, header, recipients.

What stands in the header stays as it came, but for Bcc under ``-t`` and what no header may hold. Lines that
are too long are mended when the message leaves, as those of any other are.
"""

from __future__ import annotations

import time

from postbearer.cli.dropin.addresses import addresses, qualified, word_addresses
from postbearer.cli.dropin.arguments import DATA, USAGE, EarlyExit
from postbearer.message import HIDDEN, cut_header, naming_recipients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from postbearer.cli.dropin.arguments import Invocation
    from postbearer.cli.dropin.caller import Caller

_BOM = b"\xef\xbb\xbf"
_HIDDEN = [name.encode() for name in HIDDEN]

Field = tuple[bytes, bytes]  # name in lower case, and the lines with LF


class HandedMessage:
    """Sender, recipients, and content with CRLF."""

    __slots__ = ("content", "recipients", "sender")

    def __init__(self, sender: str, recipients: list[str], content: bytes) -> None:
        self.sender = sender
        self.recipients = recipients
        self.content = content


def write(order: Invocation, data: bytes, caller: Caller, chance: Callable[[int], bytes]) -> HandedMessage:
    """The message that `data` is.

    Raises `EarlyExit` when there is nothing of it, when it has nobody to go to, or a header nobody can read.
    """
    sender = _sender(order.sender, caller)
    recipients = [qualified(each, caller.host) for word in order.recipients for each in word_addresses(word)]
    fields, body = cut(data)
    if not fields and not body.strip(b"\n"):
        # Postfix would make an empty mail of it; but it is what a program that failed pipes in.
        raise EarlyExit(DATA, "standard input was empty: there is no message, neither header nor text")
    if order.scan:
        recipients += [qualified(each, caller.host) for each in named(fields)]
        fields = [field for field in fields if field[0] not in _HIDDEN]
    if not recipients:
        raise EarlyExit(
            USAGE,
            "the header names no recipient"
            if order.scan
            else "nobody to send to: name recipients, or say -t to take those in the header",
        )
    head = b"".join([raw for _, raw in completed(fields, order, sender, caller, chance)])
    content = (head + b"\n" + body).replace(b"\n", b"\r\n")
    return HandedMessage(sender, list(dict.fromkeys(recipients)), content)


def plain_lines(data: bytes) -> bytes:
    """All line ends as LF: CRLF, and the CR alone that progress bars write. NUL cannot travel by mail."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    return data if data.endswith(b"\n") or not data else data + b"\n"


def cut(data: bytes) -> tuple[list[Field], bytes]:
    """Header fields and body. Only then are line ends made uniform: a CR alone begins no field."""
    reader = cut_header(data.removeprefix(_BOM), lf=True)
    if reader.fault:
        raise EarlyExit(DATA, reader.fault)
    fields = [(name, raw.replace(b"\0", b"")) for name, raw in reader.fields]
    return fields, plain_lines(data.removeprefix(_BOM)[reader.body :])


def named(fields: list[Field]) -> list[str]:
    """The recipients in the header."""
    found: list[str] = []
    for place in naming_recipients([name.decode("ascii") for name, _ in fields]):
        value = fields[place][1].partition(b":")[2].replace(b"\n", b"")
        found += addresses(value.decode("utf-8", "surrogateescape"))  # a name may be of another charset
    return found


def _sender(given: str | None, caller: Caller) -> str:
    """The sender: whoever calls, nobody (``""``), or the one address in what was given."""
    if given is None:
        return caller.address
    found = word_addresses(given) if given.strip() not in ("", "<>") else []
    if len(found) > 1:
        raise EarlyExit(USAGE, "-f takes one address")
    return qualified(found[0], caller.host) if found else ""


def completed(
    fields: list[Field], order: Invocation, sender: str, caller: Caller, chance: Callable[[int], bytes]
) -> list[Field]:
    """The header with the From, Date and Message-ID it may lack (RFC 6409 8)."""
    present = {name for name, _ in fields}
    more: list[str] = []
    if b"from" not in present:
        display = _display(order.name or caller.name)
        address = sender or caller.address
        more.append(f"From: {display} <{address}>" if display else f"From: {address}")
    if b"date" not in present:
        more.append(time.strftime("Date: %a, %d %b %Y %H:%M:%S %z"))
    if b"message-id" not in present:
        more.append(f"Message-ID: <{time.time_ns():x}.{chance(8).hex()}@{caller.host}>")
    return [*fields, *((b"", line.encode("utf-8", "replace") + b"\n") for line in more)]


def _display(name: str) -> str:
    """A display name as it may stand in a field (RFC 5322 3.4, RFC 2047)."""
    name = "".join([char for char in name if char.isprintable()])[:60].strip()
    if name.isascii():
        return name if name.replace(" ", "").isalnum() else _quoted(name)
    import binascii

    cut = [name[place : place + 10] for place in range(0, len(name), 10)]  # a word has at most 75 characters
    words = [binascii.b2a_base64(each.encode(), newline=False).decode() for each in cut]
    return " ".join([f"=?utf-8?b?{word}?=" for word in words])


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if name else ""
