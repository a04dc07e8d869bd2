"""Our client and our server, face to face: what one says the other understands."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from postbearer.wire import (
    Answer,
    Auth,
    AuthResponse,
    Bdat,
    ClientState,
    Command,
    Data,
    Ehlo,
    EndOfContent,
    Mail,
    MailParameters,
    Offer,
    Quit,
    Rcpt,
    RcptParameters,
    Rset,
    SmtpClient,
    StartTls,
)
from wire.helpers import cut_at
from wire.serving import Session

EVERYTHING = Offer("mx.example.org", starttls=True, mechanisms=("PLAIN",))
PLACES = st.lists(st.integers(0, 500), max_size=6)
PIECES = st.sampled_from([b"\r\n", b".", b"..\r\n", b"a", b"\r\n.\r\n", b"\xc3\xa9", b"line\r\n"])
CONTENT = st.lists(PIECES, max_size=10).map(b"".join)


class Pair:
    """Both sides of one connection; whatever one writes, the other reads in the pieces given."""

    def __init__(self, places: list[int] | None = None) -> None:
        self.client = SmtpClient()
        self.there = Session(EVERYTHING, greet=False)
        self.places = places or []
        self.there.server.greet()
        assert [answer.reply.code for answer in self.carry(b"")] == [220]

    def carry(self, data: bytes) -> list[Answer]:
        answers: list[Answer] = []
        for piece in cut_at(data, self.places):
            self.there.server.receive(piece) if piece else None
            self.there.step()
            for back in cut_at(self.there.server.data_to_send(), self.places):
                answers += self.client.receive(back)
        return answers

    def say(self, *commands: Command) -> list[Answer]:
        return self.carry(b"".join(self.client.send(command) for command in commands))


def test_tls_and_auth_as_a_submission_client_does_it() -> None:
    pair = Pair()
    pair.say(Ehlo("client.example.org"))
    assert pair.client.extensions.starttls
    assert pair.client.extensions.mechanisms == ()  # not in clear text
    [answer] = pair.say(StartTls())
    assert answer.reply.code == 220
    pair.client.tls_started()
    pair.there.server.tls_started()
    pair.say(Ehlo("client.example.org"))
    assert pair.client.extensions.mechanisms == ("PLAIN",)
    assert [a.reply.code for a in pair.say(Auth("PLAIN"))] == [334]
    assert [a.reply.code for a in pair.say(AuthResponse(None))] == [501]
    assert [a.reply.code for a in pair.say(Auth("PLAIN"))] == [334]
    assert [a.reply.code for a in pair.say(AuthResponse(b"\0alice\0CANARY-8d1f"))] == [235]
    assert pair.client.authenticated
    assert pair.there.server.authenticated
    assert [a.reply.code for a in pair.say(Quit())] == [221]
    assert pair.there.server.closing
    assert pair.client.state is ClientState.CLOSING


@settings(max_examples=60)
@given(CONTENT, PLACES)
def test_content_arrives_with_the_same_bytes_by_data(content: bytes, places: list[int]) -> None:
    pair = Pair(places)
    pair.say(Ehlo("client.example.org"))
    mail, rcpt = Mail("a@example.org", MailParameters(size=len(content))), Rcpt("b@example.org")
    assert [a.reply.code for a in pair.say(mail, rcpt, Data())] == [250, 250, 354]
    pieces = [pair.client.send_content(piece) for piece in cut_at(content, places)]
    [final] = pair.carry(b"".join(pieces) + pair.client.send(EndOfContent()))
    assert final.reply.positive
    [message] = pair.there.messages
    assert message.content == (content if content[-2:] in (b"", b"\r\n") else content + b"\r\n")


@settings(max_examples=60)
@given(CONTENT, CONTENT, PLACES)
def test_content_arrives_with_the_same_bytes_by_bdat_in_one_flight(
    first: bytes, second: bytes, places: list[int]
) -> None:
    pair = Pair(places)
    pair.say(Ehlo("client.example.org"))
    flight = b""
    for number in range(2):
        commands: list[Command] = [Mail(f"a{number}@example.org"), Rcpt("b@example.org")]
        if number:
            commands.insert(0, Rset())
        if first:
            commands.append(Bdat(len(first), last=False))
        flight += b"".join(pair.client.send(command) for command in commands)
        flight += pair.client.send_content(first) if first else b""
        flight += pair.client.send(Bdat(len(second), last=True)) + pair.client.send_content(second)
    answers = pair.carry(flight)
    assert all(answer.reply.positive for answer in answers)
    assert pair.client.awaiting == 0
    assert [message.content for message in pair.there.messages] == [first + second] * 2


@given(
    st.builds(
        MailParameters,
        size=st.none() | st.integers(0, 1000),
        body=st.sampled_from([None, "7BIT", "8BITMIME"]),
        smtputf8=st.booleans(),
        ret=st.sampled_from([None, "FULL", "HDRS"]),
        envid=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    ),
    st.builds(
        RcptParameters,
        notify=st.sampled_from([(), ("NEVER",), ("SUCCESS", "FAILURE")]),
        orcpt=st.sampled_from(["", "rfc822;b+c@example.org"]),
    ),
    st.booleans(),
)
def test_commands_arrive_as_they_were_meant(mail: MailParameters, rcpt: RcptParameters, null: bool) -> None:
    pair = Pair()
    pair.say(Ehlo("client.example.org"))
    commands = [Mail("" if null else "ålice@bücher.example" if mail.smtputf8 else "a@example.org", mail)]
    pair.say(*commands, Rcpt('"b > c"@example.org', rcpt))
    assert pair.there.events[1:] == [*commands, Rcpt('"b > c"@example.org', rcpt)]
