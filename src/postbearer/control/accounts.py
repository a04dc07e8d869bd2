"""What people see of accounts, and do to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from postbearer import verdict
from postbearer.clock import Clock
from postbearer.control.acts import Act
from postbearer.control.answers import (
    AccountCourse,
    AccountStatus,
    Counts,
    CoursePoint,
    EndingInfo,
    PauseInfo,
    Woken,
    counted,
)
from postbearer.control.method import Method, Nothing, Text
from postbearer.control.principal import Principal, Right
from postbearer.errors import ConfigError, PostbearerError, UsageError
from postbearer.events import Observer
from postbearer.forecast import Expiry, Facts, forecast
from postbearer.oauth import TokenResponse
from postbearer.store import BY_HAND, Pause, Spool, Statistics, Status
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from postbearer.engine import AccountState, Dispatcher

Foresight = Callable[[], Awaitable[Mapping[str, Facts]]]


class Named(Struct, forbid_unknown_fields=True, frozen=True):
    """An account."""

    name: Text


class Accounts:
    """The accounts that are `configured`, or that something in the spool names.

    All methods raise `ConfigError` for an account that is none, and `StoreError`.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        dispatcher: Dispatcher | None,
        observer: Observer,
        *,
        configured: Sequence[str] = (),
        foresee: Foresight | None = None,
        changed: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """`foresee` tells what is known ahead of them; `changed` has a paused one tried again."""
        self._spool = spool
        self._clock = clock
        self._dispatcher = dispatcher
        self._observer = observer
        self._configured = tuple(configured)
        self._foresee = foresee
        self._changed = changed

    async def list(self, statistics: Statistics | None = None) -> tuple[AccountStatus, ...]:
        """The state of every account; `statistics` are those of this moment, if somebody has them."""
        counts = (statistics or await self._spool.statistics()).by_account
        pauses = {pause.account: pause for pause in await self._spool.pauses()}
        states = self._states
        known = {*self._configured, *states}
        gone = (name for name, each in counts.items() if not known or _open(each))  # unless mail waits for it
        names = sorted({*known, *gone, *pauses})
        found = await self._foresee() if self._foresee is not None else {}
        now = self._clock.now()
        return tuple(
            [
                AccountStatus(
                    name=name,
                    **_standing(facts, pauses.get(name), counted(counts.get(name, {}))),
                    **await _working(
                        states.get(name),
                        now,
                        _waiting(counts.get(name, {})),
                        _goes_on(facts, pauses.get(name), now),
                    ),
                    runs_out=tuple(_ending(each, now) for each in forecast(facts)),
                )
                for name in names
                for facts in (found.get(name) or Facts(account=name),)
            ]
        )

    async def show(self, name: str) -> AccountStatus:
        """The state of one account."""
        all_ = await self.list()
        found = next((each for each in all_ if each.name == name), None)
        if found is None:
            known = [each.name for each in all_]
            raise ConfigError(f"There is no account {name!r:.80}.", hint=did_you_mean(name, known))
        return found

    async def course(self, name: str) -> AccountCourse:
        """How full the narrowest of its windows was until now; without points where nothing limits it."""
        await self.show(name)
        account_state = self._states.get(name)
        found = await account_state.budget.course() if account_state is not None else None
        if found is None:
            return AccountCourse(name=name)
        points = tuple(CoursePoint(at=at, used=used) for at, used in found.points)
        return AccountCourse(
            name=name, recipients=found.recipients, most=found.most, window=found.window, points=points
        )

    async def paused(self, name: str) -> PauseInfo | None:
        """Why an account does not send, if it is paused."""
        found = [pause for pause in await self._spool.pauses() if pause.account == name]
        return PauseInfo(**paused_as(found[0])) if found else None

    async def token(self, name: str) -> TokenResponse:
        """A valid access token of an account, from the source that the account itself sends with.

        Raises what that source raises, and `UsageError` unless the relay runs and the account uses tokens.
        """
        states = self._states
        if name not in states:
            raise UsageError(
                f"No running relay sends for an account {name!r}.", hint="`postbearer accounts` lists them."
            )
        source = states[name].channel.source
        if source is None:
            raise UsageError(f"The account {name} does not use OAuth tokens.")
        try:
            token = await source.token()
        except PostbearerError as error:
            verdict.advise(error, states[name].account.rules)
            raise
        return TokenResponse.of(token, name, self._clock.monotonic())

    async def pause(self, name: str, *, by: Principal) -> AccountStatus:
        """Stop an account until it is resumed."""
        await self.show(name)
        act, now = Act(by=by, action="pause", account=name), self._clock.now()
        if self._dispatcher is not None:
            await self._dispatcher.pause(name, act.record(now))
        else:
            await self._spool.pause(Pause(account=name, since=now, reason=BY_HAND), audit=act.record(now))
        self._observer.notice(act.event())
        return await self.show(name)

    async def changed(self, name: str, *, by: Principal) -> Woken:
        """Somebody signed in for an account, or changed its secret: a paused one is tried again at once."""
        await self.show(name)
        tried = await self._changed(name) if self._changed is not None else False
        if tried:
            act = Act(by=by, action="try again", account=name)
            await self._spool.audit.add(act.record(self._clock.now()))
            self._observer.notice(act.event())
        return Woken(name=name, tried=tried)

    async def resume(self, name: str, *, by: Principal) -> AccountStatus:
        """Let an account send again."""
        await self.show(name)
        act = Act(by=by, action="resume", account=name)
        audit = act.record(self._clock.now())
        if self._dispatcher is not None:
            resumed = await self._dispatcher.resume(name, audit)
        else:
            resumed = await self._spool.resume(name, audit=audit)
        if resumed:
            self._observer.notice(act.event())
        return await self.show(name)

    @property
    def _states(self) -> Mapping[str, AccountState]:
        return self._dispatcher.account_states if self._dispatcher is not None else {}


