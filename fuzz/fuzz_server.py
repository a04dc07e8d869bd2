"""A client's octets in every state of a server: no crash, no unsafe reply, the same however they are cut."""

from __future__ import annotations

from collections.abc import Iterable

from harness import pieces, run

from postbearer.reply import Reply
from postbearer.wire import (
    Auth,
    AuthResponse,
    Content,
    Data,
    Ehlo,
    EndOfContent,
    Event,
    Helo,
    LineLimits,
    Offer,
    SmtpServer,
    challenge,
    compose,
)

OFFER = Offer(
    "mx.example.org",
    mechanisms=("PLAIN",),
    auth_in_clear=True,
    limits=LineLimits(max_line=100, max_auth_line=200, max_size=200, max_text_line=60),
)
WORDS = [
    b"EHLO x\r\n",
    b"MAIL FROM:<a@example.org>",
    b"RCPT TO:<b@example.org>",
    b" SIZE=3",
    b" BODY=8BITMIME SMTPUTF8",
    b" NOTIFY=NEVER",
    b"AUTH PLAIN ",
    b"dGVzdA==\r\n",
    b"BDAT 5\r\nab\r\nc",
    b"BDAT 3 LAST\r\nabc",
    b"RSET\r\n",
    b"\r\n.\r\n",
    b"\r\n",
    b"\xc3\xa9",
    b"\0",
]
# DATA must be the last of its flight, so it comes only in the prefix: the first octet chooses the state.
PREFIXES = (
    b"",
    b"EHLO x\r\n",
    b"EHLO x\r\nMAIL FROM:<a@b>\r\n",
    b"EHLO x\r\nAUTH PLAIN\r\n",
    b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
    b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
)


def answer(server: SmtpServer, event: Event) -> Reply:
    match event:
        case Ehlo() | Helo():
            return server.hello_reply()
        case Auth(_, None):
            return challenge(b"")
        case Auth() | AuthResponse():
            return compose(535, "No", enhanced="5.7.8")
        case Data():
            return compose(354, "Go on")
        case _:
            return compose(250, "OK")


def serve(parts: Iterable[bytes]) -> tuple[list[Event], bytes]:
    """Clean events, content joined, and all that was said."""
    server = SmtpServer(OFFER)
    server.greet()
    events: list[Event] = []
    content, said = b"", b""
    for part in (*parts, b""):
        server.receive(part)
        while (event := server.next_event()) is not None:
            if isinstance(event, Content):
                content += event.data
            else:
                clean = isinstance(event, EndOfContent) and not event.defect
                events += [Content(content), event] if clean else [event]
                content = b""
            if server.owed is not None:
                server.reply(answer(server, event))
        said += server.data_to_send()
    assert server.closing
    return events, said


def target(data: bytes) -> None:
    prefix, rest = PREFIXES[data[0] % len(PREFIXES)] if data else b"", data[1:]
    if b"DATA" in rest.upper():
        return
    events, said = serve([prefix, rest] if prefix and rest else [prefix or rest])
    assert (events, said) == serve([prefix, *pieces(rest)] if prefix else pieces(rest))
    for line in said.split(b"\r\n"):
        assert line.isascii() or b"SMTPUTF8" in rest.upper()
        assert line.decode().isprintable()


if __name__ == "__main__":
    run(target, WORDS)
