"""Accounts: whether each sends and why not, what it may still send, what runs out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.health import Trouble, judge, waiting
from postbearer.console.overview import limits
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import AccountStatus, Right, known
from postbearer.errors import ConfigError
from postbearer.settings import Limits

ACTS = {"pause": "accounts.pause", "resume": "accounts.resume"}


class Meter(NamedTuple):
    """So much of `most` is used."""

    title: str
    used: int
    most: int
    window: str


class AccountRow(NamedTuple):
    """An account in the list."""

    status: AccountStatus
    word: str  # of `wording.ACCOUNTS`
    waiting: int
    trouble: Trouble | None


async def listed(visit: Visit) -> Response:
    look = await visit.look()
    troubles: dict[str, Trouble] = {}
    for trouble in judge(look).troubles:
        troubles.setdefault(trouble.account, trouble)
    rows = [_row(each, troubles.get(each.name)) for each in look.accounts]
    rows.sort(key=lambda row: (row.trouble is None, -row.waiting, row.status.name))
    return visit.page("accounts.html", look=look, rows=rows)


async def show(visit: Visit) -> Response:
    look = await visit.look()
    status = look.account(visit.request.path_params["name"])
    if status is None:
        raise _none(visit.request.path_params["name"])
    of_account = limits(visit).get(status.name, Limits())
    troubles = [each for each in judge(look).troubles if each.account == status.name]
    return visit.page(
        "account.html",
        look=look,
        row=_row(status, next(iter(troubles), None)),
        troubles=troubles,
        limits=of_account,
        meters=list(_meters(status, of_account)),
        gone=known(status.backlog_gone_at),
        token=known(status.token_expires),
    )


async def act(visit: Visit) -> Response:
    """Pause or resume it."""
    name, what = visit.request.path_params["name"], visit.field("act")
    if what not in ACTS:
        raise HttpProblem("invalid", "That cannot be done to an account.", hint="Go back, and choose.")
    try:
        await visit.perform(ACTS[what], name=name[:1000])
    except ConfigError:
        raise _none(name) from None
    text = "is paused: its mail waits here, safe" if what == "pause" else "sends again"
    visit.of.say(f"The account {name} {text}.")
    return visit.go("/accounts/" + visit.request.path_params["name"])


def _row(status: AccountStatus, trouble: Trouble | None) -> AccountRow:
    word = trouble.state if trouble is not None else status.state
    return AccountRow(status, word, waiting(status), trouble)


def _meters(status: AccountStatus, of_account: Limits) -> Iterator[Meter]:
    used = known(status.budget_used)
    if used is None:
        return
    for title, most, sent, window in (
        (
            "Messages a minute",
            of_account.messages_per_minute,
            used.messages_this_minute,
            "in the last minute",
        ),
        ("Messages a day", of_account.messages_per_day, used.messages_today, "in the last 24 hours"),
        ("Recipients a day", of_account.recipients_per_day, used.recipients_today, "in the last 24 hours"),
    ):
        if most and sent is not None:
            yield Meter(title, sent, most, window)


def _none(name: str) -> HttpProblem:
    return HttpProblem(
        "not-found", f"There is no account {name!r:.80}.", hint="The list shows all there are."
    )


PAGES = (
    ConsolePage(path="/accounts", needs=Right.LOOK, do=listed),
    ConsolePage(path="/accounts/{name}", needs=Right.LOOK, do=show),
    ConsolePage(path="/accounts/{name}/act", needs=Right.OPERATE, do=act, method="POST"),
)
