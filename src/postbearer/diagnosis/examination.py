"""The whole examination of one account: every step in its order, and what was left out, with the reason."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime

from postbearer.account import Account
from postbearer.clock import Clock, SystemClock
from postbearer.diagnosis.connection import LIMIT, ConnectionAttempt, Resolve, resolve
from postbearer.diagnosis.failures import Explainer
from postbearer.diagnosis.finding import Finding, Step, not_done
from postbearer.diagnosis.masking import Mask
from postbearer.diagnosis.refused_token import narrowed
from postbearer.diagnosis.sender_domain import examine_sender_domain
from postbearer.diagnosis.tokens import SHORT_CAP, TokenStep, read_secrets
from postbearer.errors import ConfigError, PostbearerError, UsageError
from postbearer.events import Authenticated, Event, Silent, Warned
from postbearer.forecast import DAY, forecast, gather
from postbearer.message import Draft
from postbearer.oauth import Claims, Token
from postbearer.outcome import Receipt
from postbearer.providers import Preset, preset
from postbearer.state import MemoryState, Persistence
from postbearer.transport import (
    Capture,
    Conversation,
    Deadline,
    Dial,
    Login,
    RetryAuthentication,
    ServerAddress,
    Source,
    dial,
)
from postbearer.wire import Quit

Send = Callable[[Draft, Conversation, ServerAddress], Awaitable[Receipt]]


class Diagnosis:
    """Examines `account`; `run` yields the findings as they come.

    `state` is where its tokens are kept (None: nowhere). `provider` is its preset, where it is not the
    one of that name (another cloud), and `tenant` its organisation there. With `send_to` a real message
    goes there by `send`, which is how the account sends otherwise, so that its budget and its sender rule
    count; it takes over the connection that was logged in to, which has cost its round trips already.
    `capture` makes what sees the conversation with each server, secrets masked. All steps are done
    that can be: every server is tried, and a broken server does not keep the token from being looked at.
    """

    def __init__(
        self,
        account: Account,
        *,
        state: Persistence | None = None,
        provider: Preset | None = None,
        tenant: str = "",
        send: Send | None = None,
        send_to: str = "",
        clock: Clock | None = None,
        capture: Callable[[], Capture] | None = None,
        dial: Dial = dial,
        resolve: Resolve = resolve,
    ) -> None:
        if send_to and send is None:
            raise UsageError("A message to send needs a way to send it.")
        self.account = account
        self._state = state or MemoryState()
        self._preset = provider or _preset(account.provider)
        self._send = send
        self._send_to = send_to
        self._clock = clock or SystemClock()
        self._capture = capture
        self._dial = dial
        self._resolve = resolve
        self._mask = Mask()
        self._claims: Claims | None = None  # of the token that logs in
        known = tenant or account.ids.tenant or _tenant(self._preset, account.endpoint.url)
        self._ids = replace(account.ids, tenant=known, check="")  # this is what finds out more

    async def run(self) -> AsyncGenerator[Finding, None]:
        """Every step; the errors that postbearer knows are findings and are not raised."""
        reached: list[ConnectionAttempt] = []
        try:
            async with aclosing(self._steps(reached)) as steps:
                async for finding in steps:
                    yield self._mask.finding(finding)
        finally:
            for reach in reached:
                await _close(reach.talk)

    async def _steps(self, reached: list[ConnectionAttempt]) -> AsyncGenerator[Finding, None]:
        yield self._configuration()
        readable = True
        async for finding in read_secrets(self.account, self._explainer, self._mask):
            readable = readable and finding.ok is True
            yield finding
        for server in self.account.outgoing.servers:
            reach = ConnectionAttempt(
                account=self.account,
                preset=self._preset,
                server=server,
                explainer=self._explainer,
                clock=self._clock,
                dial=self._dial,
                resolve=self._resolve,
                capture=self._capture,
            )
            reached.append(reach)
            async for finding in reach.run():
                yield finding
        source: Source | None = None
        lacking = "" if readable else "a secret cannot be read"
        if self.account.outgoing.authentication == "oauth":
            finding, token = await self._token(lacking)
            yield finding
            source = _Held(token) if token is not None else None
            lacking = "" if token is not None else "there is no token for it"
        elif self.account.password is not None:
            source = self.account.credential(self._state, clock=self._clock, observer=Silent())
        entered: ConnectionAttempt | None = None
        for reach in reached:
            finding = await self._log_in(reach, source, lacking)
            entered = entered or (reach if finding.ok is True else None)
            yield finding
        for finding in (*await self._endings(), *await examine_sender_domain(self.account)):
            yield finding
        yield await self._message(entered)

    async def _endings(self) -> list[Finding]:
        """One for each thing whose end is known; none is an error, as the other steps tell what has ended."""
        facts, now = await gather(self.account, self._state, self._clock), self._clock.now()
        found = [
            Finding(
                step=Step.EXPIRY,
                ok=True,
                text=f"{each.title}: {_day(each.at)}, {_days_left(each.at - now)}",
                notes=(each.remedy,) if each.level(now) is not None else (),
                details={"what": each.what, "at": each.at, "level": each.level(now)},
            )
            for each in forecast(facts)
        ]
        return found + [not_done(Step.EXPIRY, trouble) for trouble in facts.troubles]

    @property
    def _explainer(self) -> Explainer:
        return Explainer(self.account, self._preset, self._ids)

    def _configuration(self) -> Finding:
        account = self.account
        grant = account.grant.name if account.grant is not None else ""
        how = f"grant {grant}" if grant else f"authentication {account.outgoing.authentication}"
        notes = []
        if grant == "static":
            notes.append("grant = static is for tests and troubleshooting only: nothing renews the token.")
        if grant == "password":
            notes.append("grant = password hands the mailbox password to the application (RFC 9700 2.4).")
        if account.outgoing.authentication == "password" and self._preset.passwords:
            notes.append(f"Logins by password at {self._preset.title}: {self._preset.passwords}")
        cap = account.settings.maximum_token_lifetime
        if cap is not None and cap < SHORT_CAP:
            notes.append(
                f"maximum-token-lifetime of {cap:g} s is a setting for tests: nearly every message "
                "costs a token and a connection."
            )
        return Finding(
            step=Step.CONFIGURATION,
            ok=True,
            text=f"{account.address} at {self._preset.title}, {how}",
            notes=tuple(notes),
            details={
                "provider": account.provider,
                "address": account.address,
                "grant": grant,
                "servers": [str(server) for server in account.outgoing.servers],
                "token_url": account.endpoint.url,
            },
        )

    async def _token(self, lacking: str) -> tuple[Finding, Token | None]:
        if lacking:
            return not_done(Step.TOKEN, lacking), None
        listener = _Listener()
        try:
            source = self.account.token_source(self._state, clock=self._clock, observer=listener)
        except PostbearerError as error:
            return self._explainer.failed(Step.TOKEN, error), None
        step = TokenStep(
            account=self.account,
            preset=self._preset,
            explainer=self._explainer,
            source=source,
            clock=self._clock,
            mask=self._mask,
            warned=listener.warnings,
        )
        finding = await step.run()
        self._ids = step.ids(self._ids)
        self._claims = step.claims
        return finding, step.token

    async def _log_in(self, reach: ConnectionAttempt, source: Source | None, lacking: str) -> Finding:
        server, talk = reach.server, reach.talk
        if talk is None:
            return not_done(Step.AUTH, "there is no connection to log in on", str(server))
        if lacking:
            return not_done(Step.AUTH, lacking, str(server))
        listener = _Listener()
        login = Login(self.account.smarthost, source, listener, self.account.name)
        talk.deadline = Deadline(self._clock, LIMIT)
        try:
            try:
                await login.run(talk, server)
            except RetryAuthentication:
                await login.run(talk, server)  # it knows better now
        except PostbearerError as error:
            failed = self._explainer.failed(Step.AUTH, error, str(server))
            grant = self.account.grant.name if self.account.grant is not None else ""
            return narrowed(failed, self._claims, self._preset, grant, self._ids)
        entered = listener.authenticated
        text = f"{entered.mechanism}: {entered.reply}" if entered is not None else "no login is needed"
        details = {"mechanism": entered.mechanism, "reply": str(entered.reply)} if entered is not None else {}
        return Finding(step=Step.AUTH, ok=True, text=text, server=str(server), details=details)

    async def _message(self, entered: ConnectionAttempt | None) -> Finding:
        if not self._send_to or self._send is None:
            late = self.account.provider.startswith("microsoft")
            why = "missing permissions show only after a message" if late else "it proves the whole way"
            return Finding(step=Step.MESSAGE, ok=None, text=f"none was sent; add --send-to ADDRESS: {why}")
        if entered is None or entered.talk is None:
            return not_done(Step.MESSAGE, "no server let us in")
        try:
            draft = Draft(
                self.account.address,
                [self._send_to],
                subject=f"Test message of {self.account.name}",
                text="postbearer check sent this message. If you can read it, mail leaves.\n",
                headers=[("Auto-Submitted", "auto-generated")],
            )
            receipt = (await self._send(draft, entered.talk, entered.server)).raise_for_refused()
        except PostbearerError as error:
            return self._explainer.failed(Step.MESSAGE, error)
        taken = receipt.outcomes[0]
        return Finding(
            step=Step.MESSAGE,
            ok=True,
            text=f"{taken.recipient} by {receipt.server}: {taken.answer}",
            server=receipt.server,
            details={"queue_id": receipt.queue_id, "message_id": receipt.message_id},
        )


class _Listener:
    """An observer that remembers a login, and what was warned of."""

    def __init__(self) -> None:
        self.authenticated: Authenticated | None = None
        self.warnings: list[str] = []

    def notice(self, event: Event) -> None:
        if isinstance(event, Authenticated):
            self.authenticated = event
        elif isinstance(event, Warned):
            self.warnings.append(event.text)


class _Held:
    """A token source of exactly one token: the one that was just looked at."""

    def __init__(self, token: Token) -> None:
        self._token = token

    async def token(self) -> Token:
        return self._token

    async def invalidate(self, token: Token) -> None:
        """A refusal is the finding; nothing is renewed."""


def _preset(name: str) -> Preset:
    """The preset of that name; one's own provider file has none, and is treated like any server."""
    try:
        return preset(name)
    except ConfigError:
        return preset("smtp")


def _tenant(preset: Preset, url: str) -> str:
    """The tenant that stands in a token endpoint's address; empty if it has none."""
    before, blank, behind = preset.token_url.partition("{tenant}")
    if not blank or not url.startswith(before) or not url.endswith(behind):
        return ""
    return url[len(before) : len(url) - len(behind)]


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _days_left(left: float) -> str:
    days = int(left // DAY)
    return f"{days} day{'' if days == 1 else 's'} left" if left > 0 else "it has ended"


async def _close(talk: Conversation | None) -> None:
    if talk is None:
        return
    with suppress(PostbearerError):
        await talk.ask(Quit())
    await talk.stream.close()
