"""What old devices say: taken where the listener is for them, and read as they mean it."""

from __future__ import annotations

import base64

import pytest

from postbearer.wire import Offer
from wire.helpers import CUTS, Cut
from wire.serving import PASSWORD, Session, addressed

LENIENT = Offer("mx.example.org", lenient=True, mechanisms=("PLAIN", "LOGIN"), auth_in_clear=True)
LOGIN = "AUTH PLAIN " + base64.b64encode(PASSWORD).decode()
STRICT = Offer("mx.example.org")


@pytest.mark.parametrize(
    ("line", "strict"),
    [
        ("HELO", "501"),
        ("EHLO", "501"),
        ("EHLO ", "501"),
        ("EHLO HP LaserJet 400", "250"),
        ("HELO scan_ner.2nd floor", "250"),
        ("EHLO -printer-", "250"),
        ("EHLO [192.0.2.9", "250"),
    ],
)
def test_any_name_is_taken_and_by_a_device_none_too(line: str, strict: str) -> None:
    assert Session(STRICT).say(line)[-1][:3] == strict
    session = Session(LENIENT)
    assert session.say(line)[-1][:3] == "250"
    assert session.say("MAIL FROM:<a@example.org>")[-1][:3] == "250"


@pytest.mark.parametrize("name", ["a\tb", "a\x7f", "a\x1b[31m", "x" * 256, "d\u00fcr"])
def test_no_name_that_could_do_harm_is_taken(name: str) -> None:
    for offer in (STRICT, LENIENT):
        assert Session(offer).say(f"EHLO {name}")[-1][:3] == "501"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("MAIL FROM: a@example.org", "a@example.org"),
        ("MAIL FROM:a@example.org", "a@example.org"),
        ("mail from:  a@example.org  SIZE=10", "a@example.org"),
        ("MAIL FROM:<a@example.org>", "a@example.org"),
        ("MAIL FROM:<>", ""),
        ("MAIL FROM:", None),
        ("MAIL FROM:a", None),
        ("MAIL FROM:<a@example.org", None),
        ("MAIL FROM:a@example.org>", None),
        ("MAIL FROM:Scanner <a@example.org>", None),
        ("MAIL FROM:@relay.example.org:a@example.org", None),
        ("MAIL FROM:a@example.org b@example.org", None),
    ],
)
def test_paths_without_brackets(line: str, path: str | None) -> None:
    session = Session(LENIENT)
    session.say("EHLO printer")
    assert session.say(line)[-1][:1] == ("5" if path is None else "2")
    if path is not None:
        assert session.open.reverse_path == path
    if "<" not in line:
        strict = Session(STRICT)
        strict.say("EHLO printer")
        assert strict.say(line)[-1].startswith("501")


BY_LF = b"HELO printer\nMAIL FROM: a@example.org\nRCPT TO: b@example.org\nDATA\n"


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b"Subject: x\n\npage\n.\n", b"Subject: x\r\n\r\npage\r\n"),
        (b"Subject: x\n\n..page\n.\n", b"Subject: x\r\n\r\n.page\r\n"),
        (b"Subject: x\r\n\r\npage\r\n.\r\n", b"Subject: x\r\n\r\npage\r\n"),
        (b"Subject: x\n\npage\r\n.\n", b"Subject: x\r\n\r\npage\r\n"),
        (b".\n", b""),
    ],
)
def test_a_device_that_knows_no_crlf(sent: bytes, content: bytes, cut: Cut) -> None:
    session = Session(LENIENT)
    session.say(b"", pieces=cut(BY_LF))
    session.say(b"", pieces=cut(sent + b"QUIT\n"))
    assert [message.content for message in session.messages] == [content]
    assert session.transcript[-1].startswith("221")


def test_to_all_others_a_bare_lf_ends_no_command() -> None:
    session = Session(STRICT)
    session.say(BY_LF)
    assert session.closed
    assert session.messages == []


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\r\n.\r"])
def test_who_ends_commands_in_crlf_ends_data_so_too(end: bytes) -> None:
    """What a device relays of somebody else's must not end in the middle."""
    session = addressed(LENIENT)
    session.say("DATA")
    tail = b"MAIL FROM:<x@example.net>\r\nRCPT TO:<y@example.net>\r\nDATA\r\nhi"
    assert session.say(b"Subject: x\r\n\r\nfirst" + end + tail) == []
    session.say(b"\r\n.\r\n")
    assert len(session.messages) == 1


def test_a_cr_that_ends_no_line_does_not_end_the_data_of_a_device_either() -> None:
    session = Session(LENIENT)
    session.say(BY_LF)
    session.say(b"a\n\nb\r.\rc\n")
    assert session.messages == []
    session.say(b".\n")
    assert session.messages[0].content == b"a\r\n\r\nb\r\n.\r\nc\r\n"


def test_a_login_behind_helo() -> None:
    session = Session(LENIENT)
    session.say("HELO printer")
    assert session.say(LOGIN)[-1].startswith("235")
    strict = Session(Offer("mx.example.org", mechanisms=("PLAIN",), auth_in_clear=True))
    strict.say("HELO printer")
    assert strict.say(LOGIN)[-1].startswith("503")


# A whole dialogue at once, as a program pipes it into `sendmail -bs`.

AT_ONCE = Offer("mx.example.org", refuse_early=False)
BEFORE = b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
DIALOGUE = BEFORE + b"Subject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n"


@pytest.mark.parametrize("cut", CUTS)
def test_a_dialogue_that_comes_at_once_is_read(cut: Cut) -> None:
    session = Session(AT_ONCE, greet=False)
    session.server.receive(DIALOGUE)
    session.server.greet()
    session.step()
    session.written()
    assert [message.content for message in session.messages] == [b"Subject: x\r\n\r\nhi\r\n"]
    assert session.transcript[-1].startswith("221")
    assert session.say(b"", pieces=cut(b"")) == []


@pytest.mark.parametrize("missing", [b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<b@example.org>\r\n"])
def test_content_behind_a_data_that_is_refused_is_never_commands(missing: bytes) -> None:
    session = Session(AT_ONCE)
    session.say(DIALOGUE.replace(missing, b"").replace(b"hi", BEFORE + b"evil"))
    assert session.messages == []
    assert session.closed
