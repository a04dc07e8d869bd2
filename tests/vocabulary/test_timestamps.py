"""Points in time as text (RFC 3339): what they mean, and what is none."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.config import parse_moment
from postbearer.timestamps import format_timestamp, parse_timestamp

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1985-04-12T23:20:50.52Z", 482_196_050.52),  # the examples of RFC 3339 5.8
        ("1996-12-19T16:39:57-08:00", 851_042_397),
        ("1990-12-31T23:59:60Z", 662_688_000),
        ("1990-12-31T15:59:60-08:00", 662_688_000),
        ("1937-01-01T12:00:27.87+00:20", -1_041_337_172.13),
        ("2024-02-29t12:00:00z", 1_709_208_000),
        ("2024-02-29 12:00:00Z", 1_709_208_000),
        ("2026-10-25T02:30:00+02:00", 1_792_888_200),  # the hour that comes twice: the offset tells which
        ("2026-10-25T02:30:00+01:00", 1_792_891_800),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140),
    ],
)
def test_what_a_time_means(text: str, seconds: float) -> None:
    assert parse_timestamp(text) == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-12-01T08:00:00", "no time zone"),
        ("2025-02-29T12:00:00Z", "no time there is"),
        ("0000-01-01T00:00:00Z", "no time there is"),
        ("2026-12-01T24:00:00Z", "no time there is"),
        ("2026-12-01T08:00:00+24:00", "offset"),
        ("2026-12-01T08:00:00+01:60", "offset"),
        ("2026-12-01T08:00:00 Europe/Berlin", "RFC 3339"),
        ("2026-12-01T08:00:00+0100", "RFC 3339"),
        ("2026-12-01T08:00Z", "RFC 3339"),
        ("2026-12-01", "RFC 3339"),
        ("20261201T080000Z", "RFC 3339"),
        ("2026-W49-2T08:00:00Z", "RFC 3339"),
        ("٢٠٢٦-12-01T08:00:00Z", "RFC 3339"),
        ("2026-12-01T08:00:00Z\n", "RFC 3339"),
        ("", "RFC 3339"),
    ],
)
def test_what_is_no_time_is_told_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_timestamp(text)


@given(st.integers(-62_000_000_000, 253_000_000_000), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_it_agrees_with_the_standard_library(seconds: int, minutes: int) -> None:
    there = datetime(1970, 1, 1, tzinfo=timezone(timedelta(minutes=minutes))) + timedelta(seconds=seconds)
    assert parse_timestamp(there.isoformat()) == seconds - 60 * minutes


@given(st.integers(-62_000_000_000, 253_000_000_000))
def test_what_is_written_is_read_again(seconds: int) -> None:
    assert parse_timestamp(format_timestamp(seconds)) == seconds


@given(st.text())
def test_any_text_is_a_time_or_told_why_not(text: str) -> None:
    with suppress(ValueError):
        assert parse_timestamp(text) < 1e12


@pytest.mark.parametrize(
    ("text", "moment"),
    [("90 s", NOW + 90), ("1h 30m", NOW + 5400), ("0", NOW), ("2026-12-01T08:00:00+01:00", 1_796_108_400)],
)
def test_a_moment_is_a_time_or_a_while_from_now(text: str, moment: float) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "tomorrow", "-5m", "1d 30", "1e400", "08:00", "2026-12-01T08:00:00"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|mixes) "):
        parse_moment(text, NOW)
