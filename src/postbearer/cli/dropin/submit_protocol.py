"""What is handed to the relay: one line, the envelope as JSON, the content. The drop folder holds the same.

`postbearer.submission.submit_protocol` reads it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer.cli.dropin.arguments import Invocation
    from postbearer.cli.dropin.message import HandedMessage

MOST = 1000  # recipients
MAGIC = b"postbearer 1 "
SMTP = MAGIC + b"smtp\n"  # asks for a conversation in SMTP instead


def parcel(letter: HandedMessage, order: Invocation, uid: int) -> bytes:
    """The octets to hand over. `uid` is who says so; the relay believes the kernel."""
    texts = {"from": letter.sender, "ret": order.ret, "envid": order.envid}
    fields = [f'"{name}":{_text(value)}' for name, value in texts.items()]
    lists = {"to": letter.recipients, "notify": order.notify}
    fields += [f'"{name}":[{",".join(map(_text, values))}]' for name, values in lists.items()]
    envelope = f'{{"uid":{uid},{",".join(fields)}}}'.encode()
    return MAGIC + b"send %d %d\n" % (len(envelope), len(letter.content)) + envelope + letter.content


def _text(value: str) -> str:
    """A JSON string (RFC 8259 7), in ASCII."""
    return '"' + "".join(map(_char, value)) + '"'


def _char(char: str) -> str:
    if " " <= char <= "~" and char not in '"\\':
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join([f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4)])