def paused_as(pause: Pause) -> dict[str, Any]:
    """What `AccountStatus`, `PauseInfo` and `PausedAccount` tell of a pause."""
    by_hand = f"Let it send again: postbearer accounts resume {pause.account}"
    return {
        "since": pause.since,
        "reason": pause.reason,
        "remedy": by_hand if pause.reason == BY_HAND else pause.remedy,
        "tried_again": pause.probe,
    }


def _standing(known: Facts, pause: Pause | None, counts: Counts) -> dict[str, Any]:
    """Whether it sends, and if not, why."""
    if pause is not None:
        return {"state": "paused", "counts": counts, "paused_by": pause.by, **paused_as(pause)}
    if known.awaits_sign_in:
        return {
            "state": "not-signed-in",
            "counts": counts,
            "reason": "Nobody has signed in for it as it is configured now.",
            "remedy": f"Sign in: postbearer login {known.account}",
        }
    return {"state": "ready", "counts": counts}


def _ending(ending: Expiry, now: float) -> EndingInfo:
    return EndingInfo(
        what=ending.what,
        title=ending.title,
        at=ending.at,
        level=ending.level(now),
        remedy=ending.remedy,
    )


def _open(counts: Mapping[Status, int]) -> bool:
    """Whether any recipient has not come to its end."""
    return any(count for status, count in counts.items() if not status.final)


def _waiting(counts: Mapping[Status, int]) -> int:
    """How many recipients wait, or are under way."""
    return sum(counts.get(each, 0) for each in (Status.READY, Status.LEASED, Status.DEFERRED))


def _goes_on(known: Facts, pause: Pause | None, now: float) -> float | None:
    """When it may send again; None if somebody has to act first."""
    if pause is not None:
        return max(now, pause.probe) if pause.by == "limit" and pause.probe is not None else None
    return None if known.awaits_sign_in else now


async def _working(
    account_state: AccountState | None, now: float, waiting: int, goes_on: float | None
) -> dict[str, Any]:
    """What only the relay itself knows, of an account that has so much `waiting` and `goes_on` then."""
    if account_state is None:
        return {}
    budget = account_state.budget
    left = await budget.left()
    seconds = budget.gone_in(waiting, left) if waiting and goes_on is not None else None
    return {
        "address": account_state.account.address,
        "under_way": account_state.busy,
        "connections": account_state.connections,
        "resting": account_state.resting,
        "budget": left,
        "budget_used": budget.used(left),
        "limited_until": account_state.limited_until(now),
        "backlog_gone_at": None if seconds is None or goes_on is None else goes_on + seconds,
        "token_expires": account_state.channel.token_expires(),
        "token_lifetime": account_state.channel.token_lifetime(),
        "last_error": account_state.last_error,
    }


METHODS: Mapping[str, Method] = {
    "accounts.list": Method(
        *(Nothing, tuple[AccountStatus, ...], Right.LOOK), lambda on, given, by: on.accounts.list()
    ),
    "accounts.show": Method(
        Named, AccountStatus, Right.LOOK, lambda on, given, by: on.accounts.show(given.name)
    ),
    "accounts.course": Method(
        Named, AccountCourse, Right.LOOK, lambda on, given, by: on.accounts.course(given.name)
    ),
    "accounts.pause": Method(
        Named, AccountStatus, Right.OPERATE, lambda on, given, by: on.accounts.pause(given.name, by=by)
    ),
    "accounts.resume": Method(
        Named, AccountStatus, Right.OPERATE, lambda on, given, by: on.accounts.resume(given.name, by=by)
    ),
    "accounts.changed": Method(
        Named, Woken, Right.OPERATE, lambda on, given, by: on.accounts.changed(given.name, by=by)
    ),
    "accounts.token": Method(
        Named, TokenResponse, Right.ADMIN, lambda on, given, by: on.accounts.token(given.name)
    ),
}
