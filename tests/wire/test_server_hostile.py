"""Hostile clients, row by row: each test is named by its row in the plan for hostile input."""

from __future__ import annotations

import tracemalloc
from base64 import b64encode

import pytest

from postbearer.wire import (
    Bdat,
    Closed,
    Content,
    EndOfContent,
    Extensions,
    LineLimits,
    Mail,
    Offer,
    Quit,
    SmtpServer,
)
from wire.serving import OPEN, PASSWORD, Session, addressed, limited, ready

TLS = Offer("mx.example.org", mechanisms=("PLAIN",), starttls=True)
BLOB = b64encode(PASSWORD).decode()


# S3: STARTTLS injection


@pytest.mark.parametrize(
    "pieces", [[b"STARTTLS\r\nMAIL FROM:<a@b>\r\n"], [b"STARTTLS\r\n", b"MAIL FROM:<a@b>\r\n"]]
)
def test_s3_nothing_in_clear_text_behind_starttls_survives(pieces: list[bytes]) -> None:
    session = ready(TLS)
    replies = session.say(b"", pieces=pieces)
    assert replies == ([] if len(pieces) == 1 else ["220 2.0.0 Go ahead"])
    assert isinstance(session.events[-1], Closed)
    assert not any(isinstance(event, Mail) for event in session.events)
    assert session.closed


def test_s3_half_a_line_behind_starttls_counts_as_well() -> None:
    session = ready(TLS)
    assert session.say(b"STARTTLS\r\nM") == []
    assert session.closed


def test_s3_starttls_takes_no_parameter() -> None:
    session = ready(TLS)
    assert session.say("STARTTLS foo")[0].startswith("501")
    assert not session.server.tls
    assert session.survives


def test_s3_starttls_twice() -> None:
    session = ready(TLS)
    session.say("STARTTLS")
    session.server.tls_started()
    session.say("EHLO x")
    assert session.say("STARTTLS")[0].startswith("503")


def test_s3_starttls_out_of_turn() -> None:
    assert Session(TLS).say("STARTTLS")[0].startswith("503")
    assert ready().say("STARTTLS")[0].startswith("502")
    for before in ("MAIL FROM:<a@example.org>", "MAIL FROM:<a@example.org>\nRCPT TO:<b@example.org>"):
        session = ready(TLS)
        session.say(before)
        assert session.say("STARTTLS")[0].startswith("503")
        assert session.survives
    session = ready(Offer("mx", mechanisms=("PLAIN",), starttls=True, auth_in_clear=True))
    session.say(f"AUTH PLAIN {BLOB}")
    assert session.say("STARTTLS")[0].startswith("503")


def test_s3_starttls_in_content_is_text() -> None:
    session = addressed(TLS)
    session.say("DATA")
    session.say("STARTTLS\n.")
    assert session.messages[0].content == b"STARTTLS\r\n"


def test_s3_the_client_of_before_tls_is_not_the_client_behind_it() -> None:
    session = ready(Offer("mx", mechanisms=("PLAIN",), starttls=True, require_auth=True, auth_in_clear=True))
    assert session.say("AUTH PLAIN\n*\nSTARTTLS")[-1].startswith("220")
    session.server.tls_started()
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("503")
    session.say("EHLO x")
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("530")


# S6: what the core can do against an open relay


@pytest.mark.parametrize(
    "path",
    [
        *("<a@b@c>", "<@relay:bob@example.org>", "a@example.org", "<a>", "<a@>", "<@b>", "<a b@c>"),
        *("<<a@b>>", "<a@b", "a@b>", "<a@b>>", "<a@-b>", "<a@b..c>", "<.a@b>", "<a@b>x", "", " "),
    ],
)
@pytest.mark.parametrize("command", ["MAIL FROM", "RCPT TO"])
def test_s6_a_path_that_could_be_read_in_two_ways_is_refused(command: str, path: str) -> None:
    session = ready()
    session.say("MAIL FROM:<a@example.org>" if command == "RCPT TO" else "NOOP")
    assert session.say(f"{command}:{path}")[0].startswith("501")
    assert session.survives


def test_s6_no_null_forward_path() -> None:
    session = ready()
    assert session.say("MAIL FROM:<>") == ["250 2.1.0 OK"]
    assert session.say("RCPT TO:<>")[0].startswith("501")


