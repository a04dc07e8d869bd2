"""What people do to the queue, to accounts and to the relay: for the command line, the control socket and
the HTTP face. Works on a spool alone, or beside the dispatcher that empties it.

Who changes something says who it is: that is told as an event, once it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from postbearer.clock import Clock
from postbearer.control.account_editor import AccountEditor, EditingSettings
from postbearer.control.account_finder import AccountFinder
from postbearer.control.accounts import Accounts, Foresight
from postbearer.control.acts import Act, AuditRecorder
from postbearer.control.alerts import AlertDesk, Alerts
from postbearer.control.answers import ConsoleAddress, DiagnosisResult, RelayReloaded, RelayStopping
from postbearer.control.job_runner import JobRunner
from postbearer.control.jobs import Jobs
from postbearer.control.log import Log, LogDesk
from postbearer.control.messages import Messages
from postbearer.control.method import Method, Nothing, Text
from postbearer.control.overview import Overview
from postbearer.control.principal import Principal, Right
from postbearer.control.resending import Resending, WayIn
from postbearer.control.tokens import TokenDesk, Tokens
from postbearer.control.transfer import Transfer
from postbearer.control.webhooks import WebhookCalls, Webhooks
from postbearer.errors import Conflict, NotPermitted, PostbearerError, UsageError
from postbearer.events import Observer, Silent
from postbearer.message import Content
from postbearer.store import Spool

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.config import Configuration
    from postbearer.control.sign_ins import SignIns
    from postbearer.diagnosis import Finding
    from postbearer.engine import Dispatcher


CHECK_TIME: Final = 600.0  # seconds that a check may take step by step
CHECKING: Final[set[str]] = set()  # accounts that are checked step by step now, in this process


class Examined(Struct, forbid_unknown_fields=True, frozen=True):
    """An account, or with an empty name the configuration alone; and where a message may be sent."""

    name: Text = ""
    send_to: Text = ""


class Process(Protocol):
    """The relay's own process, as far as people tell it what to do."""

    async def reload(self) -> None:
        """Read the configuration anew. Raises `ConfigError` or `SecretError`; then the old one stays."""

    async def examine(self, account: str, send_to: str) -> DiagnosisResult:
        """Look at the whole way of an account's mail."""
        ...

    def examining(self, account: str, send_to: str) -> AsyncGenerator[Finding, None]:
        """The same, step by step."""
        ...

    def stop(self) -> None:
        """Finish what is under way, and end."""


