"""Accounts: whether each sends and why not, what it may still send, what runs out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.health import Trouble, judge, waiting
from postbearer.console.overview import limits
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import AccountStatus, JobInfo, Right, known
from postbearer.diagnosis import Finding
from postbearer.errors import ConfigError, UsageError
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


async def account_named(visit: Visit) -> AccountStatus:
    """The account in the path. Raises `HttpProblem` if it is none."""
    name = visit.request.path_params["name"]
    status = (await visit.look()).account(name)
    if status is None:
        raise _none(name)
    return status


async def show(visit: Visit) -> Response:
    look, status = await visit.look(), await account_named(visit)
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
        life=known(status.token_lifetime),
        course=await visit.perform("accounts.course", name=status.name),
        signs_in=_signs_in(visit, status.name),
        domain=_domain(visit, status.name),
        others=[each.name for each in look.accounts if each.name != status.name],
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


async def move(visit: Visit) -> Response:
    """Have what waits leave by another account: counted first, and confirmed by number."""
    status, to, count = await account_named(visit), visit.field("to")[:1000], visit.field("count")
    asked: dict[str, Any] = {"action": "move", "matching": {"account": status.name}, "account": to}
    try:
        if count.isascii() and count.isdecimal():
            job = await visit.perform("jobs.start", **asked, count=int(count[:18]))
            return visit.go(f"/jobs/{job.id}")
        counted: JobInfo = await visit.perform("jobs.start", **asked, dry_run=True)
    except (ConfigError, UsageError) as error:
        visit.of.say(f"Nothing was done: {error.message} {error.hint}".strip(), "problem")
        return visit.go(f"/accounts/{status.name}")
    if not counted.matched:
        visit.of.say(f"Nothing waits for {status.name} that could leave by another account.", "problem")
        return visit.go(f"/accounts/{status.name}")
    return visit.page("confirm_move.html", status=status, to=to, job=counted)


def _signs_in(visit: Visit, name: str) -> bool:
    """Whether a person signs in for it."""
    state = visit.services.api.dispatcher.account_states.get(name)
    return state is not None and state.account.grant is not None and state.account.grant.signs_in


def _domain(visit: Visit, name: str) -> Sequence[Finding] | None:
    """What DNS says of its sender's domain; None where that is not known yet."""
    state = visit.services.api.dispatcher.account_states.get(name)
    return () if state is None else visit.services.state.domains.known(state.account)


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
    ConsolePage(path="/accounts/{name}/move", needs=Right.OPERATE, do=move, method="POST"),
    ConsolePage(path="/accounts/{name}/act", needs=Right.OPERATE, do=act, method="POST"),
)