def test_s6_no_recipient_without_login() -> None:
    session = ready(Offer("mx", mechanisms=("PLAIN",), require_auth=True), tls=True)
    replies = session.say("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.org>")
    assert [reply[:9] for reply in replies] == ["530 5.7.0"] * 2


# S7: control bytes


@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<a\rRCPT TO:<x@y>>",
        b"RCPT TO:<a\x00@b>",
        b"EHLO x\ry",
        b"MAIL FROM:<a@b> SIZE=1\x0b",
        b"\x00",
        b"NOOP \xff\xfe",
        b"\x80\x81\x82\x83",
        b"\x1b[2JNOOP",
        "NOOP \u2028".encode(),
    ],
)
def test_s7_control_bytes_are_refused_and_never_echoed(line: bytes) -> None:
    session = ready()
    [reply] = session.say(line + b"\r\n")
    assert reply[:3] in ("500", "501")
    assert reply.isascii()
    assert reply.isprintable()
    assert len(session.events) == 1
    assert session.survives


CONTROLS = [*(bytes([octet]) for octet in range(0x20) if octet != 0x0A), b"\x7f", b"\x85", "\x85".encode()]


@pytest.mark.parametrize("template", ["EHLO x%", "EHLO %", "MAIL FROM:<a%@b>", "MAIL FROM:<a@b%>"])
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.hex())
def test_s7_each_control_in_each_place(template: str, control: bytes) -> None:
    session = ready()
    [reply] = session.say(template.encode().replace(b"%", control) + b"\r\n")
    assert reply.startswith("501")
    assert len(session.events) == 1
    assert session.survives


@pytest.mark.parametrize("template", ["RCPT TO:<a@b%>", "RCPT TO:<a@b> NOTIFY=NEVER%", "DATA %", "VRFY %"])
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.hex())
def test_s7_each_control_in_a_transaction(template: str, control: bytes) -> None:
    session = addressed()
    [reply] = session.say(template.encode().replace(b"%", control) + b"\r\n")
    assert reply.startswith("501")
    assert len(session.events) == 3
    assert session.survives


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.hex())
def test_s7_behind_an_unreadable_bdat_nothing_is_a_command(control: bytes) -> None:
    session = addressed()
    assert session.say(b"BDAT 6" + control + b" LAST\r\nQUIT\r\n")[0].startswith("501")
    assert session.closed


# S8, S9: line ends, long lines


@pytest.mark.parametrize(
    "data", [b"EHLO x\nMAIL FROM:<a@b>\n", b"\n", b"NOOP\r\n\nNOOP\r\n", b"x" * 5000 + b"\nNOOP\r\n"]
)
def test_s8_a_bare_lf_ends_the_session(data: bytes) -> None:
    session = Session()
    assert session.say(data)[-1].startswith("500 5.5.2 Lines end with CR LF")
    assert session.events == [Closed("a command ended in a bare LF", fault=True)]
    assert session.closed


def test_s8_a_bare_lf_inside_auth() -> None:
    session = ready(TLS, tls=True)
    session.say("AUTH PLAIN")
    assert session.say(b"dGVzdA==\n")[-1].startswith("500")
    assert session.closed


@pytest.mark.parametrize("size", [512, 513, 2048])
def test_s9_a_command_up_to_2048_octets_is_taken(size: int) -> None:
    assert ready().say(b"NOOP ".ljust(size - 2, b"x") + b"\r\n") == ["250 2.0.0 OK"]


@pytest.mark.parametrize("size", [2049, 65_536, 10_000_000])
def test_s9_a_longer_command_is_refused_once(size: int) -> None:
    session = ready()
    assert session.say(b"EHLO ".ljust(size - 2, b"x") + b"\r\n") == ["500 5.5.2 Line too long"]
    assert session.survives


def test_s9_ten_megabytes_without_line_end_are_not_kept() -> None:
    session = ready()
    block = b"x" * 65_536
    tracemalloc.start()
    replies = session.say(b"", pieces=[block] * 160)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert replies == ["500 5.5.2 Line too long"]
    assert peak < 300_000
    assert session.say("") == []
    assert session.survives


@pytest.mark.parametrize("size", [998, 999, 1000, 100_000])
def test_s9_long_lines_of_content_pass_unless_limited(size: int) -> None:
    line = "x" * size
    session = addressed()
    session.say("DATA")
    session.say(f"{line}\n.")
    assert session.messages[0].content == f"{line}\r\n".encode()
    session = addressed(limited(max_text_line=998))
    session.say("DATA")
    [reply] = session.say(f"{line}\n.")
    assert reply[:3] == ("250" if size == 998 else "554")
    assert bool(session.messages) == (size == 998)
    assert session.survives


