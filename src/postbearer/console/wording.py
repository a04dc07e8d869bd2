"""Numbers, times and states as the pages show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from markupsafe import Markup

from postbearer.clock import age
from postbearer.store import Status

OPEN = tuple(each for each in Status if not each.final)
EXACT = 10_000  # numbers above it are rounded
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


class StateWord(NamedTuple):
    """How a state is shown: `look` is a shape and a colour; `meaning` says it for who does not know it."""

    word: str
    look: str  # good, wait, busy, hold, bad, off
    meaning: str


STATES: Mapping[str, StateWord] = {
    "scheduled": StateWord("scheduled", "wait", "It leaves at the time that was named for it."),
    "ready": StateWord("waiting", "wait", "It leaves as soon as its account may send."),
    "leased": StateWord("under way", "busy", "It is being handed to the provider now."),
    "deferred": StateWord("will retry", "wait", "The last try did not work; it is tried again by itself."),
    "held": StateWord("held", "hold", "It stays here until somebody releases or cancels it."),
    "delivered": StateWord("sent", "good", "The provider has accepted it, and is to deliver it."),
    "failed": StateWord("failed", "bad", "It was refused for good; the sender was told."),
    "expired": StateWord("expired", "bad", "It could not be sent in time; the sender was told."),
    "cancelled": StateWord("cancelled", "off", "Somebody gave it up; nobody was told."),
}
ACCOUNTS: Mapping[str, StateWord] = {
    "ready": StateWord("sends", "good", "Mail leaves from it."),
    "paused": StateWord("paused", "bad", "It sends nothing; its mail waits here and is safe."),
    "limited": StateWord(
        "waits for a limit", "wait", "The provider takes no more for now; it goes on by itself."
    ),
    "not-signed-in": StateWord("not signed in", "bad", "Nobody has signed in, so it cannot send."),
    "expiring": StateWord("needs you soon", "wait", "It sends; something of it runs out within days."),
    "troubled": StateWord("in trouble", "wait", "The last tries did not work; it is tried again by itself."),
}


NODES: Mapping[str, StateWord] = {
    "working": StateWord("works", "good", "It gives signs of life, or has nothing to do."),
    "silent": StateWord(
        "silent", "bad", "It gives no sign of life. The others went on with what it was sending."
    ),
}
WEBHOOKS: Mapping[str, StateWord] = {
    "working": StateWord("works", "good", "What it is told arrives."),
    "failing": StateWord(
        "fails", "wait", "The last calls did not arrive; they are tried again by themselves."
    ),
    "disabled": StateWord("disabled", "bad", "It is not called any more, until somebody enables it."),
}
LOG: Mapping[str, StateWord] = {
    "info": StateWord("info", "off", "It goes as it should."),
    "warning": StateWord("warning", "wait", "Somebody should look at it."),
    "error": StateWord("error", "bad", "It is a defect."),
}
ALERTS: Mapping[str, StateWord] = {
    "paused": StateWord("paused", "bad", "The account sends nothing; its mail waits here and is safe."),
    "runs-out": StateWord("runs out", "wait", "Something that the account needs ends on that day."),
    "backlog": StateWord("backlog", "wait", "Mail waits longer than it should."),
}
TOKENS: Mapping[str, StateWord] = {
    "expired": StateWord("expired", "off", "It is good for nothing any more."),
}
JOBS: Mapping[str, StateWord] = {
    "running": StateWord("running", "busy", "It goes on by itself, also over a restart."),
    "done": StateWord("done", "good", "It has come to its end."),
    "cancelled": StateWord("stopped", "off", "Somebody stopped it; what it had done stays."),
    "failed": StateWord("failed", "bad", "It could not go on; what it had done stays."),
}


def number(count: int) -> str:
    """Exact as long as that says anything."""
    if count <= EXACT:
        return f"{count:,}".replace(",", "\u202f")
    rounded = float(f"{count:.3g}")  # before the unit is chosen: there is no 1000 k
    size, unit = (1_000_000, "M") if rounded >= 1_000_000 else (1_000, "k")
    return f"≈\u202f{_short(rounded / size)}\u202f{unit}"


def _short(value: float) -> str:
    """In three digits, but never by a power of ten."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def many(count: int, thing: str, things: str = "") -> str:
    """``3 messages``."""
    return f"{number(count)}\u00a0{thing if count == 1 else things or f'{thing}s'}"


def octets(size: float) -> str:
    """A size in its unit."""
    for factor, unit in _SIZES:
        if size >= factor:
            return f"{_short(size / factor)}\u202f{unit}"
    return f"{size:.0f}\u202foctets"


def span(seconds: float) -> str:
    """How long, in its largest units."""
    return age(max(0.0, seconds), 2 if seconds < 86_400 * 2 else 1).replace(" ", "\u202f")


def moment(at: float | None) -> Markup:
    """A point in time: the browser tells it in the reader's zone, and without scripts it is UTC."""
    if at is None:
        return Markup("")
    when, short = _utc(at), "%Y-%m-%d %H:%M UTC"
    return Markup('<time datetime="{}" title="{}" data-show="moment">{}</time>').format(
        when.isoformat(), f"{when:%Y-%m-%d %H:%M:%S} UTC", f"{when:{short}}"
    )


def ago(at: float | None, now: float) -> Markup:
    """How long ago, or in how long, by the relay's clock: a browser's may be wrong."""
    if at is None:
        return Markup("")
    when = _utc(at)
    text = f"{span(now - at)} ago" if at <= now else f"in {span(at - now)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        when.isoformat(), f"{when:%Y-%m-%d %H:%M:%S} UTC", text
    )


def chip(word: StateWord) -> Markup:
    """A state by word and shape; what it means shows on hover, and is read aloud."""
    return Markup('<span class="chip {}" title="{}">{}</span>').format(word.look, word.meaning, word.word)


def _utc(at: float) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):  # a damaged row
        return datetime.fromtimestamp(0, UTC)
