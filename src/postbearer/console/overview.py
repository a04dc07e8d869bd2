"""The first page: whether mail flows, what is in the way, and what to do next."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from starlette.responses import Response

from postbearer.clock import age
from postbearer.console.health import OverallHealth, backlog, judge
from postbearer.console.sender_domains import MOST
from postbearer.console.services import ConsoleSettings
from postbearer.console.snapshot import Snapshot
from postbearer.console.traffic import SPANS, chart
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right
from postbearer.diagnosis import KINDS
from postbearer.settings import Limits
from postbearer.state import LastBackup, last_backup

BACKUP_GOOD = 7 * 86_400.0  # seconds
_MOST = 20  # troubles that are told one by one
_MOST_CAUSES = 5  # of failures
_DOMAIN: Mapping[str, str] = {
    "SPF": "The sender's domain names the provider's servers (SPF)",
    "DKIM": "The sender's domain has a key for what the provider signs (DKIM)",
    "DMARC": "The sender's domain says what to do with forged mail (DMARC)",
}


class NextStep(NamedTuple):
    """Something to set up, and how. `done` is None where it is not known."""

    done: bool | None
    what: str
    how: str = ""
    example: str = ""  # lines of the configuration


async def show(visit: Visit) -> Response:
    look = await visit.look()
    health = judge(look)
    gone = backlog(look)
    settings = visit.services.settings
    backup = await asyncio.to_thread(last_backup, settings.state) if settings.state else None
    steps = [*_steps(look, health, settings), *_domains(visit)]
    if settings.state:
        steps.append(_backup(backup, visit.now))
    return visit.page(
        "overview.html",
        look=look,
        health=health,
        troubles=health.troubles[:_MOST],
        more=max(0, len(health.troubles) - _MOST),
        gone=None if gone is None or math.isinf(gone) else gone,
        in_trouble=gone is not None and math.isinf(gone),
        failures=look.failures[:_MOST_CAUSES],
        nodes=look.nodes if len(look.nodes) > 1 else (),
        steps=steps if any(step.done is False for step in steps) else [],
        chart=await chart(visit),
        spans=SPANS,
    )


def limits(visit: Visit) -> Mapping[str, Limits]:
    """What each account may send."""
    states = visit.services.api.dispatcher.account_states
    return {name: state.account.limits for name, state in states.items()}


def _steps(look: Snapshot, health: OverallHealth, settings: ConsoleSettings) -> Iterator[NextStep]:
    """What a relay needs that people rely on."""
    yield NextStep(
        settings.on_disk,
        "The queue is on a real disk",
        "It may be lost at the next start: put it on a disk or a volume, and take allow-ephemeral out.",
        '[relay]\nspool = "sqlite:/var/lib/postbearer/spool.db"',
    )
    stopped = sorted({each.account for each in health.troubles if each.stops})
    yield NextStep(not stopped, "Every account can send", f"See above: {', '.join(stopped[:5])}.")
    yield NextStep(
        health.delivered > 0 or look.stats.counts.get("delivered", 0) > 0,
        "A provider has taken a message",
        "Send one to yourself:",
        "postbearer send --queue --to you@example.org --subject Test --text Hello",
    )
    yield NextStep(
        bool(settings.alerts),
        "Somebody is told when a person must act",
        "Name who gets a message, or an address that is called:",
        '[notify]\nmail-to = ["you@example.org"]',
    )
    yield NextStep(
        bool(settings.bounces_to),
        "Delivery reports reach a person",
        "Many programs send as an address that nobody reads. Name who gets the reports of those:",
        '[relay]\nbounces-to = "postmaster@example.org"',
    )


def _domains(visit: Visit) -> Iterator[NextStep]:
    """What DNS has to say of the domains that mail leaves from; looked up meanwhile, and for no page."""
    states, domains = visit.services.api.dispatcher.account_states, visit.services.state.domains
    domains.keep(states)
    accounts = [states[name].account for name in sorted(states)[:MOST]]
    found = {account.name: domains.known(account) for account in accounts}
    for kind in KINDS:
        told = [each for some in found.values() for each in some or () if each.details.get("record") == kind]
        broken = [each for each in told if each.ok is False]
        unknown = [each for each in told if each.ok is None]
        if broken:
            more = len({each.details["domain"] for each in broken}) - 1
            others = f" It is so with {more} more, too: see the accounts." if more else ""
            yield NextStep(False, _DOMAIN[kind], f"{broken[0].text}. {broken[0].fix}{others}")
        elif None in found.values():
            yield NextStep(None, _DOMAIN[kind], "Not known yet: it is being looked up.")
        elif unknown:
            yield NextStep(None, _DOMAIN[kind], ". ".join((unknown[0].text, *unknown[0].notes)))
        elif told:
            yield NextStep(True, _DOMAIN[kind])


def _backup(backup: LastBackup | None, now: float) -> NextStep:
    recent = backup is not None and now - backup.made < BACKUP_GOOD
    how = (
        "None is known of."
        if backup is None
        else f"The last one was made {age(max(0.0, now - backup.made))} ago."
    )
    return NextStep(
        recent,
        "A backup exists, and is not older than a week",
        f"{how} Have one made each night, and keep it elsewhere:",
        "postbearer backup /var/backups/postbearer-$(date +%F).tar",
    )


async def lead(visit: Visit) -> Response:
    """Somebody left the slash away."""
    return visit.go("/")


PAGES = (
    ConsolePage(path="/", needs=Right.LOOK, do=show),
    ConsolePage(path="", needs=None, do=lead),
)
