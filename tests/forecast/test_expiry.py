"""What will run out, and on which days somebody hears of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbearer.forecast import DAY, Expiry, Facts, forecast, renewal_due

NOW = 1_800_000_000.0


def ends(facts: Facts) -> dict[str, float]:
    """Days left, by what."""
    return {each.what: (each.at - NOW) / DAY for each in forecast(facts)}


def facts(**known: float) -> Facts:
    made = Facts(account="alerts")
    return replace(made, **known)  # type: ignore[arg-type]  # all of them are times


def test_what_somebody_wrote_down_is_told_the_soonest_first() -> None:
    known = Facts(account="alerts", dated={"client-secret": NOW + 40 * DAY, "certificate": NOW + 10 * DAY})
    assert list(ends(known).items()) == [("certificate", 10.0), ("client-secret", 40.0)]


@pytest.mark.parametrize(
    ("known", "left"),
    [
        (facts(refreshed=NOW - 10 * DAY, refresh_idle=90 * DAY), 80),  # unused since
        (facts(signed_in=NOW - 5 * DAY, refreshed=NOW, refresh_lifetime=7 * DAY), 2),  # however much used
        (facts(signed_in=NOW, refreshed=NOW, refresh_idle=90 * DAY, refresh_lifetime=7 * DAY), 7),
        (facts(refreshed=NOW, refresh_expires=NOW + 3 * DAY, refresh_idle=90 * DAY), 3),  # the server said so
    ],
)
def test_a_sign_in_ends_by_idleness_or_by_age(known: Facts, left: float) -> None:
    assert ends(known) == {"sign-in": left}


@pytest.mark.parametrize(
    "known",
    [facts(), facts(refresh_idle=90 * DAY), facts(signed_in=NOW, refreshed=NOW), facts(refresh_lifetime=DAY)],
)
def test_of_what_is_not_known_nothing_is_told(known: Facts) -> None:
    assert forecast(known) == ()


@pytest.mark.parametrize(
    ("left", "level"),
    [(31, None), (30.01, None), (30, 30), (8, 30), (7, 7), (1.5, 7), (1, 1), (0.1, 1), (0, 0), (-300, 0)],
)
def test_levels(left: float, level: int | None) -> None:
    assert Expiry(account="a", what="client-secret", at=NOW + left * DAY).level(NOW) == level


@pytest.mark.parametrize(
    ("lives", "left", "level"),
    [(7, 7, None), (7, 6.9, None), (7, 1, 1), (90, 30, 30), (0.5, 0.4, None), (0.5, 0, 0)],
)
def test_what_never_lives_that_long_is_no_news_on_its_first_day(
    lives: float, left: float, level: int | None
) -> None:
    at = NOW + left * DAY
    made = Expiry(account="a", what="sign-in", at=at, began=at - lives * DAY)
    assert made.level(NOW) == level


@pytest.mark.parametrize(
    ("by_login", "remedy"),
    [(True, "postbearer login alerts"), (False, "put the new refresh token where its reference points")],
)
def test_the_remedy_is_what_a_person_types(by_login: bool, remedy: str) -> None:
    known = replace(facts(refreshed=NOW, refresh_idle=DAY), by_login=by_login)
    assert remedy in forecast(known)[0].remedy


@pytest.mark.parametrize(
    ("known", "days"),
    [
        (facts(), None),
        (facts(refreshed=NOW), 7.0),  # nothing is known of its end
        (facts(refreshed=NOW, refresh_idle=180 * DAY), 7.0),
        (facts(refreshed=NOW, refresh_idle=3 * DAY), 1.0),
        (facts(refreshed=NOW, refresh_idle=90 * DAY, refresh_expires=NOW + 6 * DAY), 2.0),
        (facts(refreshed=NOW, refresh_expires=NOW + 30), 60 / DAY),
    ],
)
def test_an_idle_sign_in_is_used_long_before_it_ends(known: Facts, days: float | None) -> None:
    due = renewal_due(known)
    assert due is None if days is None else due is not None and (due - NOW) / DAY == pytest.approx(days)
