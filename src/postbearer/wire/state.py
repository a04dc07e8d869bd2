"""The client's side of the conversation: every state, and every way from one to another.

Theory
======

A *turn* is a command together with the one reply it is owed. Two places are kept:

`state`   where the replies that came have led; it moves when a turn is answered (`ANSWERED`).
`ahead`   where the commands sent will lead if all goes well; it decides what may be sent (`MAY_SEND`).

Without pipelining the two are equal whenever a command is sent. With it (RFC 2920) `ahead` runs in
front: after MAIL and RCPT it stands at RECIPIENTS, so that content may follow in the same flight.
When a reply disappoints, `ahead` is computed again from `state` and the turns still owed.

Replies are paired with turns by count alone. What a reply does depends on its first digit; only 221
and 421 have a meaning of their own, in every state: the server closes (RFC 5321 3.8, 4.1.1.10).

::

    GREETING ─220─▶ GREETED ─EHLO─▶ READY ─MAIL─▶ TRANSACTION ─RCPT─▶ RECIPIENTS ─DATA─354─▶ CONTENT
       │ 4,5           ▲             │ ▲ ▲                             │                      │ final dot
       ▼               │   STARTTLS  │ │ └──────── RSET, any answer ───┼──────────────────────┘
    REFUSED            └── TLS ◀─────┤ │                               │ BDAT          4,5
                                     │ └── 2,4,5 ── AUTHENTICATING     ├────▶ CHUNKS ──────▶ SPOILT
                                     └──── AUTH ─334─────▲             └── BDAT LAST ─▶ READY   │
                                                                              ▲────── RSET ─────┘
    any ── 221, 421, QUIT answered ──▶ CLOSING          any ── the peer broke SMTP ──▶ ERROR

A 354 for which no recipient was accepted leads to UNWANTED instead of CONTENT: a lone dot, then READY.
What does not fit the tables, and therefore stands in `ClientMachine`: one successful AUTH a
connection (RFC 4954 4), and which commands must be the last of a flight (RFC 2920 3.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum

from postbearer.errors import LocalProtocolError, RemoteProtocolError
from postbearer.reply import Reply
from postbearer.wire.events import (
    Auth,
    AuthResponse,
    Bdat,
    Command,
    Data,
    Ehlo,
    EndOfContent,
    Greeting,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
)


class ClientState(Enum):
    """Where a client stands, as far as the replies that came tell."""

    GREETING = "waiting for the greeting"
    REFUSED = "turned away by the greeting"  # only QUIT is left (RFC 5321 3.1)
    GREETED = "before EHLO"
    READY = "between transactions"
    TLS = "between STARTTLS and TLS"  # nothing may be said
    AUTHENTICATING = "inside AUTH"
    TRANSACTION = "MAIL accepted, no recipient yet"
    RECIPIENTS = "at least one recipient accepted"
    CONTENT = "354 came: content is owed"
    UNWANTED = "354 came although no recipient was accepted"  # a lone dot (RFC 2920 3.1)
    CHUNKS = "between two BDAT chunks"
    SPOILT = "a chunk was refused"  # indeterminate: RSET first (RFC 3030 2)
    CLOSING = "the server closes"
    ERROR = "the server broke SMTP"

    __hash__ = object.__hash__  # Enum's own is written in Python, and the tables are asked all the time


class LastBdat:
    """A BDAT with LAST: a turn of its own in the tables."""


Turn = type[Command] | type[LastBdat]

_S = ClientState  # the tables read better with a short name

MAY_SEND: Mapping[ClientState, frozenset[Turn]] = {
    _S.GREETING: frozenset(),
    _S.REFUSED: frozenset({Quit}),
    _S.GREETED: frozenset({Ehlo, Quit}),
    _S.READY: frozenset({Ehlo, StartTls, Auth, Mail, Rset, Noop, Quit}),
    _S.TLS: frozenset(),
    _S.AUTHENTICATING: frozenset({AuthResponse}),
    _S.TRANSACTION: frozenset({Rcpt, Rset, Noop, Quit}),
    _S.RECIPIENTS: frozenset({Rcpt, Data, Bdat, LastBdat, Rset, Noop, Quit}),
    _S.CONTENT: frozenset({EndOfContent}),
    _S.UNWANTED: frozenset(),  # but `Client.abort_content`
    _S.CHUNKS: frozenset({Bdat, LastBdat, Rset, Noop, Quit}),
    _S.SPOILT: frozenset({Rset, Quit}),
    _S.CLOSING: frozenset(),
    _S.ERROR: frozenset(),
}

_Answered = Mapping[tuple[Turn, int], ClientState]
_NOT_OPEN: _Answered = {
    (Data, 3): _S.UNWANTED,
    (Bdat, 4): _S.SPOILT,
    (Bdat, 5): _S.SPOILT,
    (LastBdat, 4): _S.SPOILT,
    (LastBdat, 5): _S.SPOILT,
}
_OPEN: _Answered = {**_NOT_OPEN, (Bdat, 2): _S.CHUNKS, (LastBdat, 2): _S.READY, (Rset, 2): _S.READY}

# (turn, first digit of its reply) → the next state. A 4 or 5 that is not listed changes nothing;
# a 2 or 3 that is not listed makes no sense, and the peer broke SMTP.
ANSWERED: Mapping[ClientState, _Answered] = {
    _S.GREETING: {
        (Greeting, 2): _S.GREETED,
        (Greeting, 4): _S.REFUSED,
        (Greeting, 5): _S.REFUSED,
    },
    _S.REFUSED: {},
    _S.GREETED: {(Ehlo, 2): _S.READY},
    _S.READY: {
        (Ehlo, 2): _S.READY,
        (StartTls, 2): _S.TLS,
        (Auth, 2): _S.READY,
        (Auth, 3): _S.AUTHENTICATING,
        (Mail, 2): _S.TRANSACTION,
        (Rset, 2): _S.READY,
        (Noop, 2): _S.READY,
        **_NOT_OPEN,  # MAIL was refused while content was already on its way
    },
    _S.TLS: {},
    _S.AUTHENTICATING: {
        (AuthResponse, 2): _S.READY,
        (AuthResponse, 3): _S.AUTHENTICATING,
        (AuthResponse, 4): _S.READY,
        (AuthResponse, 5): _S.READY,
    },
    _S.TRANSACTION: {(Rcpt, 2): _S.RECIPIENTS, (Noop, 2): _S.TRANSACTION, **_OPEN},
    _S.RECIPIENTS: {
        **_OPEN,
        (Rcpt, 2): _S.RECIPIENTS,
        (Noop, 2): _S.RECIPIENTS,
        (Data, 3): _S.CONTENT,
    },
    _S.CONTENT: {
        (EndOfContent, 2): _S.READY,
        (EndOfContent, 4): _S.READY,
        (EndOfContent, 5): _S.READY,
    },
    _S.UNWANTED: {
        (EndOfContent, 2): _S.READY,
        (EndOfContent, 4): _S.READY,
        (EndOfContent, 5): _S.READY,
    },
    _S.CHUNKS: {**_OPEN, (Noop, 2): _S.CHUNKS},
    _S.SPOILT: {(Rset, 2): _S.READY, (Bdat, 2): _S.SPOILT, (LastBdat, 2): _S.SPOILT},
    _S.CLOSING: {},
    _S.ERROR: {},
}

# Where each turn leads as long as its reply is not known. If the last BDAT is refused, only RSET is right;
# if not, RSET does no harm: so RSET it is (RFC 3030 2).
ASSUMED: Mapping[ClientState, Mapping[Turn, ClientState]] = {
    state: {**{turn: after for (turn, kind), after in turns.items() if kind == 2}, LastBdat: _S.SPOILT}
    for state, turns in ANSWERED.items()
}

# RFC 2920 3.1: behind these nothing may be sent before their reply is here. AUTH and STARTTLS may
# not be followed for reasons of their own (RFC 4954 4, RFC 3207 4.2).
LAST_IN_FLIGHT: frozenset[Turn] = frozenset({Greeting, Ehlo, StartTls, Auth, AuthResponse, Data, Noop, Quit})


def turn_of(command: Command) -> Turn:
    """The name of a command in the tables."""
    return LastBdat if isinstance(command, Bdat) and command.last else type(command)


class ClientMachine:
    """The two places of one connection, and the turns between them."""

    def __init__(self) -> None:
        self.state = ClientState.GREETING  # where the replies that came have led
        self.authenticated = False  # True after a 235
        self.owed: deque[tuple[Turn, Command]] = deque([(Greeting, Greeting())])  # replies that are to come
        self.ahead = ClientState.GREETED  # where all commands sent will lead if none is refused

    def send_turn(self, command: Command, *, pipelining: bool) -> None:
        """Note that `command` goes out. Raises `LocalProtocolError` if it must not, and changes nothing."""
        turn = turn_of(command)
        if turn not in MAY_SEND[self.ahead]:
            raise LocalProtocolError(f"{name_of(command)} cannot be sent now: {self.ahead.value}.")
        if turn is Auth and self.authenticated:
            raise LocalProtocolError("AUTH succeeded already; there is no second one (RFC 4954 4).")
        self.owe(turn, command, pipelining=pipelining)

    def owe(self, turn: Turn, command: Command, *, pipelining: bool) -> None:
        """Note that a reply to `command` is owed from now on."""
        if self.owed:
            last, before = self.owed[-1]
            if last in LAST_IN_FLIGHT or not pipelining:
                raise LocalProtocolError(f"{name_of(command)} must wait for the reply to {name_of(before)}.")
        self.ahead = ASSUMED[self.ahead].get(turn, self.ahead)
        self.owed.append((turn, command))

    def answer(self, reply: Reply) -> Command:
        """Pair `reply` with the oldest turn. Raises `RemoteProtocolError` if it makes no sense there."""
        turn, command = self.owed[0]
        after = self._after(turn, reply)
        if after is None:
            raise RemoteProtocolError(f"The server answered {name_of(command)} with {reply.quoted}.")
        self.owed.popleft()
        self.state = after
        if turn in (Auth, AuthResponse) and reply.positive:
            self.authenticated = True
        if not (reply.positive and self.owed) or after is ClientState.CLOSING:
            self.ahead = after
            for waiting, _ in self.owed:
                self.ahead = ASSUMED[self.ahead].get(waiting, self.ahead)
        return command

    def answer_early(self, reply: Reply) -> Command | None:
        """Take a refusal of content that is still being sent for the answer to its end.

        RFC 5321 has no such thing, but servers that see too large a message say so and close. What was
        sent can neither be completed nor taken back: the connection has no further use. None for
        any other reply that nobody asked for.
        """
        if self.state is not ClientState.CONTENT or reply.kind < 4:
            return None
        self._move(ClientState.CLOSING)
        return EndOfContent()

    def _after(self, turn: Turn, reply: Reply) -> ClientState | None:
        if turn is Quit or reply.code in (221, 421) or self.state is ClientState.CLOSING:
            return ClientState.CLOSING
        kind = reply.kind
        return ANSWERED[self.state].get((turn, kind), self.state if kind >= 4 else None)

    def tls_started(self) -> None:
        """Forget what was said in clear text; EHLO comes next (RFC 3207 4.2)."""
        if self.state is not ClientState.TLS:
            raise LocalProtocolError("TLS starts only behind a positive answer to STARTTLS.")
        self._move(ClientState.GREETED)
        self.authenticated = False

    def fail(self) -> None:
        """Nothing more can be said or heard on this connection."""
        self._move(ClientState.ERROR)

    def _move(self, state: ClientState) -> None:
        self.state = self.ahead = state


def name_of(command: Command) -> str:
    """What to call a command in a message; never its arguments."""
    names = {EndOfContent: "the end of content", Greeting: "the greeting", AuthResponse: "an AUTH response"}
    return names.get(type(command), type(command).__name__.upper())
