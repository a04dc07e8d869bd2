"""FUTURERELEASE (RFC 4865) as bytes: what EHLO says of it, and what MAIL may say, however it is cut."""

from __future__ import annotations

import pytest

from postbearer.wire import Extensions, Mail, MailParameters, Offer
from postbearer.wire.parameters import parse_mail, render_mail
from wire.serving import Session

OFFER = Offer("mx.example.org", longest_hold=2_592_000)
MONTH = 2_592_000


def ready() -> Session:
    session = Session(OFFER)
    session.say("EHLO x")
    return session


def test_ehlo_tells_the_longest_interval_and_the_latest_time() -> None:
    listed = OFFER.offered(tls=False, now=1_800_000_000.0).render()
    assert "FUTURERELEASE 2592000 2027-02-14T08:00:00Z" in listed


def test_it_is_not_offered_where_nothing_is_held() -> None:
    assert "FUTURERELEASE" not in Offer("mx.example.org").offered(tls=True).keywords


@pytest.mark.parametrize(
    ("parameter", "meant"),
    [
        (b"HOLDFOR=1", MailParameters(hold_for=1)),
        (b"holdfor=999999999", MailParameters(hold_for=999_999_999)),
        (b"HOLDUNTIL=2027-01-15T08:00:00Z", MailParameters(hold_until=1_800_000_000.0)),
        (b"HoldUntil=2027-01-15t09:00:00+01:00", MailParameters(hold_until=1_800_000_000.0)),
        (b"HOLDUNTIL=2027-01-15T08:00:00.5Z", MailParameters(hold_until=1_800_000_000.5)),
        (b"HOLDUNTIL=2028-02-29T00:00:00Z", MailParameters(hold_until=1_835_395_200.0)),
        (b"HOLDUNTIL=9999-12-31T23:59:59Z", MailParameters(hold_until=253_402_300_799.0)),
        (b"HOLDUNTIL=1970-01-01T00:00:00Z", MailParameters(hold_until=0.0)),
        (b"SIZE=5 HOLDFOR=60", MailParameters(size=5, hold_for=60)),
    ],
)
def test_what_mail_may_say_wherever_it_is_cut(parameter: bytes, meant: MailParameters) -> None:
    command = b"MAIL FROM:<a@example.org> " + parameter + b"\r\n"
    for cut in range(len(command) + 1):
        session = ready()
        session.say(b"", pieces=[piece for piece in (command[:cut], command[cut:]) if piece])
        assert session.events[1:] == [Mail("a@example.org", meant)]


@pytest.mark.parametrize(
    "parameter",
    [
        *("HOLDFOR=0", "HOLDFOR=007", "HOLDFOR=-5", "HOLDFOR=1e3", "HOLDFOR=1.5", "HOLDFOR=1000000000"),
        *("HOLDFOR", "HOLDFOR=", "HOLDFOR=1h", "HOLDFOR=1 HOLDFOR=1"),
        *("HOLDUNTIL", "HOLDUNTIL=", "HOLDUNTIL=2027-01-15", "HOLDUNTIL=2027-01-15T08:00:00"),
        *("HOLDUNTIL=2027-02-29T08:00:00Z", "HOLDUNTIL=1800000000", "HOLDUNTIL=10000-01-01T00:00:00Z"),
        *("HOLDFOR=60 HOLDUNTIL=2027-01-15T08:00:00Z", "HOLDUNTIL=2027-01-15T08:00:00Z HOLDFOR=60"),
        "HOLDUNTIL=2027-01-15T08:00:00Z HOLDUNTIL=2027-01-15T08:00:00Z",
    ],
)
def test_what_it_may_not_say_is_501(parameter: str) -> None:
    session = ready()
    (reply,) = session.say(f"MAIL FROM:<a@example.org> {parameter}")
    assert reply.startswith("501 5.5.4 ")
    assert session.survives


def test_a_time_without_a_zone_is_told_so() -> None:
    (reply,) = ready().say("MAIL FROM:<a@example.org> HOLDUNTIL=2027-01-15T08:00:00")
    assert "no time zone" in reply


def test_what_is_written_is_read_again() -> None:
    offered = Extensions({"FUTURERELEASE": ("1", "x")})
    for parameters in (MailParameters(hold_for=77), MailParameters(hold_until=1_800_000_000.0)):
        assert parse_mail(render_mail(parameters, offered), offered) == parameters
