from __future__ import annotations

import pytest

from postbearer.config import parse_duration, parse_size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (0, 0),
        (1.5, 1.5),
        ("90", 90),
        ("0", 0),
        ("90 s", 90),
        ("10s", 10),
        ("1 s", 1),
        ("500 ms", 0.5),
        ("55m", 3300),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1 hour 30 minutes", 5400),
        ("2 days", 172_800),
        ("1w", 604_800),
        ("0.5 h", 1800),
    ],
)
def test_durations_as_people_write_them(written: object, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "soon", "s", "-5", "-5 s", "1 fortnight", "5 5", "5 m 3", "30m 1h", "1h 1h", "1e3", "٣ s"),
        *(-1, True, None, float("inf"), float("nan"), [], "1 mib"),
    ],
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (26_214_400, 26_214_400),
        ("100", 100),
        ("25 MB", 25_000_000),
        ("25MB", 25_000_000),
        ("10 MiB", 10_485_760),
        ("1.5 KiB", 1536),
        ("2 gb", 2_000_000_000),
    ],
)
def test_sizes_as_people_write_them(written: object, octets: int) -> None:
    assert parse_size(written) == octets


@pytest.mark.parametrize("written", ["", "big", "-1", -1, "25 M", "1 MB 2 KB", True, 1.5, None])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError):
        parse_size(written)
