"""What a well-behaved client gets from the server core."""

from __future__ import annotations

from base64 import b64encode

import pytest

from postbearer.errors import LocalProtocolError
from postbearer.reply import Reply
from postbearer.wire import (
    Auth,
    AuthResponse,
    Bdat,
    Closed,
    Content,
    Data,
    Ehlo,
    EndOfContent,
    Extensions,
    Helo,
    LineLimits,
    Mail,
    MailParameters,
    Offer,
    Quit,
    Rcpt,
    RcptParameters,
    Rset,
    SmtpServer,
    StartTls,
    compose,
)
from wire.serving import OFFER, OPEN, PASSWORD, Session, addressed, limited, ready

LOGIN = Offer("mx.example.org", mechanisms=("PLAIN", "XOAUTH2"), starttls=True)
BLOB = b64encode(PASSWORD).decode()


def test_a_message_by_data() -> None:
    session = Session()
    assert session.say("EHLO client.example.org")[0] == "250-mx.example.org"
    assert session.say("MAIL FROM:<a@example.org>") == ["250 2.1.0 OK"]
    assert session.say("RCPT TO:<b@example.org>") == ["250 2.1.0 OK"]
    assert session.say("DATA") == ["354 Go on"]
    assert session.say("Subject: x\n\n..dots\n.") == ["250 2.1.0 OK"]
    assert session.say("QUIT") == ["221 2.0.0 Bye"]
    [message] = session.messages
    assert message.content == b"Subject: x\r\n\r\n.dots\r\n"
    assert session.events[-1] == Quit()
    assert session.server.closing


def test_the_greeting_names_the_host() -> None:
    server = SmtpServer(OFFER)
    assert server.data_to_send() == b""
    server.greet("at your service")
    assert server.data_to_send() == b"220 mx.example.org ESMTP at your service\r\n"
    with pytest.raises(LocalProtocolError):
        server.greet()


def test_a_pipelined_group_gets_one_write() -> None:
    session = Session()
    session.server.receive(OPEN + b"BDAT 3 LAST\r\nabcMAIL FROM:<c@example.org>\r\nRSET\r\nNOOP\r\nQUIT\r\n")
    session.step()
    replies = session.server.data_to_send().split(b"\r\n")
    assert [reply[:3] for reply in replies if reply[3:4] == b" "] == [
        *[b"250"] * 4,  # EHLO, MAIL, RCPT, BDAT
        *[b"250"] * 3,  # MAIL, RSET, NOOP
        b"221",
    ]


def test_each_event_in_its_turn() -> None:
    session = Session()
    session.say(OPEN + b"RSET\r\n" + OPEN)
    session.say("DATA")
    session.say("x\n.")
    assert [type(event) for event in session.events] == [
        *(Ehlo, Mail, Rcpt, Rset, Ehlo, Mail, Rcpt, Data, Content, EndOfContent)
    ]


def test_nothing_goes_on_while_a_reply_is_owed() -> None:
    server = SmtpServer(OFFER)
    server.greet()
    server.receive(OPEN)
    assert server.next_event() == server.owed == Ehlo("client.example.org")
    assert server.next_event() is None
    server.reply(server.hello_reply())
    assert isinstance(server.next_event(), Mail)


def test_a_reply_that_nobody_waits_for_is_refused() -> None:
    server = SmtpServer(OFFER)
    server.greet()
    with pytest.raises(LocalProtocolError, match="nothing to answer"):
        server.reply(compose(250, "OK"))
    server.receive(b"EHLO x\r\n")
    server.next_event()
    with pytest.raises(LocalProtocolError, match="no reply code"):
        server.reply(Reply(600))


def test_ehlo_lists_only_what_would_be_taken() -> None:
    lines = ready(Offer("mx", mechanisms=("PLAIN",), starttls=True)).transcript
    assert "250 STARTTLS" in lines
    assert not any("AUTH" in line for line in lines)
    lines = ready(Offer("mx", mechanisms=("PLAIN", "XOAUTH2"), starttls=True), tls=True).transcript
    assert "250-STARTTLS" not in lines
    assert "250 AUTH PLAIN XOAUTH2" in lines
    lines = ready(Offer("mx", mechanisms=("PLAIN",), auth_in_clear=True)).transcript
    assert "250 AUTH PLAIN" in lines
    strict = Offer("mx", mechanisms=("PLAIN",), auth_in_clear=True, require_tls=True)
    assert "AUTH" not in ready(strict).server.extensions


def test_size_and_limits_are_advertised() -> None:
    lines = ready(limited(max_size=1000, max_recipients=100, max_messages=5)).transcript
    assert "250-SIZE 1000" in lines
    assert "250 LIMITS MAILMAX=5 RCPTMAX=100" in lines


