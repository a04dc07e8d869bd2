"""What a browser sends: the fields of a form, and files as texts; and what is wrong with them, by field."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from email import policy
from email.parser import BytesParser
from urllib.parse import parse_qs

from postbearer.errors import ConfigError

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
MOST_FIELDS = 2000


def read_form(content_type: str, body: bytes) -> dict[str, list[str]]:
    """The values of each field. Raises `ValueError` for what no browser sends."""
    if content_type.partition(";")[0].strip().lower() == URLENCODED:
        return parse_qs(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    found: dict[str, list[str]] = {}
    for name, value in _parts(content_type, body):
        found.setdefault(name, []).append(value)
    return found


def beside(error: ConfigError, fields: Collection[str]) -> dict[str, str]:
    """What is wrong with an account, by the field that it is about; the rest under an empty name."""
    found: dict[str, str] = {}
    for each in error.problems:
        parts = each.key.split(".")[2:] or [each.key]
        heads = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        key = next((head for head in heads if head in fields), "")
        text = " ".join(filter(None, (each.message if key else f"{each.key}: {each.message}", each.hint)))
        found[key] = f"{found[key]} {text}" if key in found else text
    return found


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a form in parts (RFC 7578), which are those of a MIME entity."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    whole = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    if not whole.is_multipart() or whole.defects:
        raise ValueError("no parts")
    for number, part in enumerate(whole.iter_parts()):
        name = part.get_param("name", header="content-disposition")
        octets = part.get_payload(decode=True)
        if number > MOST_FIELDS or not isinstance(name, str) or not isinstance(octets, bytes):
            raise ValueError("a part that is none of a form")
        yield name, octets.decode() if part.get_filename() is None else _text(octets)


def _text(octets: bytes) -> str:
    """A file: as it is if it is a text, else in base64, as secrets are texts."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return base64.b64encode(octets).decode()
    return text if "\0" not in text else base64.b64encode(octets).decode()
