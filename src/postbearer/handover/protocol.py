"""What is handed to the relay: one line, the envelope as JSON, the content. The drop folder holds the same.

`postbearer.submission.submit_protocol` reads it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Value = str | int | float | Sequence["Value"]

MOST_RECIPIENTS = 1000
MAGIC = b"postbearer 1 "
SMTP = MAGIC + b"smtp\n"  # asks for a conversation in SMTP instead


def opening(envelope: Mapping[str, Value], size: int) -> bytes:
    """What comes before the `size` octets of content."""
    octets = f"{{{','.join([f'{_text(name)}:{_json(value)}' for name, value in envelope.items()])}}}".encode()
    return MAGIC + b"send %d %d\n" % (len(octets), size) + octets


def _json(value: Value) -> str:
    """As `json` has it, which takes longer to load than all this."""
    if isinstance(value, int | float):
        return str(value)
    return _text(value) if isinstance(value, str) else f"[{','.join(map(_json, value))}]"


def _text(value: str) -> str:
    """A JSON string (RFC 8259 7), in ASCII."""
    return '"' + "".join(map(_char, value)) + '"'


def _char(char: str) -> str:
    if " " <= char <= "~" and char not in '"\\':
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join([f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4)])