def test_helo_offers_nothing() -> None:
    session = Session()
    assert session.say("HELO printer_4") == ["250 mx.example.org"]
    assert session.events == [Helo("printer_4")]
    assert session.say("MAIL FROM:<a@example.org> SIZE=3")[0].startswith("555 5.5.4")
    assert session.say("MAIL FROM:<a@example.org>") == ["250 2.1.0 OK"]
    assert Session(Offer("mx", allow_helo=False)).say("HELO x")[0].startswith("502")


def test_ehlo_inside_a_transaction_ends_it() -> None:
    session = addressed()
    session.say("EHLO again.example.org")
    assert session.say("RCPT TO:<c@example.org>")[0].startswith("503")


def test_a_refused_ehlo_changes_nothing() -> None:
    session = Session(refuse={Ehlo: compose(550, "Not you")})
    assert session.say("EHLO x") == ["550 Not you"]
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("503")


def test_a_421_by_the_face_closes() -> None:
    session = Session(refuse={Mail: compose(421, "Later", enhanced="4.3.2")})
    assert session.say(OPEN)[-1] == "421 4.3.2 Later"
    assert isinstance(session.events[-1], Closed)
    assert session.closed


def test_the_driver_can_turn_a_client_away_at_any_time() -> None:
    session = addressed()
    session.server.close(compose(421, "Too slow", enhanced="4.4.2"))
    assert session.say("DATA") == ["421 4.4.2 Too slow"]
    assert session.events[-1] == Closed("421 4.4.2 Too slow", fault=True)
    assert session.closed


def test_every_parameter_reaches_the_face() -> None:
    extensions = Extensions(
        dict.fromkeys(
            ("8BITMIME", "SMTPUTF8", "DSN", "REQUIRETLS", "MT-PRIORITY", "CHUNKING", "BINARYMIME"), ()
        )
    )
    offer = Offer("mx", extensions=extensions, mechanisms=("PLAIN",), longest_hold=86_400)
    session = ready(offer, tls=True)
    session.say(
        "MAIL FROM:<ä@example.org> SIZE=12 BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb REQUIRETLS"
        " MT-PRIORITY=-3 AUTH=<> HOLDFOR=86400\n"
        "RCPT TO:<ü@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2B@example.org"
    )
    parameters = MailParameters(12, "BINARYMIME", True, "HDRS", "a+b", True, -3, "<>", 86_400)
    assert session.events[1:] == [
        Mail("ä@example.org", parameters),
        Rcpt("ü@example.org", RcptParameters(("SUCCESS", "DELAY"), "rfc822;b+@example.org")),
    ]


@pytest.mark.parametrize(
    "parameter",
    ["BODY=8BITMIME", "SMTPUTF8", "RET=FULL", "REQUIRETLS", "MT-PRIORITY=1", "AUTH=<>", "HOLDFOR=1", "X=1"],
)
def test_a_parameter_of_what_is_not_offered_is_unknown(parameter: str) -> None:
    session = ready(Offer("mx", extensions=Extensions({"PIPELINING": ()})))
    assert session.say(f"MAIL FROM:<a@example.org> {parameter}")[0].startswith("555 5.5.4")
    assert session.survives


def test_requiretls_is_offered_only_under_tls() -> None:
    offer = Offer("mx", extensions=Extensions({"REQUIRETLS": ()}))
    assert "REQUIRETLS" not in ready(offer).server.extensions
    assert "REQUIRETLS" in ready(offer, tls=True).server.extensions


def test_a_non_ascii_address_needs_smtputf8() -> None:
    session = ready()
    assert session.say("MAIL FROM:<ä@example.org>")[0].startswith("553 5.6.7")
    session.say("MAIL FROM:<a@example.org>")
    assert session.say("RCPT TO:<ü@example.org>")[0].startswith("553 5.6.7")


def test_utf8_in_replies_only_with_smtputf8() -> None:
    session = Session(refuse={Rcpt: compose(550, "Für ü gibt es keinen Platz")})
    session.say("EHLO x\nMAIL FROM:<a@example.org>")
    assert session.say("RCPT TO:<b@example.org>") == ["550 F\\xfcr \\xfc gibt es keinen Platz"]
    session.say("RSET\nMAIL FROM:<a@example.org> SMTPUTF8")
    assert session.say("RCPT TO:<b@example.org>") == ["550 Für ü gibt es keinen Platz"]
    session.refuse = {EndOfContent: compose(250, "Für später")}
    session.say("RCPT TO:<b@example.org>")
    assert session.say(b"BDAT 0 LAST\r\n") == ["250 Für später"]
    session.refuse = {Ehlo: compose(550, "Für")}
    assert session.say("EHLO x") == ["550 F\\xfcr"]