# S10: size


@pytest.mark.parametrize(
    ("size", "reply"),
    [
        *(("99999999999999999999", "552 5.3.4"), ("1001", "552 5.3.4"), ("1000", "250")),
        *(("-1", "501"), ("1e3", "501"), ("", "501"), ("٣", "501"), ("100000000000000000000", "501")),
        *(("1 SIZE=2", "501"), ("=1", "501")),
    ],
)
def test_s10_a_declared_size(size: str, reply: str) -> None:
    session = ready(limited(max_size=1000))
    assert session.say(f"MAIL FROM:<a@example.org> SIZE={size}")[0].startswith(reply)
    assert session.survives


def test_s10_one_octet_over() -> None:
    for size, reply in ((1000, "250 2.1.0 OK"), (1001, "552 5.3.4 Message too large")):
        session = addressed(limited(max_size=1000))
        session.say("DATA")
        assert session.say("x" * (size - 2) + "\n.") == [reply]
        assert len(session.messages) == (size == 1000)
        assert session.survives


def test_s10_the_true_end_of_an_oversize_message_is_found() -> None:
    session = addressed(limited(max_size=10))
    session.say("DATA")
    assert session.say(b"x" * 50_000 + b"\n.\nMAIL FROM:<evil@example.org>\r\n") == []
    assert session.say("\n.")[0].startswith("521")  # bare LF weighs more than size
    assert session.messages == []


def test_s10_nothing_of_what_is_over_reaches_the_face() -> None:
    session = addressed(limited(max_size=1000))
    session.say("DATA")
    for _ in range(100):
        session.say(b"x" * 900)
    session.say("\n.")
    assert sum(len(event.data) for event in session.events if isinstance(event, Content)) == 900
    assert session.events[-1] == EndOfContent(True, "size")


def test_s10_a_declared_size_is_an_estimate() -> None:
    # RFC 1870 5: clients declare what they have before a last CRLF is added, for one.
    session = ready()
    session.say("MAIL FROM:<a@example.org> SIZE=5\nRCPT TO:<b@example.org>\nDATA")
    assert session.say("hello\n.") == ["250 2.1.0 OK"]


# S11: recipients


@pytest.mark.parametrize(("most", "sent"), [(100, 101), (1000, 1200)])
def test_s11_the_extra_recipients_wait(most: int, sent: int) -> None:
    session = ready(limited(max_recipients=most))
    session.say("MAIL FROM:<a@example.org>")
    replies = session.say("\n".join(f"RCPT TO:<r{number}@example.org>" for number in range(sent)))
    assert replies == ["250 2.1.0 OK"] * most + ["452 4.5.3 Too many recipients"] * (sent - most)
    session.say("DATA")
    session.say("x\n.")
    assert len(session.messages[0].forward_paths) == most


# S13: pipelining


def test_s13_a_client_that_speaks_first_is_turned_away() -> None:
    session = Session(greet=False)
    replies = session.say(OPEN + b"DATA\r\nhi\r\n.\r\n")
    session.server.greet()
    session.written()
    assert replies == ["554 5.5.0 Wait for the reply before you go on"]
    assert [type(event) for event in session.events] == [Closed]
    assert session.closed


def test_s13_unless_the_server_is_patient() -> None:
    session = Session(Offer("mx", refuse_early=False), greet=False)
    assert session.say(b"EHLO x\r\n") == []
    session.server.greet()
    session.step()
    session.written()
    assert session.transcript[:2] == ["220 mx ESMTP", "250-mx"]


def test_s13_content_before_the_354() -> None:
    session = addressed()
    assert session.say(b"DATA\r\nhi\r\n.\r\n") == ["554 5.5.0 Wait for the reply before you go on"]
    assert session.messages == []
    assert session.closed


def test_s13_nothing_is_executed_after_quit() -> None:
    session = ready()
    assert session.say(b"QUIT\r\n" + OPEN) == ["221 2.0.0 Bye"]
    assert session.events[-1] == Quit()
    assert session.closed
    assert session.server.next_event() is None


