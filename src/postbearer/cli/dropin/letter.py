"""A message as programs pipe it in, made fit to be sent: line ends, header, recipients.

What stands in the header stays as it came, octet by octet, but for Bcc under ``-t``.
"""

from __future__ import annotations

import time

from postbearer.cli.dropin.addresses import addresses, qualified
from postbearer.cli.dropin.words import DATA, USAGE, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from postbearer.cli.dropin.words import Order

_LONGEST = 998  # octets of a line, RFC 5322 2.1.1
_TARGETS = (b"to", b"cc", b"bcc")
_RESENT = (b"resent-to", b"resent-cc", b"resent-bcc")
_NAME = bytes(each for each in range(33, 127) if each != 58)  # ftext, RFC 5322 3.6.8

Field = tuple[bytes, bytes]  # name in lower case, and the lines with LF


class Caller:
    """Who runs the program, and where."""

    __slots__ = ("host", "name", "user")

    def __init__(self, user: str, host: str, name: str = "") -> None:
        self.user = user
        self.host = host
        self.name = name

    @property
    def address(self) -> str:
        return f"{self.user}@{self.host}"


class Letter:
    """Sender, recipients, and content with CRLF."""

    __slots__ = ("content", "recipients", "sender")

    def __init__(self, sender: str, recipients: list[str], content: bytes) -> None:
        self.sender = sender
        self.recipients = recipients
        self.content = content


def write(order: Order, data: bytes, caller: Caller, chance: Callable[[int], bytes]) -> Letter:
    """The letter that `data` is. Raises `Stop` when there is nothing of it, when it has nobody to go to, or a
    header nobody can read.
    """
    sender = caller.address if order.sender is None else order.sender
    sender = qualified(sender, caller.host) if sender else ""
    recipients = [qualified(each, caller.host) for word in order.recipients for each in addresses(word)]
    fields, body = cut(plain_lines(data))
    if not fields and not body.strip(b"\n"):
        # Postfix would make an empty mail of it; but it is what a program that failed pipes in.
        raise Stop(DATA, "standard input was empty: there is no message, neither header nor text")
    if order.scan:
        recipients += [qualified(each, caller.host) for each in named(fields)]
        fields = [field for field in fields if field[0] not in (b"bcc", b"resent-bcc")]
    if not recipients:
        raise Stop(
            USAGE,
            "the header names no recipient"
            if order.scan
            else "nobody to send to: name recipients, or say -t to take those in the header",
        )
    head = b"".join([raw for _, raw in completed(fields, order, sender, caller, chance)])
    content = folded(head + b"\n" + body).replace(b"\n", b"\r\n")
    return Letter(sender, list(dict.fromkeys(recipients)), content)


def plain_lines(data: bytes) -> bytes:
    """All line ends as LF: CRLF, and the CR alone that progress bars write. NUL cannot travel by mail."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    return data if data.endswith(b"\n") or not data else data + b"\n"


def cut(data: bytes) -> tuple[list[Field], bytes]:
    """Header fields and body. The first line that is no field ends the header."""
    fields: list[Field] = []
    place = 0
    if data.startswith((b"From ", b">From ")):  # mbox
        place = data.find(b"\n") + 1
        if not data[place:].strip(b"\n"):  # with nothing behind it, it is what there is to say
            place = 0
    while place < len(data):
        end = data.find(b"\n", place) + 1
        line = data[place:end]
        if line == b"\n":
            return fields, data[end:]
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + line)
        elif name := _name(line):
            fields.append((name, line))
        else:
            break
        place = end
    return fields, data[place:]


def _name(line: bytes) -> bytes:
    name = line.partition(b":")[0].rstrip(b" \t")
    return b"" if len(name) + 1 >= len(line) or name.translate(None, _NAME) else name.lower()


def named(fields: list[Field]) -> list[str]:
    """The recipients in the header; when it was resent, those it was resent to (RFC 5322 3.6.6)."""
    names = _RESENT if any(name in _RESENT for name, _ in fields) else _TARGETS
    found: list[str] = []
    for name, raw in fields:
        if name in names:
            try:
                value = raw.partition(b":")[2].decode("utf-8").replace("\n", "")
            except UnicodeDecodeError:
                raise Stop(DATA, f"the field {name.decode()} is not UTF-8") from None
            found += addresses(value)
    return found


def completed(
    fields: list[Field], order: Order, sender: str, caller: Caller, chance: Callable[[int], bytes]
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


def folded(data: bytes) -> bytes:
    """Lines too long for mail go on in the next line behind a blank, never within a character."""
    if len(data) <= _LONGEST:
        return data
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        if len(line) > _LONGEST:
            lines[number] = b"\n ".join(_pieces(line))
    return b"\n".join(lines)


def _pieces(line: bytes) -> list[bytes]:
    pieces, place = [], 0
    while len(line) - place > _LONGEST - 1:
        end = place + _LONGEST - 1
        while end > place + _LONGEST - 5 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[place:end])
        place = end
    return [*pieces, line[place:]]
