"""What sendmail makes of what is piped into it."""

from __future__ import annotations

import email
from email.utils import getaddresses, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.address import Address
from postbearer.cli.dropin.addresses import addresses
from postbearer.cli.dropin.arguments import EarlyExit, Invocation, understand
from postbearer.cli.dropin.caller import Caller, host, local_part
from postbearer.cli.dropin.message import HandedMessage, cut, plain_lines, write
from postbearer.message import BytesContent, convert, parse_mailboxes

ME = Caller("joe", "host.example.org", "Joe Bloggs")


def letter(data: bytes, *words: str, caller: Caller = ME) -> HandedMessage:
    return write(understand("sendmail", words), data, caller, lambda size: b"\x01" * size)


def header(data: bytes, *words: str, caller: Caller = ME) -> dict[str, str]:
    message = email.message_from_bytes(letter(data, *words, caller=caller).content)
    return dict(message.items())


def test_lines_become_crlf_and_missing_fields_are_added() -> None:
    made = letter(b"Subject: hi\n\nline 1\nline 2", "root")
    assert made.sender == "joe@host.example.org"
    assert made.recipients == ["root@host.example.org"]
    head, _, body = made.content.partition(b"\r\n\r\n")
    assert head.startswith(b"Subject: hi\r\nFrom: Joe Bloggs <joe@host.example.org>\r\nDate: ")
    assert body == b"line 1\r\nline 2\r\n"
    assert parsedate_to_datetime(header(b"x\n", "root")["Date"])
    assert header(b"x\n", "root")["Message-ID"].endswith("@host.example.org>")


def test_what_is_there_stays_as_it_is() -> None:
    data = b"from : X <x@e.org>\nDATE: yesterday\nMessage-Id: <1@e>\nX:\n folded\n\tmore\n\nbody\n"
    assert letter(data, "a@e.org").content == data.replace(b"from :", b"from:").replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"just text\nmore\n", b"just text\r\nmore\r\n"),
        (b"Subject: x\nno blank line\n", b"no blank line\r\n"),
        (b"From joe Mon Jan  1 00:00:00 2026\nSubject: x\n\nbody\n", b"body\r\n"),
        (b"From here on all is well\n", b"From here on all is well\r\n"),
        (b"\nbody only\n", b"body only\r\n"),
        (b" indented\n", b" indented\r\n"),
        (b"50% done\r100% done\r\nend\r\n", b"50% done\r\n100% done\r\nend\r\n"),
        (b"nul\0 byte\n", b"nul byte\r\n"),
        (b"http://example.org/\n", b""),
    ],
)
def test_header_and_body_are_told_apart(data: bytes, body: bytes) -> None:
    assert letter(data, "a@e.org").content.partition(b"\r\n\r\n")[2] == body


def test_t_takes_recipients_and_removes_bcc() -> None:
    data = (
        b'To: A <a@e.org>, b@e.org (the boss),\n\t"C, D" <c@e.org>\nCc: team: d@e.org, e@e.org;\n'
        b"Bcc: secret@e.org,\n more@e.org\nSubject: x\n\nbody\n"
    )
    made = letter(data, "-t", "f@e.org")
    assert made.recipients == [f"{name}@e.org" for name in ("f", "a", "b", "c", "d", "e", "secret", "more")]
    assert b"secret" not in made.content
    assert b"more@" not in made.content
    assert b'"C, D" <c@e.org>\r\n' in made.content


def test_without_t_the_header_names_nobody_and_bcc_stays() -> None:
    made = letter(b"To: a@e.org\nBcc: b@e.org\n\n", "c@e.org")
    assert made.recipients == ["c@e.org"]
    assert b"Bcc: b@e.org" in made.content


def test_a_message_that_is_resent_goes_to_those_alone() -> None:
    data = b"Resent-To: r@e.org\nResent-Bcc: s@e.org\nTo: a@e.org\n\n"
    made = letter(data, "-t")
    assert made.recipients == ["r@e.org", "s@e.org"]
    assert b"s@e.org" not in made.content


@pytest.mark.parametrize("data", [b"Subject: nobody\n\nx\n", b"To: undisclosed-recipients:;\n\n"])
def test_nobody_to_send_to(data: bytes) -> None:
    with pytest.raises(EarlyExit) as caught:
        letter(data, "-t")
    assert caught.value.code == 64


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\n", b"\0"])
@pytest.mark.parametrize("words", [("a@e.org",), ("-t",)])
def test_nothing_at_all_is_no_message(data: bytes, words: tuple[str, ...]) -> None:
    with pytest.raises(EarlyExit, match="empty: there is no message") as caught:
        letter(data, *words)
    assert caught.value.code == 65


