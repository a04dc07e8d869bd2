"""The client core: what it sends, what it lets through, how replies find their commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import LocalProtocolError, RemoteProtocolError
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
    Greeting,
    Helo,
    Help,
    Mail,
    MailParameters,
    Noop,
    Quit,
    Rcpt,
    RcptParameters,
    Rset,
    SmtpClient,
    StartTls,
    Vrfy,
)
from wire.helpers import CUTS, Cut, bytewise, cut_at, ehlo_reply, ready, say

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"
CANARY = b"ya29.CANARY-token"


def codes(answers: list[Answer]) -> list[tuple[str, int]]:
    return [(type(answer.command).__name__, answer.reply.code) for answer in answers]


def test_the_greeting_is_the_first_answer() -> None:
    client = SmtpClient()
    assert client.awaiting == 1
    [answer] = client.receive(b"220 mx.example.org ESMTP\r\n")
    assert answer.command == Greeting()
    assert client.state is ClientState.GREETED


@pytest.mark.parametrize("cut", CUTS)
def test_a_whole_session_in_any_pieces(cut: Cut) -> None:
    client = SmtpClient()
    turns: list[tuple[Command | None, bytes, bytes]] = [
        (None, b"", b"220 hi\r\n"),
        (Ehlo("client.example.org"), b"EHLO client.example.org\r\n", ehlo_reply("STARTTLS")),
        (StartTls(), b"STARTTLS\r\n", b"220 go\r\n"),
        (Ehlo("client.example.org"), b"EHLO client.example.org\r\n", ehlo_reply("AUTH XOAUTH2", "SIZE 1000")),
        (Auth("XOAUTH2"), b"AUTH XOAUTH2\r\n", b"334 \r\n"),
        (AuthResponse(b"user"), b"dXNlcg==\r\n", b"235 2.7.0 welcome\r\n"),
        (Mail(ALICE, MailParameters(size=3)), b"MAIL FROM:<alice@example.org> SIZE=3\r\n", b"250 ok\r\n"),
        (Rcpt(BOB), b"RCPT TO:<bob@example.org>\r\n", b"250 ok\r\n"),
        (Data(), b"DATA\r\n", b"354 go on\r\n"),
        (EndOfContent(), b"\r\n.\r\n", b"250 2.0.0 queued as 4711\r\n"),
        (Quit(), b"QUIT\r\n", b"221 bye\r\n"),
    ]
    for command, line, reply in turns:
        if isinstance(command, EndOfContent):
            assert client.send_content(b".hi") == b"..hi"
        if command is not None:
            assert client.send(command) == line
        answers = [answer for piece in cut(reply) for answer in client.receive(piece)]
        assert len(answers) == 1
        if isinstance(command, StartTls):
            client.tls_started()
            assert not client.extensions.keywords
    assert client.authenticated
    assert client.state is ClientState.CLOSING


# Sending ----------------------------------------------------------------------------------------


def test_a_message_is_one_flight_with_pipelining_and_chunking() -> None:
    client = ready()
    flight = client.send(Mail(ALICE)) + client.send(Rcpt(BOB)) + client.send(Rcpt(CAROL))
    flight += client.send(Bdat(4, last=True)) + client.send_content(b"hi\r\n")
    assert client.send(EndOfContent()) == b""
    assert flight.endswith(b"BDAT 4 LAST\r\nhi\r\n")
    assert client.awaiting == 4
    answers = client.receive(b"250 ok\r\n250 ok\r\n550 5.1.1 who?\r\n250 2.0.0 queued\r\n")
    assert codes(answers) == [("Mail", 250), ("Rcpt", 250), ("Rcpt", 550), ("Bdat", 250)]
    assert [a.command for a in answers[1:3]] == [Rcpt(BOB), Rcpt(CAROL)]
    assert client.state is ClientState.READY


def test_the_next_message_may_follow_content_in_the_same_flight() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    client.send_content(b"hi\r\n")
    assert client.send(EndOfContent()) == b".\r\n"
    for command in (Mail(ALICE), Rcpt(CAROL), Data()):
        client.send(command)
    answers = client.receive(b"250 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert codes(answers) == [("EndOfContent", 250), ("Mail", 250), ("Rcpt", 250), ("Data", 354)]


def test_behind_a_last_chunk_only_rset_may_be_sent_before_its_answer() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Bdat(0, last=True)):
        client.send(command)
    with pytest.raises(LocalProtocolError, match="chunk"):
        client.send(Mail(ALICE))
    for command in (Rset(), Mail(ALICE), Rcpt(CAROL), Bdat(0, last=True)):
        client.send(command)
    replies = b"250 ok\r\n250 ok\r\n451 later\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 queued\r\n"
    assert [code for _, code in codes(client.receive(replies))] == [250, 250, 451, 250, 250, 250, 250]
    assert client.state is ClientState.READY


def test_chunks_travel_together_and_a_refused_one_spoils_the_rest() -> None:
    client = ready()
    client.send(Mail(ALICE))
    client.send(Rcpt(BOB))
    for size, last in ((3, False), (3, False), (2, True)):
        client.send(Bdat(size, last))
        client.send_content(b"abc"[:size])
    client.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n452 full\r\n")
    assert client.state is ClientState.SPOILT
    client.receive(b"503 no\r\n")
    for command in (Bdat(1, True), Mail(ALICE), Rcpt(BOB), Noop()):
        with pytest.raises(LocalProtocolError):
            client.send(command)
    assert say(client, Rset(), b"250 ok\r\n").reply.positive
    assert client.state is ClientState.READY


@pytest.mark.parametrize("first", [Ehlo("x.example.org"), StartTls(), Auth("XOAUTH2"), Noop(), Quit()])
def test_nothing_follows_what_must_be_last_in_a_flight(first: Command) -> None:
    client = ready()
    client.send(first)
    for second in (Rset(), Quit(), Mail(ALICE)):
        with pytest.raises(LocalProtocolError):
            client.send(second)
    assert client.awaiting == 1


def test_nothing_follows_data_before_its_354() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    with pytest.raises(LocalProtocolError):
        client.send(Rset())
    with pytest.raises(LocalProtocolError):
        client.send_content(b"hi")


def test_without_pipelining_every_command_waits() -> None:
    client = ready(without="PIPELINING")
    client.send(Mail(ALICE))
    with pytest.raises(LocalProtocolError, match="RCPT must wait for the reply to MAIL"):
        client.send(Rcpt(BOB))
    client.receive(b"250 ok\r\n")
    client.send(Rcpt(BOB))


@pytest.mark.parametrize(
    "command",
    [
        Rcpt(BOB),
        Data(),
        Bdat(1, True),
        EndOfContent(),
        AuthResponse(b""),
        Helo("x.example.org"),
        Vrfy("x"),
        Help(),
        Greeting(),
    ],
)
def test_commands_out_of_turn_stay_here(command: Command) -> None:
    client = ready()
    with pytest.raises(LocalProtocolError):
        client.send(command)
    assert client.awaiting == 0
    assert say(client, Noop(), b"250 ok\r\n").reply.positive  # the connection is as good as before


def test_before_the_greeting_nothing_is_sent_and_before_ehlo_only_ehlo() -> None:
    client = SmtpClient()
    with pytest.raises(LocalProtocolError):
        client.send(Ehlo("x.example.org"))
    client.receive(b"220 hi\r\n")
    with pytest.raises(LocalProtocolError):
        client.send(Mail(ALICE))
    client.send(Ehlo("x.example.org"))


@pytest.mark.parametrize(
    "command",
    [
        *(Ehlo(name) for name in ("", "a b", "a\r\nQUIT", "a\0", "bücher.example", "-x", "x" * 256)),
        *(
            Mail(path)
            for path in ("a", "a@b@example.org", "a\r\nb@example.org", "a@example.org> SIZE=1", "<>")
        ),
        *(Mail(f"a{chr(n)}@example.org") for n in (*range(33), 0x7F, 0x85, 0x2028, 0x2029, 0xD800)),
        Mail("jürgen@example.org"),
        Mail("a@bücher.example"),
        *(Mail(ALICE, MailParameters(envid=envid)) for envid in ("a\r\nb", "ü", "\0", "x" * 101)),
        *(Mail(ALICE, MailParameters(size=size)) for size in (-1, 10**20)),
        Mail(ALICE, MailParameters(priority=10)),
        Mail(ALICE, MailParameters(auth="")),
        Auth("X OAUTH2"),
        Auth("XOAUTH2\r\nQUIT"),
        Auth(""),
        Auth("XOAUTH2", b"x" * 373),
    ],
    ids=repr,
)
def test_l4_unsafe_arguments_never_leave(command: Command) -> None:
    client = ready()
    with pytest.raises(LocalProtocolError):
        client.send(command)
    assert client.awaiting == 0


@pytest.mark.parametrize(
    "command",
    [
        Rcpt(""),
        Rcpt("b"),
        Rcpt("b@example.org\r\nDATA"),
        Rcpt("jürgen@example.org"),
        Rcpt(BOB, RcptParameters(orcpt="rfc822;a\nb")),
        Rcpt(BOB, RcptParameters(orcpt="b@example.org")),
        Rcpt(BOB, RcptParameters(notify=("NEVER", "DELAY"))),
        Rcpt(BOB, RcptParameters(orcpt="rfc822;" + "x" * 500)),
    ],
    ids=repr,
)
def test_l4_unsafe_recipients_never_leave(command: Command) -> None:
    client = ready()
    client.send(Mail(ALICE))
    with pytest.raises(LocalProtocolError):
        client.send(command)
    assert client.awaiting == 1


def test_non_ascii_addresses_go_out_only_in_a_transaction_with_smtputf8() -> None:
    client = ready()
    line = client.send(Mail("jürgen@bücher.example", MailParameters(smtputf8=True)))
    assert line == "MAIL FROM:<jürgen@bücher.example> SMTPUTF8\r\n".encode()
    assert client.send(Rcpt("用户@例子.example")) == "RCPT TO:<用户@例子.example>\r\n".encode()
    client.send(Rset())
    client.send(Mail(ALICE))
    with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
        client.send(Rcpt("jürgen@bücher.example"))


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (StartTls(), "STARTTLS"),
        (Mail(ALICE, MailParameters(size=1)), "SIZE"),
        (Mail(ALICE, MailParameters(body="8BITMIME")), "8BITMIME"),
        (Mail(ALICE, MailParameters(body="BINARYMIME")), "BINARYMIME"),
        (Mail(ALICE, MailParameters(smtputf8=True)), "SMTPUTF8"),
        (Mail(ALICE, MailParameters(ret="HDRS")), "DSN"),
        (Mail(ALICE, MailParameters(require_tls=True)), "REQUIRETLS"),
        (Mail(ALICE, MailParameters(priority=3)), "MT-PRIORITY"),
    ],
)
def test_nothing_is_said_that_the_server_does_not_offer(command: Command, missing: str) -> None:
    client = ready(without=missing)
    with pytest.raises(LocalProtocolError, match="not offer"):
        client.send(command)


def test_bdat_needs_chunking() -> None:
    client = ready(without="CHUNKING")
    client.send(Mail(ALICE))
    client.send(Rcpt(BOB))
    with pytest.raises(LocalProtocolError, match="CHUNKING"):
        client.send(Bdat(1, True))


# Replies ----------------------------------------------------------------------------------------


def test_codes_never_seen_before_keep_their_class() -> None:
    client = ready()
    assert say(client, Mail(ALICE), b"259 fine\r\n").reply.positive
    assert say(client, Rcpt(BOB), b"499 hm\r\n").reply.transient
    assert say(client, Rcpt(CAROL), b"599 no\r\n").reply.permanent
    assert client.state is ClientState.TRANSACTION


def test_421_closes_whatever_it_answers_and_later_replies_still_find_their_commands() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Rcpt(CAROL)):
        client.send(command)
    assert codes(client.receive(b"250 ok\r\n421 4.3.2 shutting down\r\n")) == [("Mail", 250), ("Rcpt", 421)]
    assert client.state is ClientState.CLOSING
    with pytest.raises(LocalProtocolError, match="closes"):
        client.send(Quit())
    assert codes(client.receive(b"421 4.3.2 shutting down\r\n")) == [("Rcpt", 421)]


@pytest.mark.parametrize("reply", [b"421 busy\r\n", b"221 no\r\n"])
def test_c4_a_greeting_that_closes_leaves_nothing_to_say(reply: bytes) -> None:
    client = SmtpClient()
    client.receive(reply)
    with pytest.raises(LocalProtocolError):
        client.send(Ehlo("x.example.org"))


def test_a_refusing_greeting_leaves_quit() -> None:
    client = SmtpClient()
    client.receive(b"554 5.7.1 not you\r\n")
    with pytest.raises(LocalProtocolError):
        client.send(Ehlo("x.example.org"))
    assert client.send(Quit()) == b"QUIT\r\n"


def test_a_refused_mail_in_a_flight() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    client.receive(b"550 5.7.1 not from you\r\n503 no\r\n503 no\r\n")
    assert client.state is ClientState.READY
    client.send(Mail(ALICE))


def test_when_mail_is_known_to_be_refused_content_is_not_sent() -> None:
    client = ready()
    client.send(Mail(ALICE))
    client.send(Rcpt(BOB))
    client.receive(b"550 5.7.1 not from you\r\n")
    with pytest.raises(LocalProtocolError):
        client.send(Data())


def test_when_all_recipients_are_refused_content_is_not_sent() -> None:
    client = ready()
    client.send(Mail(ALICE))
    client.send(Rcpt(BOB))
    client.receive(b"250 ok\r\n550 5.1.1 who?\r\n")
    for command in (Data(), Bdat(1, True)):
        with pytest.raises(LocalProtocolError):
            client.send(command)
    client.send(Rset())


@pytest.mark.parametrize("refusals", [b"550 no\r\n503 no\r\n", b"250 ok\r\n550 who?\r\n"])
def test_c7_a_354_without_recipients_gets_a_lone_dot(refusals: bytes) -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    client.receive(refusals + b"354 go\r\n")
    with pytest.raises(LocalProtocolError):
        client.send_content(b"hi\r\n")
    assert client.abort_content() == b".\r\n"
    assert codes(client.receive(b"554 no recipients\r\n")) == [("EndOfContent", 554)]
    assert client.state is ClientState.READY


def test_a_lone_dot_is_never_sent_to_accepted_recipients() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    with pytest.raises(LocalProtocolError):
        client.abort_content()


def test_refused_data_leaves_the_transaction_to_rset() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    client.receive(b"250 ok\r\n250 ok\r\n451 later\r\n")
    with pytest.raises(LocalProtocolError):
        client.send_content(b"hi")
    say(client, Rset(), b"250 ok\r\n")
    assert client.state is ClientState.READY


@pytest.mark.parametrize("reply", [b"451 later\r\n", b"550 no\r\n", b"250 ok\r\n"])
def test_c7_the_answer_to_the_content_is_the_final_word(reply: bytes) -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    client.send_content(b"hi\r\n")
    client.send(EndOfContent())
    answers = [answer for piece in bytewise(reply) for answer in client.receive(piece)]
    assert codes(answers) == [("EndOfContent", int(reply[:3]))]
    assert client.state is ClientState.READY


# AUTH -------------------------------------------------------------------------------------------


def test_auth_with_an_initial_response_in_one_line() -> None:
    client = ready()
    assert client.send(Auth("XOAUTH2", b"user")) == b"AUTH XOAUTH2 dXNlcg==\r\n"
    client.receive(b"535 5.7.3 no\r\n")
    assert not client.authenticated
    assert client.send(Auth("EXTERNAL", b"")) == b"AUTH EXTERNAL =\r\n"
    client.receive(b"235 2.7.0 ok\r\n")
    assert client.authenticated
    with pytest.raises(LocalProtocolError, match="no second"):
        client.send(Auth("XOAUTH2"))


@pytest.mark.parametrize(
    ("data", "line"), [(b"", b"\r\n"), (b"\x01", b"AQ==\r\n"), (None, b"*\r\n"), (b"t" * 24_000, None)]
)
def test_auth_responses(data: bytes | None, line: bytes | None) -> None:
    client = ready()
    say(client, Auth("XOAUTH2"), b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n")
    sent = client.send(AuthResponse(data))
    assert sent == line or (line is None and len(sent) == 32_002)
    client.receive(b"535 5.7.8 no\r\n")
    assert client.state is ClientState.READY


def test_inside_auth_nothing_else_is_said() -> None:
    client = ready()
    say(client, Auth("XOAUTH2"), b"334 \r\n")
    for command in (Quit(), Rset(), Mail(ALICE)):
        with pytest.raises(LocalProtocolError):
            client.send(command)


def test_o9_a_credential_is_forgotten_as_soon_as_it_is_sent() -> None:
    client = ready()
    client.send(Auth("XOAUTH2", CANARY))
    assert CANARY.decode() not in repr(vars(client))
    [answer] = client.receive(b"334 \r\n")
    assert answer.command == Auth("XOAUTH2", b"")
    client.send(AuthResponse(CANARY))
    assert [command for _, command in client.owed] == [AuthResponse(b"")]
    [answer] = client.receive(b"235 ok\r\n")
    assert answer.command == AuthResponse(b"")


def test_o9_no_error_shows_a_credential() -> None:
    client = ready()
    with pytest.raises(LocalProtocolError) as caught:
        client.send(Auth("XOAUTH2", CANARY * 40))
    assert "CANARY" not in str(caught.value) + repr(caught.value.args)
    with pytest.raises(LocalProtocolError) as caught:
        client.send(AuthResponse(CANARY))
    assert "CANARY" not in str(caught.value)


# Content ----------------------------------------------------------------------------------------


def in_content() -> SmtpClient:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Data()):
        client.send(command)
    client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    return client


BAD_CONTENT = [b"a\nb", b"a\rb", b"\n.\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r\r\n", b"\0", b"a\r\n\n"]


@pytest.mark.parametrize("content", BAD_CONTENT)
def test_s2_data_never_carries_bare_line_ends(content: bytes) -> None:
    for pieces in ([content], list(bytewise(content))):
        client = in_content()
        with pytest.raises(LocalProtocolError, match="content holds"):
            b"".join([client.send_content(piece) for piece in pieces])
        with pytest.raises(LocalProtocolError):  # half a message must not be completed
            client.send(EndOfContent())


def test_s2_a_return_at_the_very_end_is_bare() -> None:
    client = in_content()
    client.send_content(b"hi\r")
    with pytest.raises(LocalProtocolError, match="CRLF"):
        client.send(EndOfContent())


@pytest.mark.parametrize("content", [*BAD_CONTENT, b"hi\r"])
def test_s2_bdat_carries_them_only_as_binarymime(content: bytes) -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Bdat(len(content), True)):
        client.send(command)
    with pytest.raises(LocalProtocolError, match="content holds"):
        client.send_content(content)
    client = ready()
    for command in (Mail(ALICE, MailParameters(body="BINARYMIME")), Rcpt(BOB), Bdat(len(content), True)):
        client.send(command)
    assert client.send_content(content) == content


def test_binarymime_never_goes_by_data() -> None:
    client = ready()
    client.send(Mail(ALICE, MailParameters(body="BINARYMIME")))
    client.send(Rcpt(BOB))
    with pytest.raises(LocalProtocolError, match="BDAT"):
        client.send(Data())


def test_a_chunk_holds_exactly_what_it_announced() -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Bdat(6, False)):
        client.send(command)
    client.send_content(b"ab\r")
    with pytest.raises(LocalProtocolError, match="3 octets"):
        client.send(Bdat(2, True))
    client.send_content(b"\n..")  # plain: no dot is doubled
    with pytest.raises(LocalProtocolError, match="more content"):
        client.send_content(b"!")


@pytest.mark.parametrize("size", [-1, 0])
def test_only_the_last_chunk_may_be_empty(size: int) -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB)):
        client.send(command)
    with pytest.raises(LocalProtocolError):
        client.send(Bdat(size, last=False))


@given(st.lists(st.integers(0, 300), max_size=5))
def test_s21_a_flight_of_replies_in_any_pieces(places: list[int]) -> None:
    client = ready()
    for command in (Mail(ALICE), Rcpt(BOB), Rcpt(CAROL), Data()):
        client.send(command)
    data = b"250 2.1.0 ok\r\n250-2.1.5 fine\r\n250 2.1.5 \xc3\xa9\r\n550 5.1.1 who?\r\n354 go\r\n"
    answers = [answer for piece in cut_at(data, places) for answer in client.receive(piece)]
    assert codes(answers) == [("Mail", 250), ("Rcpt", 250), ("Rcpt", 550), ("Data", 354)]


def test_a_thousand_recipients_refused_one_by_one_cost_little() -> None:
    client = ready()
    client.send(Mail(ALICE))
    for number in range(1000):
        client.send(Rcpt(f"r{number}@example.org"))
    answers = client.receive(b"250 ok\r\n" + b"550 5.1.1 who?\r\n" * 1000)
    assert len(answers) == 1001
    assert client.state is ClientState.TRANSACTION


def test_tls_starts_only_behind_a_positive_answer() -> None:
    client = ready()
    with pytest.raises(LocalProtocolError):
        client.tls_started()
    say(client, StartTls(), b"454 4.7.0 not now\r\n")
    with pytest.raises(LocalProtocolError):
        client.tls_started()


def test_between_starttls_and_tls_nothing_is_said() -> None:
    client = ready()
    say(client, StartTls(), b"220 go\r\n")
    for command in (Ehlo("x.example.org"), Quit(), Auth("XOAUTH2")):
        with pytest.raises(LocalProtocolError):
            client.send(command)
    client.tls_started()
    assert client.extensions.mechanisms == ()
    with pytest.raises(LocalProtocolError):
        client.send(Auth("XOAUTH2"))
    client.send(Ehlo("x.example.org"))


def test_a_server_that_broke_smtp_stays_broken() -> None:
    client = ready()
    client.send(Noop())
    with pytest.raises(RemoteProtocolError, match="no SMTP reply"):
        client.receive(b"what?\r\n")
    assert client.state is ClientState.ERROR
    with pytest.raises(RemoteProtocolError):
        client.receive(b"250 ok\r\n")
    with pytest.raises(RemoteProtocolError):
        client.send(Quit())