def test_replies_stay_one_line_each_whatever_the_face_says() -> None:
    session = Session(refuse={Ehlo: Reply(550, (b"a\r\n250 b\x1b[2J", b"x" * 600))})
    session.server.receive(b"EHLO x\r\n")
    session.step()
    sent = session.server.data_to_send()
    assert sent.startswith(b"550-a\\r\\n250 b\\x1b[2J\r\n550 xxx")
    assert max(map(len, sent.splitlines(keepends=True))) == 512


def test_starttls_and_then_everything_anew() -> None:
    session = ready(LOGIN)
    assert session.say("STARTTLS") == ["220 2.0.0 Go ahead"]
    assert session.events[-1] == StartTls()
    session.server.tls_started()
    assert session.server.tls
    assert not session.server.extensions.keywords
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("503")
    assert "250 AUTH PLAIN XOAUTH2" in session.say("EHLO client.example.org")
    assert session.say("STARTTLS")[0].startswith("503")


def test_tls_cannot_start_without_starttls() -> None:
    with pytest.raises(LocalProtocolError):
        ready(LOGIN).server.tls_started()


def test_auth_in_one_and_in_two_steps() -> None:
    session = ready(LOGIN, tls=True)
    assert session.say(f"auth plain {BLOB}") == ["235 2.7.0 Hello"]
    assert session.server.authenticated
    session = ready(LOGIN, tls=True)
    assert session.say("AUTH XOAUTH2") == ["334 "]
    assert session.say(BLOB) == ["235 2.7.0 Hello"]
    assert session.events[1:] == [Auth("XOAUTH2"), AuthResponse(PASSWORD)]


def test_an_empty_initial_response_is_not_none() -> None:
    session = ready(LOGIN, tls=True)
    session.say("AUTH PLAIN =")
    assert session.events[-1] == Auth("PLAIN", b"")


def test_an_error_challenge_is_answered_with_an_empty_line() -> None:
    refusal = Reply(334, (b64encode(b'{"status":"401"}'),))
    session = Session(LOGIN, tls=True, refuse={Auth: refusal})
    session.say("EHLO x")
    assert session.say("AUTH XOAUTH2 Zm9v") == ["334 eyJzdGF0dXMiOiI0MDEifQ=="]
    assert session.say("") == ["535 5.7.8 No"]
    assert session.events[-1] == AuthResponse(b"")


def test_mail_waits_for_auth_and_tls_where_they_are_owed() -> None:
    offer = Offer("mx", mechanisms=("PLAIN",), starttls=True, require_tls=True, require_auth=True)
    session = ready(offer)
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("530 5.7.0 Send STARTTLS")
    session.say("STARTTLS")
    session.server.tls_started()
    session.say("EHLO x")
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("530 5.7.0 Auth")
    assert session.say(f"AUTH PLAIN {BLOB}\nMAIL FROM:<a@example.org>") == ["235 2.7.0 Hello", "250 2.1.0 OK"]


def test_a_message_in_chunks() -> None:
    session = addressed()
    assert session.say(b"BDAT 4\r\na\r\n.BDAT 2\r\n\r\nBDAT 0 LAST\r\n") == ["250 2.1.0 OK"] * 3
    assert session.messages[0].content == b"a\r\n.\r\n"
    assert [event for event in session.events if isinstance(event, Bdat | EndOfContent)] == [
        *(Bdat(4, False), EndOfContent(False), Bdat(2, False), EndOfContent(False)),
        *(Bdat(0, True), EndOfContent(True)),
    ]


def test_binary_content_only_by_bdat() -> None:
    extensions = Extensions({"CHUNKING": (), "8BITMIME": (), "BINARYMIME": ()})
    session = ready(Offer("mx", extensions=extensions))
    session.say("MAIL FROM:<a@example.org> BODY=BINARYMIME\nRCPT TO:<b@example.org>")
    assert session.say("DATA")[0].startswith("503")
    assert session.say(b"BDAT 4 LAST\r\n\0\n\r\xff") == ["250 2.1.0 OK"]
    assert session.messages[0].content == b"\0\n\r\xff"


def test_a_refused_chunk_spoils_the_transaction_until_rset() -> None:
    session = Session(refuse={EndOfContent: compose(452, "Disk full", enhanced="4.3.1")})
    session.say(OPEN)
    assert session.say(b"BDAT 2\r\nabBDAT 2\r\ncdMAIL FROM:<x@example.org>\r\nRSET\r\n") == [
        "452 4.3.1 Disk full",
        "503 5.5.1 A chunk was refused: send RSET first",
        "503 5.5.1 A chunk was refused: send RSET first",
        "250 2.0.0 OK",
    ]
    assert session.say("MAIL FROM:<x@example.org>") == ["250 2.1.0 OK"]