# S14, S15: other protocols, odd verbs


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: mx\r\n\r\n",
        b"POST /x HTTP/1.1\r\n\r\n" + OPEN,
        b"CONNECT mx:25 HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + OPEN,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_s14_another_protocol_ends_the_session_at_its_first_word(data: bytes) -> None:
    session = Session()
    assert session.say(data) == ["554 5.5.0 This is SMTP"]
    assert [type(event) for event in session.events] == [Closed]
    assert session.closed


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        *((f"{verb} x", "502") for verb in ("XCLIENT", "XFORWARD", "PROXY", "ETRN", "TURN", "EXPN")),
        *(("XCLIENT LOGIN=root", "502"), ("VRFY root", "252"), ("HELP", "214"), ("HELP x", "214")),
        *(("FOO", "500"), ("", "500"), (" NOOP", "500"), ("NOOPS", "500"), ("ｎoop", "500")),
        *(("RSET x", "501"), ("QUIT x", "501"), ("DATA x", "503"), ("EHLO", "501"), ("HELO a b", "250")),
        ("noop anything", "250"),
    ],
)
def test_s15_odd_verbs(line: str, reply: str) -> None:
    session = ready()
    assert session.say(line)[0].startswith(reply)
    assert not session.server.authenticated
    assert session.survives


def test_s15_auth_on_mail_is_parsed_and_authenticates_nobody() -> None:
    session = ready(TLS, tls=True)
    session.say("MAIL FROM:<a@example.org> AUTH=root@example.org")
    assert not session.server.authenticated
    event = session.events[-1]
    assert isinstance(event, Mail)
    assert event.parameters.auth == "root@example.org"


@pytest.mark.parametrize(
    "line", ["MAIL FROM:<a@example.org>", "RCPT TO:<a@example.org>", "DATA", "AUTH PLAIN"]
)
def test_s15_nothing_before_ehlo(line: str) -> None:
    assert Session(TLS, tls=True).say(line)[0].startswith("503")


def test_s15_commands_out_of_turn() -> None:
    session = ready()
    assert session.say("RCPT TO:<b@example.org>\nDATA")[0].startswith("503")
    session.say("MAIL FROM:<a@example.org>")
    assert session.say("MAIL FROM:<a@example.org>")[0].startswith("503")
    assert session.say("DATA") == ["503 5.5.1 No recipient was accepted"]
    assert session.survives


def test_s15_too_many_errors() -> None:
    session = ready()
    replies = session.say("\n".join(["FOO"] * 30))
    assert [reply[:3] for reply in replies] == ["500"] * 19 + ["421"]
    assert session.closed


def test_s15_an_accepted_message_forgives_the_idle_talk() -> None:
    session = ready(limited(max_junk=10))
    for _ in range(5):
        session.say("\n".join(["NOOP"] * 8))
        session.say("MAIL FROM:<a@example.org>\nRCPT TO:<b@example.org>")
        session.say(b"BDAT 2 LAST\r\nab")
    assert len(session.messages) == 5
    assert session.say("\n".join(["NOOP"] * 11))[-1].startswith("421")


# S18: eight bits


def test_s18_binarymime_is_unknown_unless_offered() -> None:
    assert ready().say("MAIL FROM:<a@example.org> BODY=BINARYMIME")[0].startswith("555")
    assert ready().say("MAIL FROM:<a@example.org> BODY=9BIT")[0].startswith("501")


def test_s18_eight_bits_pass_as_they_came() -> None:
    session = addressed()
    session.say("DATA")
    session.say(b"Subject: \xfc\xff\r\n\r\n\x80\r\n.\r\n")
    assert session.messages[0].content == b"Subject: \xfc\xff\r\n\r\n\x80\r\n"


def test_s1_a_server_is_strict_without_being_asked() -> None:
    session = addressed()
    session.say("DATA")
    assert session.say(b"hi\n.\nMAIL FROM:<x@evil>\r\n") == []
    assert session.say(b".\r\n") == ["521 5.5.2 Bare CR, bare LF or NUL in the content"]
    assert session.messages == []
    assert session.closed


def test_defaults_are_the_documented_ones() -> None:
    assert (LineLimits().max_line, LineLimits().max_recipients, LineLimits().max_size) == (
        2048,
        1000,
        36 << 20,
    )
    assert SmtpServer(Offer("mx")).extensions == Extensions({})
    assert not any(isinstance(event, Bdat) for event in ready().events)
