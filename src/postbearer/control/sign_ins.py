"""Signing in for an account of the relay from elsewhere: begun here, agreed to in any browser, finished here.

A device code is asked for until the person has typed it. For an authorization code the person opens a link,
and what the browser ends at is handed in. Only this process can redeem what comes (PKCE, the device code).
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from msgspec import UNSET

from postbearer.clock import Clock, event_or_time
from postbearer.control.acts import Act, AuditRecorder
from postbearer.control.answers import SignInInfo, SignInState
from postbearer.control.principal import Principal
from postbearer.errors import (
    ConfigError,
    Conflict,
    GrantRefused,
    PostbearerError,
    TokenUnavailable,
    UsageError,
)
from postbearer.oauth import (
    AuthorizationCode,
    CodeSignIn,
    DeviceSignIn,
    GrantStore,
    Invitation,
    PersonGrant,
    TokenAnswer,
    found,
    keep_sign_in,
)
from postbearer.secret import Secret
from postbearer.tasks import Tasks

if TYPE_CHECKING:
    from postbearer.account import Account

PATIENCE: Final = 600.0  # seconds for a person to come back with a code


@dataclass(slots=True)
class _SignIn:
    """One that was begun, and how far it is."""

    account: Account
    grant: PersonGrant
    store: GrantStore
    by: Principal
    redirect_uri: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: SignInState = "waiting"
    url: str = ""
    code: str = ""
    expires: float = 0.0
    error: str = ""
    shown: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    paste: CodeSignIn | None = None
    task: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        return self.state == "waiting"

    def end(self, state: SignInState, error: str = "") -> None:
        if self.waits:
            self.state, self.error = state, error
        self.paste = None
        self.shown.set()
        self.over.set()

    def told(self) -> SignInInfo:
        return SignInInfo(
            id=self.id,
            account=self.account.name,
            state=self.state,
            url=self.url,
            code=self.code or UNSET,
            pastes=self.paste is not None,
            expires=self.expires,
            error=self.error,
        )


class SignIns:
    """Of the running relay, in memory: one that was not finished is gone with it.

    `find` gives an account, `store` where its tokens are kept; `changed` hears that one can send again.
    """

    def __init__(
        self,
        clock: Clock,
        recorder: AuditRecorder,
        tasks: Tasks,
        *,
        find: Callable[[str], Account],
        store: Callable[[Account], GrantStore],
        changed: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._clock = clock
        self._recorder = recorder
        self._tasks = tasks
        self._find = find
        self._store = store
        self._changed = changed
        self._known: dict[str, _SignIn] = {}

    async def begin(
        self,
        name: str,
        *,
        device: bool = False,
        restart: bool = False,
        comes_back: Callable[[str], str] = lambda registered: "",
        by: Principal,
    ) -> SignInInfo:
        """What the person has to do. Raises `Conflict` while another one waits, unless it is to `restart`.

        `comes_back` tells where the browser comes back to, if that can be here, by what is registered.

        Raises `ConfigError` and `UsageError` for an account that nobody signs in for, and what the
        authorization server says.
        """
        account = self._find(name)
        person_grant(account)
        before = self._known.get(name)
        if before is not None and before.waits:
            if not restart:
                raise Conflict(
                    f"Somebody is signing in for {name}, since {before.by.name} began it.",
                    hint="Finish that sign-in, or begin another in its place by restart.",
                )
            await self._abandon(before)
        located = await with_endpoints(account, device=device, now=self._clock.now())
        store = self._store(located)
        store.prepare()
        one = _SignIn(located, person_grant(located), store, by)
        if isinstance(one.grant, AuthorizationCode):
            one.redirect_uri = comes_back(one.grant.redirect_uri)
        self._known[name] = one
        by_code = device or not isinstance(one.grant, AuthorizationCode)
        if by_code and not one.grant.device_url:
            raise ConfigError(
                f"No device authorization endpoint is known for {name}.",
                key="device-url",
                hint="Sign in by a link, without device. Or set device-url.",
            )
        one.task = self._tasks.start(self._run(one, by_code=by_code), f"sign-in for {name}")
        await one.shown.wait()
        if not one.waits:
            raise GrantRefused(one.error, account=name) if one.state == "failed" else Conflict(one.error)
        return one.told()

    def show(self, name: str) -> SignInInfo:
        """How far the last one is. Raises `UsageError` if there was none."""
        one = self._known.get(name)
        if one is None:
            raise UsageError(f"Nobody began to sign in for {name!r:.80} since the relay started.")
        return one.told()

    async def finish(self, name: str, identifier: str, redirect: str, *, by: Principal) -> SignInInfo:
        """Redeem the code in the address that the browser ended at, and keep the tokens, sealed.

        Raises `Conflict` for a sign-in that does not wait, `GrantRefused` for an answer that is not its own,
        after which it still waits, and what else the authorization server says, which ends it.
        """
        one = self._known.get(name)
        if one is None or not one.waits or one.paste is None or one.id != identifier:
            raise Conflict(
                f"No sign-in for {name} waits for this address.",
                hint="It was finished, took too long, or another was begun: begin anew.",
            )
        paste = one.paste
        code = paste.reader.pasted(Secret(redirect))
        one.paste = None  # nobody else redeems meanwhile
        try:
            await self._keep(one, await paste.redeem(code), by)
        except PostbearerError as error:
            if isinstance(error, GrantRefused) and error.code == "invalid_grant":
                one.paste = paste  # it was no code of this sign-in: the right one may still come
            else:
                one.end("failed", error.told)
            raise
        return one.told()

    async def came_back(self, query: str) -> SignInInfo:
        """The same with what a browser brought to where it was to come back to, by the state of the sign-in.

        Only who was sent there knows that. Raises `Conflict` where none waits, and what `finish` does.
        """
        state = _state_of(query)
        for name, one in self._known.items():
            if one.waits and one.paste is not None and hmac.compare_digest(_state_of(one.url), state):
                return await self.finish(name, one.id, f"?{query}", by=one.by)
        raise Conflict(
            "No sign-in waits for this answer.", hint="It was finished, or took too long: begin anew."
        )

    async def _run(self, one: _SignIn, *, by_code: bool) -> None:
        try:
            with one.store.signing_in():
                if by_code:
                    await self._by_device(one)
                else:
                    await self._by_link(one)
        except TokenUnavailable as error:
            one.end("busy" if error.code == "busy" else "failed", str(error))
        except PostbearerError as error:
            one.end("failed", str(error))
        finally:
            one.end("failed", "It was given up.")

    async def _by_device(self, one: _SignIn) -> None:
        def show(invitation: Invitation) -> None:
            one.url, one.code = invitation.url, invitation.code
            one.expires = self._clock.now() + invitation.seconds
            one.shown.set()

        account = one.account
        asking = DeviceSignIn(one.grant, account.endpoint, self._clock, account.name)
        await self._keep(one, await asking.run(show), one.by)

    async def _by_link(self, one: _SignIn) -> None:
        assert isinstance(one.grant, AuthorizationCode)
        account = one.account
        one.paste = CodeSignIn(one.grant, account.endpoint, self._clock, account.name, one.redirect_uri)
        one.url, one.expires = one.paste.url, self._clock.now() + PATIENCE
        one.shown.set()
        await event_or_time(one.over, PATIENCE, self._clock)
        one.end("failed", "Nobody came back with an address in time. Begin again.")

    async def _keep(self, one: _SignIn, answer: TokenAnswer, by: Principal) -> None:
        account = one.account
        await keep_sign_in(one.store, answer, now=self._clock.now(), margin=account.refresh_margin)
        one.end("done")
        await self._recorder.done(Act(by=by, action="sign in", account=account.name))
        await self._changed(account.name)

    async def _abandon(self, one: _SignIn) -> None:
        one.end("failed", "Another sign-in was begun in its place.")
        if one.task is not None:
            one.task.cancel()
            await asyncio.wait([one.task])


def _state_of(address: str) -> bytes:
    """The state in an address, or in the query of one; empty unless there is one."""
    try:
        found = parse_qs(address.partition("?")[2] or address, max_num_fields=50).get("state", [])
    except ValueError:
        found = []
    return found[0].encode() if len(found) == 1 else b""


def person_grant(account: Account) -> PersonGrant:
    """The grant of `account`, if a person can sign in for it. Raises `ConfigError`."""
    grant = account.grant
    if not isinstance(grant, PersonGrant):
        name = grant.name if grant else "none"
        raise ConfigError(
            f"Nobody signs in for {account.name}: its grant is {name}.",
            key="grant",
            hint='Set grant = "authorization-code", or "device-code", whichever the provider has.',
        )
    return grant


async def with_endpoints(account: Account, *, device: bool, now: float) -> Account:
    """`account` with the endpoints to sign in at, where only their issuer is known. `now` is Unix time."""
    grant = person_grant(account)
    page = grant.device_url if device else getattr(grant, "authorize_url", grant.device_url)
    grant, endpoint = await found(grant, account.endpoint, account.name, page=page, now=now)
    return replace(account, grant=grant, endpoint=endpoint)
