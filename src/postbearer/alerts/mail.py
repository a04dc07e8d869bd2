"""A notice as a message, through the queue, by another account than the one it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from postbearer.account import Account
from postbearer.alerts.alert import Alert
from postbearer.alerts.channels import AlertFailed
from postbearer.clock import Clock
from postbearer.engine import Intake, IntakeSettings, Router, Submission, Submitter
from postbearer.envelope import Envelope, Recipient
from postbearer.events import Observer
from postbearer.message import Draft
from postbearer.reply import Reply
from postbearer.store import Priority, Spool

CLIENT = Submitter(name="notices", priority=Priority.URGENT)


class AlertMail:
    """Puts messages to `to` into the queue; from there on they are as safe as any other.

    `preferred` is the account they leave from, if it can; else the first of `accounts` that can.
    """

    def __init__(
        self,
        to: Sequence[str],
        preferred: str,
        accounts: Mapping[str, Account],
        *,
        spool: Spool,
        clock: Clock,
        observer: Observer,
        settings: IntakeSettings,
        can_send: Callable[[str], Awaitable[bool]],
        wrote: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        self._to = tuple(to)
        self._preferred = preferred
        self._accounts = accounts
        self._can_send = can_send
        self._wrote = wrote
        self._wake = wake

        def make(account: str) -> Intake:
            router = Router(default_account=account)
            return Intake(spool, router, accounts, clock=clock, observer=observer, settings=settings)

        self._intake = make

    @property
    def name(self) -> str:
        return f"the message to {', '.join(self._to)}"

    async def send(self, notice: Alert) -> None:
        account = await self._account(notice.account)
        if account is None:
            raise AlertFailed("No other account can send now.")
        address = self._accounts[account].address
        recipients = tuple(Recipient(each, notify=("NEVER",)) for each in self._to)
        draft = Draft(
            address,
            self._to,
            subject=f"postbearer: {notice.title}",
            text=notice.letter(),
            headers=[("Auto-Submitted", "auto-generated"), ("X-Postbearer-Notice", notice.id)],
        )
        envelope = Envelope(address, recipients)
        intaking = await self._intake(account).begin(
            Submission(client=CLIENT, envelope=envelope, protocol="local")
        )
        if isinstance(intaking, Reply):
            raise AlertFailed(f"The queue did not take it: {intaking}.")
        await intaking.write(draft.octets())
        answer = await intaking.finish()
        if isinstance(answer, Reply):
            raise AlertFailed(f"The queue did not take it: {answer}.")
        self._wrote(answer)
        self._wake()

    async def _account(self, about: str) -> str | None:
        """The account it leaves from: not the one it is about, unless there is no other and it works."""
        others = [name for name in (self._preferred, *self._accounts) if name and name != about]
        candidates = [name for name in (*others, about) if name in self._accounts]
        for name in candidates:
            if await self._can_send(name):
                return name
        return None