def test_a_header_alone_is_a_message() -> None:
    made = letter(b"To: a@e.org\nSubject: Backup done\n", "-t")
    assert made.recipients == ["a@e.org"]
    assert made.content.startswith(b"To: a@e.org\r\nSubject: Backup done\r\n")
    assert made.content.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "to",
    [
        "a@e.org b",
        "a b",
        "<a@e.org> <b@e.org>",
        "=?utf-8?b?b3BzQGV4YW1wbGUub3Jn?=",
        "=?utf-8?q?a?=@e.org",
        "<a@e.org",
        '"a@e.org',
        "a@e.org <b@e.org> c",
        "(x",
        "a@\x01e.org",
        "<<a@e.org>>",
        "a@e.org: b@e.org;",
    ],
)
def test_an_unreadable_list_is_refused_and_nothing_is_guessed(to: str) -> None:
    with pytest.raises(EarlyExit) as caught:
        letter(f"To: {to}\n\n".encode(), "-t")
    assert caught.value.code == 65


@pytest.mark.parametrize("option", ["-f", ""])
@pytest.mark.parametrize(
    "word",
    [
        "a@example.org\nBcc: b@example.org",
        "a@example.org\r",
        "a\0@example.org",
        "a@example.org\u2028",
        "x\x85",
    ],
)
def test_a_word_with_a_line_end_is_refused_by_name(word: str, option: str) -> None:
    words = [option, word, "c@example.org"] if option else [word]
    with pytest.raises(EarlyExit) as caught:
        letter(b"\nhi\n", *words)
    assert caught.value.code == 65
    assert caught.value.text.startswith(f"the address {word[:1]!r}"[:-1])
    assert caught.value.text.endswith("holds a line end or a control character")


def test_names_for_from() -> None:
    assert header(b"x\n", "-FCron Daemon", "r")["From"] == "Cron Daemon <joe@host.example.org>"
    assert header(b"x\n", '-F"Evil"\r\nBcc: x@e.org', "r")["From"].startswith('"\\"Evil\\"Bcc: x')
    assert "Bcc" not in header(b"x\n", '-F"Evil"\r\nBcc: x@e.org', "r")
    encoded = header(b"x\n", "-FJörg Müller-Lüdenscheidt", "r")["From"]
    assert str(email.header.make_header(email.header.decode_header(encoded))).startswith("Jörg Müller-Lüd")
    assert header(b"x\n", "r", caller=Caller("joe", "h"))["From"] == "joe@h"
    assert header(b"x\n", "-f", "", "r")["From"] == "Joe Bloggs <joe@host.example.org>"


@given(st.binary(max_size=3000).filter(lambda data: data.strip(b"\r\n\0 \t")), st.booleans())
def test_whatever_is_piped_in_can_be_sent(data: bytes, long: bool) -> None:
    try:
        made = letter(data * (8 if long else 1), "a@e.org")
    except EarlyExit:
        return
    lines = made.content.split(b"\r\n")
    assert not any(octet in line for line in lines for octet in (b"\r", b"\n", b"\0"))
    assert made.content.endswith(b"\r\n")
    assert b"\r\n\r\n" in made.content


def test_long_lines_are_left_to_whoever_sends_them() -> None:
    names = [f"recipient-{number:03}@example.org" for number in range(60)]
    made = letter(f"To: {', '.join(names)}\n\n{'ä' * 2000}\n".encode(), "-t")
    assert made.recipients == names
    sent = b"".join(convert(BytesContent(made.content)).blocks())
    message = email.message_from_bytes(sent)
    assert [address for _, address in getaddresses([message["To"]])] == names
    assert message.get_payload(decode=True).decode() == "ä" * 2000 + "\r\n"


@given(st.binary(max_size=500))
def test_the_body_is_kept(body: bytes) -> None:
    fields, found = cut(b"Subject: x\n\n" + body)
    assert (len(fields), found) == (1, plain_lines(body))


@pytest.mark.parametrize("end", [b"\r", b"\r\r", b" \r", b"\0\r"])
def test_a_cr_alone_begins_no_field_and_makes_no_recipient(end: bytes) -> None:
    data = b"To: ops@e.org\nSubject: hello" + end + b"Bcc: victim@e.org" + end + b"To: other@e.org\n\nx\n"
    made = letter(data, "-t")
    assert made.recipients == ["ops@e.org"]
    message = email.message_from_bytes(made.content)
    assert [name for name, _ in message.items()] == ["To", "Subject", "From", "Date", "Message-ID"]