def test_a_chunk_that_was_skipped_never_leaves_a_message_without_its_middle() -> None:
    session = ready()
    session.say(b"MAIL FROM:<a@example.org>\r\nBDAT 2\r\nabRCPT TO:<b@example.org>\r\nBDAT 2 LAST\r\ncd")
    assert session.messages == []
    assert session.say("MAIL FROM:<a@example.org>") == ["250 2.1.0 OK"]


def test_content_in_the_last_chunk_may_travel_with_the_next_transaction() -> None:
    session = addressed()
    one = b"BDAT 3 LAST\r\nabc"
    session.say(one + (b"RSET\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n" + one) * 20)
    assert len(session.messages) == 21


def test_a_refused_data_leaves_the_transaction_open() -> None:
    session = Session(refuse={Data: compose(451, "Not now", enhanced="4.3.0")})
    session.say(OPEN)
    assert session.say("DATA\nRSET") == ["451 4.3.0 Not now", "250 2.0.0 OK"]


def test_content_arrives_in_pieces_and_nothing_is_kept_back() -> None:
    session = addressed()
    session.say("DATA")
    for _ in range(100):
        session.say(b"x" * 999 + b"\n"[:0] + b"y" * 1000)
    pieces = [event for event in session.events if isinstance(event, Content)]
    assert len(pieces) == 100
    assert {len(piece.data) for piece in pieces} == {1999}


def test_eof_closes_once_all_is_answered() -> None:
    session = Session()
    session.say(OPEN + b"BDAT 3 LAST\r\nabc")
    session.server.receive(b"")
    session.step()
    assert len(session.messages) == 1
    assert session.events[-1] == Closed("the client closed the connection")
    assert session.server.next_event() is None


def test_eof_in_content_is_never_its_end() -> None:
    for content in (b"DATA\r\n", b"BDAT 10\r\n"):
        session = addressed()
        session.say(content)
        session.say(b"half")
        session.server.receive(b"")
        session.step()
        assert session.messages == []
        assert isinstance(session.events[-1], Closed)


def test_no_more_transactions_than_advertised() -> None:
    session = ready(limited(max_messages=2))
    for _ in range(2):
        assert session.say("MAIL FROM:<a@example.org>\nRSET")[0] == "250 2.1.0 OK"
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("452 4.5.3")


def test_after_some_errors_the_driver_is_asked_to_be_slow() -> None:
    session = ready(limited(soft_errors=2))
    session.say("FOO")
    assert not session.server.error_limit.slow
    session.say("FOO")
    assert session.server.error_limit.slow


def test_line_ends_are_repaired_for_those_who_ask_but_the_end_of_data_is_not() -> None:
    session = addressed(Offer("mx", lenient=True))
    session.say("DATA")
    assert session.say(b"\na\nb\rc\r\n.\nd\n.\n", pieces=None) == []
    assert session.say(b"e\r", pieces=None) == []
    assert session.say(b"\r\n.\r\n") == ["250 2.1.0 OK"]
    assert session.messages[0].content == b"\r\na\r\nb\r\nc\r\n\r\nd\r\n.\r\ne\r\n\r\n"
    session.say("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.org>\nDATA")
    assert session.say(b"a\n\0\r\n.\r\n")[0].startswith("521")


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b"A: b\rBcc: c\n\nd\re\n\r\n", b"A: b Bcc: c\r\n\r\nd\r\ne\r\n\r\n"),
        (b"A: b\r\n\r\nd\re\r\n", b"A: b\r\n\r\nd\r\ne\r\n"),
        (b"A: b\r\r\nC: d\r\n", b"A: b \r\nC: d\r\n"),
        (b"A: b\n\r\nd\re\r\n", b"A: b\r\n\r\nd\r\ne\r\n"),
        (b"\r\nd\re\r\n", b"\r\nd\r\ne\r\n"),
    ],
)
def test_in_the_header_no_line_ends_at_a_cr_alone(sent: bytes, content: bytes, piece: int) -> None:
    session = addressed(Offer("mx", lenient=True))
    session.say("DATA")
    octets = sent + b".\r\n"
    pieces = [octets[start : start + piece] for start in range(0, len(octets), piece)]
    assert session.say(b"", pieces=pieces) == ["250 2.1.0 OK"]
    assert session.messages[0].content == content


def test_what_is_buffered_can_be_seen() -> None:
    server = SmtpServer(OFFER)
    server.greet()
    server.receive(b"EHLO x\r\nNOOP\r\n")
    server.next_event()
    assert server.buffered == len(b"NOOP\r\n")
    assert repr(server) == "<SmtpServer COMMAND, Ehlo owed a reply>"


def test_nothing_secret_in_a_repr() -> None:
    session = ready(LOGIN, tls=True)
    session.say(f"AUTH PLAIN {BLOB}")
    assert "CANARY" not in repr(session.events)
    assert BLOB not in repr(session.events)


def test_limits_are_values() -> None:
    assert Offer("mx").limits == LineLimits()
