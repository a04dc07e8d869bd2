"""Header fields are changed as whole lines; every other byte stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import UsageError
from postbearer.message import Header

ODD = (
    b"Received: from a\r\n\tby b; Mon\r\n"
    b"From: Alice <alice@example.org>\r\n"
    b"X-Odd:  spaces\r\n"
    b"Subject: =?utf-8?q?f=C3=BC?=\r\n =?utf-8?q?r?=\r\n"
    b"X-8bit: \xff\xfe\r\n"
)


def test_an_unchanged_header_keeps_every_byte() -> None:
    assert bytes(Header.parse(ODD)) == ODD


def test_replacing_a_field_leaves_its_neighbours_alone() -> None:
    changed = bytes(Header.parse(ODD).set("From", "Alice <alerts@example.org>"))
    assert changed == ODD.replace(b"alice@example.org", b"alerts@example.org")


def test_two_fields_of_a_name_become_one() -> None:
    header = Header.parse(b"From: a@example.org\r\nSubject: x\r\nFrom: b@example.org\r\n")
    assert bytes(header.set("From", "c@example.org")) == b"From: c@example.org\r\nSubject: x\r\n"


def test_values_are_unfolded_for_reading() -> None:
    assert Header.parse(ODD).get("subject") == "=?utf-8?q?f=C3=BC?= =?utf-8?q?r?="


@given(
    st.text(
        alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=400
    )
)
def test_a_new_field_is_folded_and_reads_back_the_same(value: str) -> None:
    try:
        header = Header(()).add("X-Long", value)
    except UsageError:  # a word too long to fold, or a C1 control
        return
    assert header.get("x-long") == value.strip(" ")
    assert all(len(line) <= 998 for line in bytes(header).split(b"\r\n"))
    assert bytes(header).count(b"\r\n") == 1 + bytes(header).count(b"\r\n ")


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85, 0x2028, 0x2029])
def test_l4_control_characters_in_a_value_are_refused(code: int) -> None:
    with pytest.raises(UsageError, match=f"U\\+{code:04X}"):
        Header(()).add("Subject", f"a{chr(code)}b")


@pytest.mark.parametrize("name", ["", "X:Y", "X Y", "X\r\nBcc", "Ünder"])
def test_l1_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Header(()).add(name, "value")
