"""Paths, xtext, base64 and parameters: what is taken and what is refused."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.envelope import Body, Ret
from postbearer.wire import BadSyntax, Extensions, MailParameters, RcptParameters, auth_fits, grammar
from postbearer.wire.parameters import UnknownParameter, parse_mail, parse_rcpt, render_mail, render_rcpt
from wire.helpers import EHLO_LINES

EVERYTHING = Extensions.parse([line.encode() for line in EHLO_LINES])
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


@pytest.mark.parametrize(
    ("argument", "path", "parameters"),
    [
        ("FROM:<a@example.org>", "a@example.org", ""),
        ("from:<a@example.org> SIZE=3 BODY=7BIT", "a@example.org", "SIZE=3 BODY=7BIT"),
        ("FROM: <a@example.org>", "a@example.org", ""),
        ("FROM:<>", "", ""),
        ('FROM:<"a>b c"@example.org> SIZE=3', '"a>b c"@example.org', "SIZE=3"),
        (r'FROM:<"a\"b"@example.org>', r'"a\"b"@example.org', ""),
        ("FROM:<a@[127.0.0.1]>", "a@[127.0.0.1]", ""),
        ("FROM:<jürgen@bücher.example>", "jürgen@bücher.example", ""),
        ("FROM:<a=b/c@example.org>", "a=b/c@example.org", ""),
    ],
)
def test_reads_reverse_paths(argument: str, path: str, parameters: str) -> None:
    assert grammar.mail_argument(argument) == (path, parameters)


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "FROM",
        "FROM:",
        "FROM:a@example.org",
        "FROM:<a@example.org",
        "FROM:<a@example.org>>",
        "FROM:<<a@example.org>>",
        "FROM:<a@example.org>SIZE=1",
        "FROM:<a@b@example.org>",
        "FROM:<@relay.example.org:a@example.org>",
        "FROM:<a b@example.org>",
        'FROM:<"a@example.org>',
        'FROM:<"a"b@example.org>',
        "FROM:<a>",
        "FROM:<@example.org>",
        "TO:<a@example.org>",
    ],
)
def test_s6_refuses_what_is_no_reverse_path(argument: str) -> None:
    with pytest.raises(BadSyntax):
        grammar.mail_argument(argument)


def test_reads_forward_paths_and_the_postmaster_without_a_domain() -> None:
    assert grammar.rcpt_argument("TO:<b@example.org> NOTIFY=NEVER") == ("b@example.org", "NOTIFY=NEVER")
    assert grammar.rcpt_argument("TO:<Postmaster>") == ("Postmaster", "")
    with pytest.raises(BadSyntax):
        grammar.rcpt_argument("TO:<>")


@given(PRINTABLE)
def test_xtext_there_and_back(text: str) -> None:
    encoded = grammar.xtext_encode(text)
    assert grammar.xtext_decode(encoded) == text
    assert not set(encoded) & set(" =")


@pytest.mark.parametrize("value", ["a=b", "a b", "+4", "+4g", "+zz", "+0a", "+0A", "+00", "ü", "a\n", "+7F"])
def test_s7_refuses_what_is_no_xtext_or_hides_a_control(value: str) -> None:
    with pytest.raises(BadSyntax):
        grammar.xtext_decode(value)


@pytest.mark.parametrize("text", ["a\nb", "\0", "ü", "\x7f", "\x85"])
def test_writes_only_printable_ascii_as_xtext(text: str) -> None:
    with pytest.raises(BadSyntax):
        grammar.xtext_encode(text)


@pytest.mark.parametrize(
    ("orcpt", "wire"),
    [
        ("rfc822;b@example.org", "rfc822;b@example.org"),
        ("rfc822;b+c=d@example.org", "rfc822;b+2Bc+3Dd@example.org"),
        ("utf-8;jürgen@bücher.example", r"utf-8;j\x{FC}rgen@b\x{FC}cher.example"),
        ("utf-8;b+c@example.org", r"utf-8;b\x{2B}c@example.org"),
    ],
)
def test_original_recipients_stay_in_seven_bits(orcpt: str, wire: str) -> None:
    assert grammar.original_recipient_encode(orcpt) == wire
    assert grammar.original_recipient_decode(wire) == orcpt


def test_takes_the_raw_form_of_an_internationalized_original_recipient() -> None:
    assert grammar.original_recipient_decode("utf-8;jürgen@bücher.example") == "utf-8;jürgen@bücher.example"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "rfc822",
        ";a@b",
        "rfc822;",
        "rf c;a",
        r"utf-8;\x{0A}",
        r"utf-8;\x{D800}",
        r"utf-8;\x{110000}",
        "utf-8;a b",
    ],
)
def test_refuses_what_is_no_original_recipient(value: str) -> None:
    with pytest.raises(BadSyntax):
        grammar.original_recipient_decode(value)


@pytest.mark.parametrize(
    "text", ["dGVzdA", "dGVz dA==", "dGVz\ndA==", "=", "====", "dGVzdA==x", "ü", "dGVzdA==="]
)
def test_s5_refuses_loose_base64(text: str) -> None:
    with pytest.raises(BadSyntax):
        grammar.base64_decode(text)


@given(st.binary(max_size=40))
def test_base64_there_and_back_and_an_empty_initial_response_is_not_none(data: bytes) -> None:
    assert grammar.base64_decode(grammar.base64_encode(data)) == data
    assert grammar.initial_response_decode(grammar.initial_response_encode(data)) == data
    assert grammar.initial_response_encode(data)


def test_auth_fits_exactly_when_the_whole_line_has_512_octets() -> None:
    assert auth_fits("XOAUTH2", b"x" * 372)
    assert not auth_fits("XOAUTH2", b"x" * 373)
    assert auth_fits("OAUTHBEARER", b"x" * 369)
    assert not auth_fits("OAUTHBEARER", b"x" * 370)
    assert auth_fits("EXTERNAL", b"")


ORCPT = st.tuples(st.sampled_from(["rfc822", "utf-8"]), PRINTABLE.filter(lambda t: t and "\\" not in t))
MAIL = st.builds(
    MailParameters,
    size=st.none() | st.integers(0, 10**20 - 1),
    body=st.none() | st.sampled_from(get_args(Body)),
    smtputf8=st.booleans(),
    ret=st.none() | st.sampled_from(get_args(Ret)),
    envid=PRINTABLE,
    require_tls=st.booleans(),
    priority=st.none() | st.integers(-9, 9),
    auth=st.none() | st.just("<>") | PRINTABLE.filter(lambda t: bool(t) and t != "<>"),
)
RCPT = st.builds(
    RcptParameters,
    notify=st.sampled_from([(), ("NEVER",), ("SUCCESS", "FAILURE"), ("DELAY",)]),
    orcpt=st.just("") | ORCPT.map(";".join),
)


@given(MAIL, RCPT)
def test_parameters_there_and_back(mail: MailParameters, rcpt: RcptParameters) -> None:
    assert parse_mail(render_mail(mail, EVERYTHING), EVERYTHING) == mail
    assert parse_rcpt(render_rcpt(rcpt, EVERYTHING), EVERYTHING) == rcpt


@pytest.mark.parametrize(
    "text",
    [
        "SIZE=",
        "SIZE",
        "SIZE=-1",
        "SIZE=1e3",
        "SIZE=+1",
        "SIZE=1_0",
        "SIZE=\uff11",
        "SIZE=1 SIZE=1",
        "SIZE=999999999999999999999",
        "BODY=9BIT",
        "SMTPUTF8=1",
        "REQUIRETLS=yes",
        "RET=ALL",
        "ENVID=a+0Ab",
        "ENVID=" + "a" * 101,
        "MT-PRIORITY=10",
        "MT-PRIORITY=-0",
        "MT-PRIORITY=+1",
        "=1",
        "FOO=1",
        "SIZE=1=2",
    ],
)
def test_s10_refuses_bad_parameters_of_mail(text: str) -> None:
    with pytest.raises(BadSyntax):
        parse_mail(text, EVERYTHING)


@pytest.mark.parametrize(
    "text",
    ["NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=DELAY,DELAY", "NOTIFY=SOON", "ORCPT=b@example.org", "SIZE=1"],
)
def test_refuses_bad_parameters_of_rcpt(text: str) -> None:
    with pytest.raises(BadSyntax):
        parse_rcpt(text, EVERYTHING)


def test_a_parameter_counts_only_with_its_extension() -> None:
    with pytest.raises(UnknownParameter, match="SIZE"):
        parse_mail("SIZE=1", Extensions())
    with pytest.raises(UnknownParameter, match="DSN"):
        render_rcpt(RcptParameters(notify=("NEVER",)), Extensions())
    with pytest.raises(UnknownParameter, match="BINARYMIME"):
        parse_mail("BODY=BINARYMIME", Extensions({"8BITMIME": ()}))


def test_keywords_and_values_are_read_without_case() -> None:
    assert parse_mail("size=3 body=8bitmime", EVERYTHING) == MailParameters(size=3, body="8BITMIME")


@pytest.mark.parametrize(("value", "text"), [("a+3db", "a=b"), ("a+3Db", "a=b"), ("a+2Bb", "a+b")])
def test_xtext_of_devices_in_lower_case(value: str, text: str) -> None:
    assert grammar.xtext_decode(value) == text
    assert grammar.original_recipient_decode(f"rfc822;{value}") == f"rfc822;{text}"
    assert grammar.original_recipient_decode("utf-8;a\\x{fc}b") == "utf-8;a\u00fcb"
