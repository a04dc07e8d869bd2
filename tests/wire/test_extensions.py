"""What an EHLO reply offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.wire import Extensions
from postbearer.wire.extensions import MOST

OUTLOOK = [
    b"SIZE 157286400",
    b"PIPELINING",
    b"DSN",
    b"ENHANCEDSTATUSCODES",
    b"AUTH LOGIN XOAUTH2",
    b"8BITMIME",
    b"BINARYMIME",
    b"CHUNKING",
    b"SMTPUTF8",
]


def test_reads_a_usual_list() -> None:
    offered = Extensions.parse(OUTLOOK)
    assert offered.size == 157286400
    assert offered.mechanisms == ("LOGIN", "XOAUTH2")
    assert offered.pipelining
    assert offered.chunking
    assert offered.binarymime
    assert offered.eightbitmime
    assert offered.smtputf8
    assert offered.dsn
    assert offered.enhanced
    assert not offered.starttls
    assert not offered.requiretls
    assert not offered.mt_priority
    assert "pipelining" in offered
    assert "STARTTLS" not in offered


@pytest.mark.parametrize(
    ("lines", "mechanisms"),
    [
        ([b"AUTH PLAIN XOAUTH2"], ("PLAIN", "XOAUTH2")),
        ([b"AUTH=PLAIN XOAUTH2"], ("PLAIN", "XOAUTH2")),
        ([b"AUTH=LOGIN", b"AUTH PLAIN LOGIN OAUTHBEARER"], ("LOGIN", "PLAIN", "OAUTHBEARER")),
        ([b"auth plain xoauth2"], ("PLAIN", "XOAUTH2")),
        ([b"AUTH= XOAUTH2"], ("XOAUTH2",)),
        ([b"AUTH"], ()),
        ([], ()),
    ],
)
def test_reads_mechanisms_also_from_the_old_form(lines: list[bytes], mechanisms: tuple[str, ...]) -> None:
    assert Extensions.parse(lines).mechanisms == mechanisms


@pytest.mark.parametrize(
    ("line", "size"),
    [(b"SIZE 1000", 1000), (b"SIZE 0", None), (b"SIZE", None), (b"SIZE big", None), (b"SIZE -1", None)],
)
def test_reads_the_size(line: bytes, size: int | None) -> None:
    assert Extensions.parse([line]).size == size


def test_reads_limits_and_leaves_out_what_is_none() -> None:
    offered = Extensions.parse([b"LIMITS MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=0 OTHER=1 x=y MAILMAX"])
    assert offered.limits == {"MAILMAX": 20, "RCPTMAX": 100, "OTHER": 1}


@pytest.mark.parametrize(
    "line", [b"", b" ", b"\xff\xfe", b"=LOGIN", b"-X", b"250", b"STARTTLS\x00", b"START_TLS"]
)
def test_c5_odd_lines_offer_nothing_known(line: bytes) -> None:
    assert not set(Extensions.parse([line]).keywords) & {"STARTTLS", "AUTH", "PIPELINING"}


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_s21_reads_any_bytes(lines: list[bytes]) -> None:
    offered = Extensions.parse(lines)
    assert Extensions.parse([line.encode() for line in offered.render()]) == offered
    _ = offered.size, offered.limits, offered.mechanisms


def test_cannot_be_changed() -> None:
    offered = Extensions({"size": ("1",)})
    assert offered.keywords == {"SIZE": ("1",)}
    with pytest.raises(TypeError):
        offered.keywords["AUTH"] = ()  # type: ignore[index]  # the very thing that must not work


def test_what_is_offered_without_end_is_bounded_and_costs_no_more_than_its_length() -> None:
    lines = [b"AUTH " + b" ".join(b"M%d" % (60 * n + m) for m in range(60)) for n in range(4000)]
    lines += [b"X%d" % n for n in range(4000)]
    offered = Extensions.parse([b"AUTH XOAUTH2", b"PIPELINING", *lines, b"SIZE 1000"])
    assert offered.mechanisms[0] == "XOAUTH2"
    assert len(offered.mechanisms) == MOST
    assert offered.pipelining
    assert len(offered.render()) == MOST
    assert len(" ".join(offered.render())) < 10_000