def test_an_address_in_another_charset_is_refused() -> None:
    with pytest.raises(EarlyExit, match="is not a list of mail addresses"):
        letter(b"To: J\xfcrgen@e.org\n\nx\n", "-t")


def test_a_name_in_another_charset_stops_no_mail() -> None:
    assert letter(b"To: J\xfcrgen <ops@e.org>, (B\xfcro) b@e.org\n\nx\n", "-t").recipients == [
        "ops@e.org",
        "b@e.org",
    ]


@pytest.mark.parametrize("given", ["a@e.org dev@e.org", "a@e.org  dev@e.org ", "a@e.org\tdev@e.org"])
def test_a_blank_between_addresses_parts_them(given: str) -> None:
    assert letter(b"x\n", given).recipients == ["a@e.org", "dev@e.org"]
    assert letter(f"To: {given}\n\n".encode(), "-t").recipients == ["a@e.org", "dev@e.org"]


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ("Full Name <me@e.org>", "me@e.org"),
        ('"Name, Full" <me@e.org>', "me@e.org"),
        ("<me@e.org>", "me@e.org"),
        ("me@e.org (Full Name)", "me@e.org"),
        ("root", "root@host.example.org"),
        ("<>", ""),
        (" ", ""),
    ],
)
def test_the_sender_may_come_with_a_name(given: str, sender: str) -> None:
    assert letter(b"x\n", "-f", given, "a@e.org").sender == sender


def test_a_mark_of_the_byte_order_is_left_out() -> None:
    made = letter(b"\xef\xbb\xbfTo: a@e.org\nSubject: x\n\nbody\n", "-t")
    assert made.recipients == ["a@e.org"]
    assert made.content.startswith(b"To: a@e.org\r\n")


@pytest.mark.parametrize(
    ("mailname", "node", "told"),
    [
        ("example.org\n", "vm", "example.org"),
        (" example.org \r\n", "vm", "example.org"),
        ("example.org # note\n", "vm", "example.org"),
        ("# note\nexample.org\n", "vm", "example.org"),
        ("example.org.\nsecond.example\n", "vm", "example.org"),
        ("bücher.example\n", "vm", "xn--bcher-kva.example"),
        ("my_app_1\n", "vm", "my_app_1"),
        ("@example.org\n", "vm", "vm"),
        ("\ufffd\0\n", "vm", "vm"),
        ("", "my_app_1", "my_app_1"),
        ("", "host.local.", "host.local"),
        ("", "x" * 64, "localhost"),
        ("", "a b", "localhost"),
        ("", "", "localhost"),
    ],
)
def test_the_name_of_the_machine_is_one_that_an_address_may_have(mailname: str, node: str, told: str) -> None:
    assert host(mailname, node) == told
    Address.parse(f"root@{told}")


@given(st.text(), st.text(), st.text())
def test_no_surroundings_stop_a_mail(user: str, mailname: str, gecos: str) -> None:
    caller = Caller(local_part(user), host(mailname, ""), gecos)
    Address.parse(caller.address)
    message = email.message_from_bytes(letter(b"Subject: x\n\nx\n", "a@e.org", caller=caller).content)
    assert [name for name, _ in message.items()] == ["Subject", "From", "Date", "Message-ID"]
    (box,) = parse_mailboxes(message["From"])
    assert box.address == caller.address


NAMES = st.sampled_from(["", "Ann", '"Ann, B."', "Ann (x) B", '"q\\"uote"'])
LOCALS = st.sampled_from(["a", "a.b", "a+b", '"a b"', '"a@b"', "o'hara"])


@given(st.lists(st.tuples(NAMES, LOCALS), min_size=1, max_size=5))
def test_lists_read_as_the_standard_library_reads_them(boxes: list[tuple[str, str]]) -> None:
    text = ", ".join(f"{name} <{local}@e.org>" if name else f"{local}@e.org" for name, local in boxes)
    assert addresses(text) == [f"{local}@e.org" for _, local in boxes]
    assert len(getaddresses([text])) == len(boxes)


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    try:
        found = addresses(text)
    except EarlyExit:
        return
    assert all(each and "\n" not in each and "<" not in each for each in found)


def test_an_order_is_plain_at_first() -> None:
    assert (Invocation().mode, Invocation().sender) == ("m", None)
