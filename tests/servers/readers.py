"""Whom other people's mail parsers take for the authors of a message, asked of programs that keep running."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from email import message_from_string, policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses
from pathlib import Path

from servers.nodejs import FOLDER, node

HERE = Path(__file__).parent
AUTHOR_FIELDS = ("From", "Sender", "Author", "Resent-From", "Resent-Sender")
Found = dict[str, list[str]]  # by parser


class Readers:
    """Mail::Address, Dovecot's parser, GMime, mailparser, postal-mime, and Python's two policies."""

    def __init__(self, programs: Sequence[subprocess.Popen[str]]) -> None:
        self._programs = programs

    def authors(self, message: bytes) -> Found:
        text = message.decode("utf-8", "surrogateescape")
        found = {
            "compat32": by_compat32(text),
            "decoded first": by_compat32(text, decoded=True),
            "default": by_default_policy(text),
        }
        for program in self._programs:
            assert program.stdin is not None
            program.stdin.write(base64.b64encode(message).decode() + "\n")
            program.stdin.flush()
        for program in self._programs:
            assert program.stdout is not None
            answer = program.stdout.readline()
            assert answer, f"{program.args} ended over {message!r}"
            found |= json.loads(answer)
        return found


def by_compat32(message: str, *, decoded: bool = False) -> list[str]:
    """With `decoded` as many programs do: encoded words become text, and then it is cut into addresses."""
    parsed = message_from_string(message)
    values = [str(value) for name in AUTHOR_FIELDS for value in parsed.get_all(name, [])]
    if decoded:
        with suppress(HeaderParseError, LookupError, ValueError):  # then such a program shows nothing
            values = [str(make_header(decode_header(value))) for value in values]
    return [address for _, address in getaddresses(values)]


def by_default_policy(message: str) -> list[str]:
    parsed = message_from_string(message, policy=policy.default)
    try:
        known = (name for name in AUTHOR_FIELDS if name != "Author")  # to it that is a text
        fields = [field for name in known for field in parsed.get_all(name, [])]
    except (AttributeError, IndexError, TypeError):  # its parser has bugs
        return []
    return [str(each.addr_spec) for field in fields for each in field.addresses]


@contextmanager
def readers() -> Iterator[Readers]:
    commands = [
        [str(node()), str(FOLDER / "authors.mjs")],
        ["perl", str(HERE / "authors.pl")],
        ["/usr/bin/python3", str(HERE / "authors_gmime.py")],
    ]
    with ExitStack() as stack:
        programs = [
            stack.enter_context(
                subprocess.Popen(
                    each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="surrogateescape"
                )
            )
            for each in commands
        ]
        yield Readers(programs)
        for program in programs:
            assert program.stdin is not None
            program.stdin.close()
