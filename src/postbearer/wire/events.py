"""What is said in an SMTP conversation: the same classes for the side that says and the side that hears.

A client sends commands and receives `Answer`\\ s; a server receives commands and sends `Reply`\\ s.
What holds a credential is a dataclass, which can leave it out of its repr; the others are made faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from msgspec import Struct

from postbearer.envelope import Body, Notify, Ret
from postbearer.reply import Reply as Reply


class MailParameters(Struct, frozen=True):
    """Parameters of MAIL FROM. None, False or ``""``: not given. Values are decoded (no xtext)."""

    size: int | None = None  # RFC 1870
    body: Body | None = None  # RFC 6152, RFC 3030
    smtputf8: bool = False  # RFC 6531
    ret: Ret | None = None  # RFC 3461
    envid: str = ""  # RFC 3461
    require_tls: bool = False  # RFC 8689
    priority: int | None = None  # MT-PRIORITY, RFC 6710
    auth: str | None = None  # AUTH=, RFC 4954 5; parsed, never acted upon
    hold_for: int | None = None  # seconds; HOLDFOR, RFC 4865
    hold_until: float | None = None  # Unix seconds; HOLDUNTIL, RFC 4865


class RcptParameters(Struct, frozen=True):
    """Parameters of RCPT TO (RFC 3461). `orcpt` is ``type;address``, decoded."""

    notify: tuple[Notify, ...] = ()
    orcpt: str = ""


class Greeting(Struct, frozen=True):
    """The turn in which the server speaks first (RFC 5321 3.1); never sent."""


class Ehlo(Struct, frozen=True):
    name: str


class Helo(Struct, frozen=True):
    name: str


class StartTls(Struct, frozen=True):
    """RFC 3207."""


@dataclass(frozen=True, slots=True)
class Auth:
    """RFC 4954. `initial` is the decoded initial response: None for none, ``b""`` for an empty one."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The client's answer to a 334, decoded. None cancels the exchange (``*``)."""

    data: bytes | None = field(repr=False)


class Mail(Struct, frozen=True):
    reverse_path: str
    parameters: MailParameters = MailParameters()


class Rcpt(Struct, frozen=True):
    forward_path: str
    parameters: RcptParameters = RcptParameters()


class Data(Struct, frozen=True):
    """The DATA command itself; its content follows after the 354."""


class Bdat(Struct, frozen=True):
    """A chunk of `size` octets follows at once (RFC 3030 2)."""

    size: int
    last: bool


class Content(Struct, frozen=True):
    """A piece of the content as it is stored: CRLF lines, no dot-stuffing, no chunk frames."""

    data: bytes


class EndOfContent(Struct, frozen=True):
    """The final dot, or the end of a BDAT chunk; `last` is false for a chunk that more will follow.

    `defect` says why the content must be refused (``""`` when it is clean): a bare CR or LF, a NUL,
    too large. The true end was found all the same.
    """

    last: bool = True
    defect: Literal["", "line-ending", "nul", "size", "line-length"] = ""


class Rset(Struct, frozen=True): ...


class Noop(Struct, frozen=True): ...


class Vrfy(Struct, frozen=True):
    argument: str


class Help(Struct, frozen=True): ...


class Quit(Struct, frozen=True): ...


class Closed(Struct, frozen=True):
    """The peer closed, or is to be closed. `fault`: it broke the protocol, or did not stop making errors."""

    reason: str = ""
    fault: bool = False


Command = (
    Greeting
    | Ehlo
    | Helo
    | StartTls
    | Auth
    | AuthResponse
    | Mail
    | Rcpt
    | Data
    | Bdat
    | EndOfContent
    | Rset
    | Noop
    | Vrfy
    | Help
    | Quit
)


class Answer(NamedTuple):
    """A reply, paired with the command it answers. For `EndOfContent` it is the final word on the message."""

    command: Command
    reply: Reply


Event = Command | Content | Closed
