"""A hostile smarthost, as far as the core alone can tell."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
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
    Noop,
    Quit,
    Rcpt,
    Rset,
    SmtpClient,
    StartTls,
)
from wire.helpers import CUTS, Cut, cut_at, ehlo_reply, ready, say

NAME = "client.example.org"
CODES = (220, 221, 250, 354, 421, 454, 500, 501, 502, 503, 554)


def converse(client: SmtpClient, odd_turn: type[Command] | None, code: int) -> bool:
    """Go on as far as AUTH in TLS, with one odd reply on the way. True if AUTH was reached."""
    odd = f"{code} odd\r\n".encode()
    starttls = ehlo_reply("STARTTLS", "AUTH XOAUTH2")
    client.receive(odd if odd_turn is None else b"220 hi\r\n")
    for command, usual in ((Ehlo(NAME), starttls), (StartTls(), b"220 go\r\n"), (Rset(), b"250 ok\r\n")):
        if isinstance(command, Rset):
            client.tls_started()
            client.send(Ehlo(NAME))
            client.receive(ehlo_reply("AUTH XOAUTH2"))
        client.send(command)
        client.receive(odd if odd_turn is type(command) else usual)
    client.send(Auth("XOAUTH2"))
    return True


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("turn", [None, Ehlo, StartTls], ids=["greeting", "EHLO", "STARTTLS"])
def test_c1_auth_is_reached_only_through_starttls(turn: type[Command] | None, code: int) -> None:
    positive_anyway = code in (220, 250) and turn is not Ehlo
    try:
        assert converse(SmtpClient(), turn, code) == positive_anyway
    except ProtocolError:
        assert not positive_anyway


def test_c1_ehlo_refused_leaves_no_way_by_helo() -> None:
    client = SmtpClient()
    client.receive(b"220 hi\r\n")
    say(client, Ehlo(NAME), b"502 no\r\n")
    for command in (StartTls(), Auth("XOAUTH2"), Mail("a@example.org")):
        with pytest.raises(LocalProtocolError):
            client.send(command)


@pytest.mark.parametrize("injected", [b"250-x\r\n250 AUTH XOAUTH2\r\n", b"2", b"\r\n", b"\0"])
def test_c2_bytes_behind_the_answer_to_starttls_end_the_connection(injected: bytes) -> None:
    client = ready()
    client.send(StartTls())
    with pytest.raises(RemoteProtocolError, match="STARTTLS"):
        client.receive(b"220 go\r\n" + injected)
    with pytest.raises(RemoteProtocolError):
        client.tls_started()


def test_c2_also_when_they_come_in_a_segment_of_their_own() -> None:
    client = ready()
    say(client, StartTls(), b"220 go\r\n")
    with pytest.raises(RemoteProtocolError, match="STARTTLS"):
        client.receive(b"250 x\r\n")
    with pytest.raises(RemoteProtocolError):
        client.tls_started()


def test_c2_capabilities_from_before_tls_are_forgotten() -> None:
    client = ready()
    assert "XOAUTH2" in client.extensions.mechanisms
    say(client, StartTls(), b"220 go\r\n")
    client.tls_started()
    say(client, Ehlo(NAME), ehlo_reply("AUTH OAUTHBEARER"))
    assert client.extensions.mechanisms == ("OAUTHBEARER",)
    assert not client.extensions.pipelining


@pytest.mark.parametrize("early", [b"250 ok\r\n", b"2", b"\r\n", b"421 4.4.2 timeout\r\n"])
def test_c5_a_reply_before_the_command_is_never_paired_with_it(early: bytes) -> None:
    client = ready()
    with pytest.raises(RemoteProtocolError):
        client.receive(early)
    with pytest.raises(RemoteProtocolError):
        client.send(Mail("a@example.org"))


def test_c5_an_unasked_421_is_told() -> None:
    client = ready()
    with pytest.raises(RemoteProtocolError, match=r"421 4\.4\.2 idle too long"):
        client.receive(b"421 4.4.2 idle too long\r\n")


def test_c5_one_reply_too_many_does_not_take_back_the_ones_before() -> None:
    client = ready()
    client.send(Noop())
    [answer] = client.receive(b"250 ok\r\n250 again\r\n")
    assert answer.reply.positive
    assert client.state is ClientState.ERROR
    with pytest.raises(RemoteProtocolError, match="250 again"):
        client.receive(b"")
    with pytest.raises(RemoteProtocolError, match="250 again"):
        client.send(Noop())


def test_c5_an_unreadable_reply_does_not_take_back_the_ones_before() -> None:
    client = ready()
    for command in (Mail("a@example.org"), Rcpt("b@example.org"), Bdat(0, True), Rset()):
        client.send(command)
    data = b"250 ok\r\n250 ok\r\n250 queued\r\nwhat?\r\n"
    answers = client.receive(data[:-1])
    assert [answer.reply.text for answer in answers] == ["ok", "ok", "queued"]
    with pytest.raises(RemoteProtocolError, match="no SMTP reply"):
        client.receive(data[-1:])


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (Noop(), b"354 go\r\n"),
        (Noop(), b"334 more\r\n"),
        (Mail("a@example.org"), b"354 go\r\n"),
        (Ehlo(NAME), b"334 \r\n"),
        (StartTls(), b"354 go\r\n"),
        (Rset(), b"350 hm\r\n"),
    ],
)
def test_c5_a_reply_that_makes_no_sense_ends_the_connection(command: Command, reply: bytes) -> None:
    client = ready()
    client.send(command)
    with pytest.raises(RemoteProtocolError, match="The server answered"):
        client.receive(reply)


def test_c5_334_for_ever_is_for_the_mechanism_to_end() -> None:
    client = ready()
    say(client, Auth("XOAUTH2"), b"334 \r\n")
    for _ in range(50):
        assert client.state is ClientState.AUTHENTICATING
        say(client, AuthResponse(None), b"334 more\r\n")


@pytest.mark.parametrize("reply", [b"250 ok\r\n", b"235 ok\r\n", b"334 \r\n"])
def test_c7_data_is_not_accepted_without_354(reply: bytes) -> None:
    client = ready()
    for command in (Mail("a@example.org"), Rcpt("b@example.org"), Data()):
        client.send(command)
    answers = client.receive(b"250 ok\r\n250 ok\r\n")
    assert len(answers) == 2
    if reply.startswith(b"2"):
        with pytest.raises(RemoteProtocolError, match="answered DATA with 2"):
            client.receive(reply)
    else:
        client.receive(reply)  # an odd 3yz still asks for the content (RFC 5321 4.2.1)
        assert client.state is ClientState.CONTENT


WORDS = [
    b"250",
    b"354",
    b"421",
    b"550",
    b"-",
    b" ",
    b"ok",
    b"\r\n",
    b"\n",
    b"\r",
    b"\xff",
    b"250 ok\r\n",
    b"550 no\r\n",
]


def outcome(pieces: list[bytes]) -> tuple[list[Answer], ClientState]:
    """All answers to one flight, whether or not the server breaks SMTP behind them."""
    client = ready()
    for command in (Mail("a@example.org"), Rcpt("b@example.org"), Data()):
        client.send(command)
    answers: list[Answer] = []
    with suppress(RemoteProtocolError):
        for piece in pieces:
            answers += client.receive(piece)
        client.receive(b"")
    return answers, client.state


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(b"".join), st.lists(st.integers(0, 80), max_size=5))
def test_s21_c5_hostile_answers_mean_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    assert outcome([data]) == outcome(cut_at(data, places))


def in_content() -> SmtpClient:
    client = ready()
    for command in (Mail("a@example.org"), Rcpt("b@example.org"), Data()):
        client.send(command)
    client.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    client.send_content(b"hi\r\n")
    return client


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "reply", [b"552 5.3.4 too big\r\n", b"421 4.3.2 bye\r\n", b"452-4.3.1 full\r\n452 4.3.1 now\r\n"]
)
def test_c7_a_refusal_in_the_middle_of_the_content_is_its_answer(reply: bytes, cut: Cut) -> None:
    client = in_content()
    [answer] = [answer for piece in cut(reply) for answer in client.receive(piece)]
    assert answer.command == EndOfContent()
    assert answer.reply.code == int(reply[:3])
    assert client.state is ClientState.CLOSING
    with pytest.raises(LocalProtocolError):
        client.send_content(b"more\r\n")


def test_c7_an_acceptance_in_the_middle_of_the_content_is_not() -> None:
    client = in_content()
    with pytest.raises(RemoteProtocolError, match="without being asked"):
        client.receive(b"250 queued\r\n")
    with pytest.raises(RemoteProtocolError):
        client.send(EndOfContent())


def test_nothing_behind_quit() -> None:
    client = ready()
    assert say(client, Quit(), b"500 what?\r\n").reply.code == 500
    assert client.state is ClientState.CLOSING
    with pytest.raises(RemoteProtocolError):
        client.receive(b"250 ok\r\n")
