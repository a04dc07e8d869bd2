"""What is said in an SMTP conversation: the same classes for the side that says and the side that hears.

A client sends commands and receives `Answer`\\ s; a server receives commands and sends `Reply`\\ s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from postbearer.envelope import Body, Notify, Ret
from postbearer.reply import Reply as Reply


@dataclass(frozen=True, slots=True)
class MailParameters:
    """Parameters of MAIL FROM. None, False or ``""``: not given. Values are decoded (no xtext)."""

    size: int | None = None  # RFC 1870
    body: Body | None = None  # RFC 6152, RFC 3030
    smtputf8: bool = False  # RFC 6531
    ret: Ret | None = None  # RFC 3461
    envid: str = ""  # RFC 3461
    require_tls: bool = False  # RFC 8689
    priority: int | None = None  # MT-PRIORITY, RFC 6710
    auth: str | None = None  # AUTH=, RFC 4954 5; parsed, never acted upon


@dataclass(frozen=True, slots=True)
class RcptParameters:
    """Parameters of RCPT TO (RFC 3461). `orcpt` is ``type;address``, decoded."""

    notify: tuple[Notify, ...] = ()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The turn in which the server speaks first (RFC 5321 3.1); never sent."""


@dataclass(frozen=True, slots=True)
class Ehlo:
    name: str


@dataclass(frozen=True, slots=True)
class Helo:
    name: str


@dataclass(frozen=True, slots=True)
class StartTls:
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


@dataclass(frozen=True, slots=True)
class Mail:
    reverse_path: str
    parameters: MailParameters = MailParameters()


@dataclass(frozen=True, slots=True)
class Rcpt:
    forward_path: str
    parameters: RcptParameters = RcptParameters()


@dataclass(frozen=True, slots=True)
class Data:
    """The DATA command itself; its content follows after the 354."""


@dataclass(frozen=True, slots=True)
class Bdat:
    """A chunk of `size` octets follows at once (RFC 3030 2)."""

    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of the content as it is stored: CRLF lines, no dot-stuffing, no chunk frames."""

    data: bytes


@dataclass(frozen=True, slots=True)
class EndOfContent:
    """The final dot, or the end of a BDAT chunk; `last` is false for a chunk that more will follow.

    `defect` says why the content must be refused (``""`` when it is clean): a bare CR or LF, a NUL,
    too large. The true end was found all the same.
    """

    last: bool = True
    defect: Literal["", "line-ending", "nul", "size", "line-length"] = ""


@dataclass(frozen=True, slots=True)
class Rset: ...


@dataclass(frozen=True, slots=True)
class Noop: ...


@dataclass(frozen=True, slots=True)
class Vrfy:
    argument: str


@dataclass(frozen=True, slots=True)
class Help: ...


@dataclass(frozen=True, slots=True)
class Quit: ...


@dataclass(frozen=True, slots=True)
class Closed:
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