class Operations:
    """`messages`, `accounts` and `transfer` work on the spool; the methods here on the relay itself.

    `dispatcher` is there in the relay's own process only, and `process` where a relay runs by itself.
    `accounts` names those that are configured, and `find` makes one that no dispatcher has; `foresee` tells
    what is known ahead of them, and `changed` has a paused one tried again. `runner` works on jobs in the
    background. `webhooks`, `tokens`, `alerts`, `log` and `sign_ins` are those of the relay's own process,
    `configuration` is what it goes by, and by `editing` it is changed. `observer` hears who changed what.
    Mail is taken by `way_in`.
    `console` gives an address that opens the console once; empty where there is none.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        dispatcher: Dispatcher | None = None,
        accounts: Sequence[str] = (),
        foresee: Foresight | None = None,
        changed: Callable[[str], Awaitable[bool]] | None = None,
        *,
        process: Process | None = None,
        observer: Observer | None = None,
        find: Callable[[str], Account] | None = None,
        runner: JobRunner | None = None,
        webhooks: WebhookCalls | None = None,
        tokens: TokenDesk | None = None,
        alerts: AlertDesk | None = None,
        log: LogDesk | None = None,
        configuration: Configuration | None = None,
        console: Callable[[], str] | None = None,
        sign_ins: SignIns | None = None,
        editing: EditingSettings | None = None,
        way_in: WayIn | None = None,
    ) -> None:
        self._process = process
        self._console = console
        self._spool = spool
        observer = observer or Silent()
        known = AccountFinder(dispatcher, accounts, find)
        self._recorder = AuditRecorder(spool, clock, observer)
        self._sign_ins = sign_ins
        self.messages: Messages = Messages(spool, clock, dispatcher, accounts, observer, known)
        self.resending: Resending = Resending(spool, self._recorder, way_in)
        self.transfer = Transfer(spool, self._recorder)
        self.overview: Overview = Overview(spool, clock, configuration, way_in.intake if way_in else None)
        runner = runner or JobRunner(spool, clock, observer, known)
        self.jobs: Jobs = Jobs(spool, clock, runner, known)
        self._editor = (
            AccountEditor(editing, spool, clock, dispatcher, runner, self._recorder) if editing else None
        )
        self.webhooks: Webhooks = Webhooks(webhooks, self._recorder)
        self.tokens: Tokens = Tokens(tokens, self._recorder)
        self.alerts: Alerts = Alerts(alerts)
        self.log: Log = Log(log)
        self.accounts: Accounts = Accounts(
            spool,
            clock,
            dispatcher,
            observer,
            configured=accounts,
            foresee=foresee,
            changed=changed,
        )

    @property
    def editor(self) -> AccountEditor:
        """What changes the accounts. Raises `UsageError` where there is no configuration file."""
        if self._editor is None:
            raise UsageError("There is no configuration file here.", hint="Make one: postbearer init")
        return self._editor

    @property
    def sign_ins(self) -> SignIns:
        """Those of the relay that runs. Raises `UsageError` where none does."""
        if self._sign_ins is None:
            raise UsageError("No relay runs by itself here.", hint="Sign in by: postbearer login")
        return self._sign_ins

    async def reload(self, *, by: Principal) -> RelayReloaded:
        """Have the relay read its configuration. Raises `ConfigError` or `SecretError` if it is wrong."""
        process, act = self._running(), Act(by=by, action="reload")
        try:
            await process.reload()
        except PostbearerError as error:
            await self._recorder.failed(act, str(error))
            raise
        await self._recorder.done(act)
        return RelayReloaded()

    async def stop(self, *, by: Principal) -> RelayStopping:
        """Have the relay finish what is under way, and end."""
        process = self._running()
        await self._recorder.done(Act(by=by, action="stop"))
        process.stop()
        return RelayStopping()

    async def check(self, name: str = "", send_to: str = "", *, by: Principal) -> DiagnosisResult:
        """Examine an account with the secrets of the relay, by a real message if there is a `send_to`."""
        found = await self._running().examine(name, send_to)
        if send_to:
            await self._recorder.done(Act(by=by, action="check", account=name, recipient=send_to))
        return replace(found, pause=await self.accounts.paused(name))

    async def open_console(self, *, by: Principal) -> ConsoleAddress:
        """An address at which a browser on this machine opens the console, once."""
        url = self._console() if self._console is not None else ""
        if not url:
            raise UsageError(
                "The relay has no console.",
                hint="Add a table [http] to its configuration, and start it anew. Behind a proxy that has "
                "a Unix socket, log in by name.",
            )
        return ConsoleAddress(url=url)

    async def console_opened(self, peer: str, *, by: Principal) -> None:
        """Note that somebody came in by the console, from `peer`."""
        await self._recorder.done(Act(by=by, action="console opened", detail=peer))

    async def note(self, action: str, detail: str, *, by: Principal) -> None:
        """Note in the audit what somebody did about who may come in."""
        await self._recorder.done(Act(by=by, action=action, detail=detail))

    async def content(self, message: str, *, by: Principal, again: bool = False) -> Content:
        """The octets of a message as they were accepted, for a person to read.

        That somebody did is noted, unless it is only `again` what was shown a moment ago.
        """
        if not by.may(Right.ADMIN):
            raise NotPermitted(
                f'{by.name} may not do this: to read messages needs the right "{Right.ADMIN}".',
                hint="What is known about a message can be seen without it.",
            )
        entry = await self._spool.show(message)
        if entry is None:
            raise UsageError(f"There is no message {message!r:.80} in the queue.")
        content = await self._spool.content(entry.message)
        if not again:
            await self._recorder.done(Act(by=by, action="read", message=message))
        return content

    async def checking(self, name: str, send_to: str = "", *, by: Principal) -> AsyncGenerator[Finding, None]:
        """The same, step by step; one at a time for each account: raises `Conflict` while another goes on.

        Raises `ConfigError` for an account that is none.
        """
        process = self._running()
        if name in CHECKING:
            raise Conflict(f"The account {name} is being checked already.", hint="Wait until that is done.")
        CHECKING.add(name)
        try:
            if send_to:
                await self._recorder.done(Act(by=by, action="check", account=name, recipient=send_to))
            async with asyncio.timeout(CHECK_TIME), aclosing(process.examining(name, send_to)) as steps:
                async for finding in steps:
                    yield finding
        finally:
            CHECKING.discard(name)

    def _running(self) -> Process:
        if self._process is None:
            raise UsageError("No relay runs by itself here.", hint="Start one by: postbearer serve")
        return self._process


METHODS: Mapping[str, Method] = {
    "accounts.check": Method(
        *(Examined, DiagnosisResult, Right.OPERATE),
        lambda on, given, by: on.check(given.name, given.send_to, by=by),
    ),
    "console.open": Method(
        Nothing, ConsoleAddress, Right.ADMIN, lambda on, given, by: on.open_console(by=by)
    ),
    "relay.reload": Method(Nothing, RelayReloaded, Right.ADMIN, lambda on, given, by: on.reload(by=by)),
    "relay.stop": Method(Nothing, RelayStopping, Right.ADMIN, lambda on, given, by: on.stop(by=by)),
}
