"""The token source: one fresh token for everybody, asked for as seldom as possible.

Fresh beyond the margin → handed out. Otherwise one flight: in this process by `SingleFlight`, among
processes by the lock of the `GrantStore`, whose state is looked at again once the lock is held.
Lifetimes run on the monotonic clock from *before* the request; the wall clock is only for what is kept.
"""

from __future__ import annotations

import asyncio
import atexit
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from postbearer.clock import Clock, SystemClock
from postbearer.errors import (
    CredentialError,
    GrantRefused,
    PlugInFailed,
    PostbearerError,
    SecretError,
    StoreError,
    TokenUnavailable,
)
from postbearer.events import Observer, Silent, TokenFetched, TokenRequested, Warned, hears
from postbearer.oauth.blocking import invalidate_blocking, token_blocking
from postbearer.oauth.discovery import located
from postbearer.oauth.endpoint import NOT_JSON, Endpoint
from postbearer.oauth.grants import Grant, GrantContext
from postbearer.oauth.inputs import read_secrets
from postbearer.oauth.person import PersonGrant
from postbearer.oauth.plugins import guarded
from postbearer.oauth.refusal import Refusals
from postbearer.oauth.single_flight import PATIENCE, Detached, SingleFlight, insist
from postbearer.oauth.store import SAVES, GrantStore, MemoryStore, StoredGrant, basis, digest, overwritten
from postbearer.oauth.token import Token, TokenAnswer
from postbearer.secret import Secret

MARGIN = 60.0  # seconds of life left at which a token is renewed
_PORTAL_PATIENCE = 5  # answers in a row that are no token answers, before a person is asked to look
_BREATHER = 10.0  # seconds between tries to renew a token that is still good
_CLOCK_SLACK = 60.0  # seconds by which a kept token may seem to come from the future


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that left: what it was made of, and its answer, once it is there."""

    context: GrantContext
    kept: StoredGrant
    answer: Detached[tuple[TokenAnswer, float, float]]  # and when it was asked: monotonic, Unix seconds
    begun: float  # monotonic


class CachedSource:
    """A `TokenSource` that asks `grant` at `endpoint` only when it must.

    `margin` and `maximum_lifetime` are in seconds. Up to the share `spread` of the margin is added to it at
    random, so that many sources that began together do not ask together. `store` keeps tokens between runs
    and shares them between processes; without one they live and die with this object. May be used from any
    number of event loops and threads.
    """

    def __init__(
        self,
        grant: Grant,
        endpoint: Endpoint,
        *,
        account: str = "",
        store: GrantStore | None = None,
        clock: Clock | None = None,
        margin: float = MARGIN,
        spread: float = 0.0,
        maximum_lifetime: float | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._grant = grant
        self._endpoint = endpoint
        self._account = account
        self._store = store or MemoryStore()
        self._clock = clock or SystemClock()
        self._margin = margin * (1 + spread * random.random())  # noqa: S311 - no secret
        self._cap = maximum_lifetime if maximum_lifetime is not None else float("inf")
        self._observer = observer or Silent()
        self._flight: SingleFlight[Token] = SingleFlight()
        self._token: Token | None = None
        self._refused: Secret | None = None  # the last token that a mail server refused
        self._asked: _Asked | None = None  # a request whose answer is not kept yet
        self._holding = False  # the lock of the store
        self._unsaved: tuple[StoredGrant, Secret | None] | None = (
            None  # what could not be written yet, and its root
        )
        self._not_before = 0.0  # monotonic: the endpoint asked for peace until then
        self._breathe_until = 0.0  # monotonic: a good token is not renewed again before
        self._not_json = 0
        self._refusals = Refusals(self._store, account)

    def __repr__(self) -> str:
        place = self._endpoint.place
        return f"CachedSource({self._account!r}, grant={self._grant.name!r}, endpoint={place!r})"

    async def token(self) -> Token:
        """A token that may be used now.

        Raises `TokenUnavailable` when it may work later, `GrantRefused` when a person must act,
        `PlugInFailed` when a grant of another package has a defect, and `SecretError` and `StoreError`
        when what is needed for asking cannot be read.
        """
        token, now = self._token, self._clock.monotonic()
        if token is not None:
            breathing = token.usable(now) and now < self._breathe_until
            if breathing or token.usable(now, self._margin):
                return token
        return await self._flight.join(self._renew)

    async def fresh(self) -> Token:
        """A token got now, though a good one may be kept; that one stays if this fails.

        It proves that the grant still works. Raises what `token` raises.
        """
        return await self._flight.join(self._renew_now)

    async def outdated(self) -> bool:
        """Whether the kept token was got with another secret than there is now; False if nobody knows.

        Raises `SecretError` and `StoreError`.
        """
        kept = await self._store.load()
        if kept.access is None or not kept.basis:
            return False
        return kept.basis != basis(await read_secrets(self._grant.sources()))

    def expires(self) -> float | None:
        """When the token in use expires (Unix seconds); None while there is none."""
        if self._token is None:
            return None
        return self._clock.now() + self._token.expires_at - self._clock.monotonic()

    def lifetime(self) -> float | None:
        """For how many seconds the token in use was given; None while there is none."""
        return self._token.lifetime if self._token is not None else None

    def token_blocking(self) -> Token:
        """`token` for a thread without an event loop."""
        return token_blocking(self)

    def invalidate_blocking(self, token: Token) -> None:
        """`invalidate` for a thread without an event loop."""
        invalidate_blocking(self, token)

    async def invalidate(self, token: Token) -> None:
        """Drop exactly this token, here and in the store; nothing happens if a newer one is there."""
        current = self._token
        if (current is None and self._refused == token.access) or (
            current is not None and current.access != token.access
        ):
            return
        self._token, self._refused = None, token.access
        try:
            async with self._store.lock():
                for _ in range(SAVES):
                    kept = await self._store.load()
                    if kept.access != token.access or await self._store.save(replace(kept, access=None)):
                        break
        except (CredentialError, StoreError):
            pass  # it stays in the store, and `_adopt` knows that it was refused

    async def aclose(self) -> None:
        """Wait, for some seconds at most, until a refresh token that is on its way is kept.

        Await it before the event loop ends. Afterwards the source is as good as before.
        """
        if not self._owes():
            return
        with suppress(PostbearerError, TimeoutError):  # told already to whoever asked for the token
            async with asyncio.timeout(PATIENCE):
                await self._flight.join(self._finish)

    def _owes(self) -> bool:
        """Whether a refresh token may exist nowhere but here, or on its way to us."""
        asked = self._asked is not None and not self._asked.answer.lost()
        return self._grant.keeps_refresh_token and (asked or self._unsaved is not None)

    async def forgive(self) -> None:
        """A person wants a password tried again that was refused. Raises `TokenUnavailable`, `StoreError`."""
        await self._refusals.forget()

    async def _finish(self) -> Token:
        async with self._lock():
            await self._settle()
            token = self._adopt(await self._store.load())
        if token is None:
            raise TokenUnavailable(f"No token for {self._account or 'the account'}: the source was closed.")
        return token

    async def _renew(self) -> Token:
        try:
            token = await self._obtain()
        except (PlugInFailed, TokenUnavailable, SecretError, StoreError) as error:
            return self._outlive(error)
        self._not_json = 0
        self._token, self._refused = token, None
        return token

    async def _renew_now(self) -> Token:
        self._keep_peace()
        async with self._lock():
            await self._settle()
            token = await self._fetch(await self._store.load())
        self._token, self._refused = token, None
        return token

    def _outlive(self, error: PostbearerError) -> Token:
        """Refresh early, fail late: a token that still lives is good enough while renewal fails."""
        now = self._clock.monotonic()
        if isinstance(error, TokenUnavailable):
            if error.retry_after is not None:
                self._not_before = max(self._not_before, now + error.retry_after)
            self._not_json = self._not_json + 1 if error.code == NOT_JSON else 0
        if self._token is not None and self._token.usable(now):
            self._breathe_until = now + _BREATHER
            return self._token
        if self._not_json >= _PORTAL_PATIENCE:
            raise GrantRefused(
                error.message,
                account=self._account,
                code=NOT_JSON,
                who="host operator",
                configuration=True,
                hint="Check token-url and the network: this was answered several times in a row.",
            ) from error
        raise error

    async def _obtain(self) -> Token:
        token = self._adopt(await self._store.load())
        if token is not None:
            return token
        self._keep_peace()
        async with self._lock():
            await self._settle()
            kept = await self._store.load()
            token = self._adopt(kept)
            return token if token is not None else await self._fetch(kept)

    @asynccontextmanager
    async def _lock(self) -> AsyncIterator[None]:
        """The lock of the store, where it is not ours already: a loop that was stopped keeps what it held."""
        if self._holding and self._asked is not None and not self._asked.answer.lost():
            yield
            return
        async with self._store.lock():
            self._holding = True
            try:
                yield
            finally:
                self._holding = False

    def _adopt(self, kept: StoredGrant) -> Token | None:
        """The kept token, if another process or an earlier run left a fresh one."""
        if kept.access is None or kept.access == self._refused:
            return None
        wall, now = self._clock.now(), self._clock.monotonic()
        life = min(kept.expires - kept.obtained, self._cap)
        age = wall - kept.obtained
        if age < -_CLOCK_SLACK:  # the wall clock was set back: its remaining life cannot be told
            return None
        token = Token(kept.access, now + life - max(age, 0.0), now - max(age, 0.0), kept.scope)
        return token if token.usable(now, self._margin) else None

    def _keep_peace(self) -> None:
        left = self._not_before - self._clock.monotonic()
        if left > 0:
            raise TokenUnavailable(
                f"The authorization server of {self._account or 'the account'} asked to wait; "
                f"{left:.0f} s are left.",
                account=self._account,
                code="throttled",
                retry_after=left,
            )

    async def _fetch(self, kept: StoredGrant) -> Token:
        self._endpoint = await located(self._endpoint, self._account, now=self._clock.now())
        context = await self._context(kept)
        if self._grant.locks_out:
            self._refusals.spare(context.secrets, kept)
        try:
            return await self._ask(context, kept)
        except GrantRefused as refused:
            if self._grant.locks_out and not refused.configuration and refused.who == "mailbox user":
                await self._refusals.remember(context.secrets)
            if refused.code != "invalid_grant" or not context.refresh_token:
                raise
            # Somebody who does not hold our lock may have renewed or signed in meanwhile.
            kept = await self._store.load()
            context = await self._context(kept, tried=context.refresh_token)
            if not context.refresh_token:
                raise
        return await self._ask(context, kept)

    async def _context(self, kept: StoredGrant, tried: Secret | None = None) -> GrantContext:
        secrets = await read_secrets(self._grant.sources())
        refresh = None
        if self._grant.keeps_refresh_token:
            if kept.damage:
                raise GrantRefused(
                    f"The kept sign-in of {self._account} cannot be read: {kept.damage}.",
                    account=self._account,
                    code="damaged_state",
                    who="host operator",
                    hint=f"Restore it from a backup, or sign in anew: postbearer login {self._account}"
                    if isinstance(self._grant, PersonGrant)
                    else "Restore it from a backup; or remove it, and the refresh token of the configuration "
                    "is used. If that is over by now, sign in again and configure the new one.",
                )
            configured = secrets.get("refresh_token")
            # A configured token is where a chain of rotated ones began; another one begins a new chain.
            descended = not configured or kept.origin in ("", digest(configured))
            refresh = kept.refresh if kept.refresh and descended else configured
        return GrantContext(
            token_url=self._endpoint.url,
            account=self._account,
            secrets=secrets,
            refresh_token=None if refresh == tried else refresh,
            now=self._clock.now(),
        )

    async def _ask(self, context: GrantContext, kept: StoredGrant) -> Token:
        self._asked = _Asked(
            context, kept, Detached(partial(self._exchange, context)), self._clock.monotonic()
        )
        return await self._land(self._asked)

    async def _exchange(self, context: GrantContext) -> tuple[TokenAnswer, float, float]:
        """Carry out what the grant wants; returns the answer, and when the last request left."""
        asked = (self._clock.monotonic(), self._clock.now())
        exchange = guarded(self._grant, context)
        try:
            request = next(exchange)
            while True:
                asked = (self._clock.monotonic(), self._clock.now())
                request = exchange.send(await self._endpoint.send(request, self._account))
        except StopIteration as done:
            return done.value, *asked
        finally:
            exchange.close()

    async def _land(self, asked: _Asked) -> Token:
        """The token that was asked for, once it is kept.

        The server may have revoked the old refresh token when it answers: from the request to the commit
        nobody's cancellation counts, as long as that takes a few seconds. Where it takes longer, the answer
        is kept by whoever asks next.
        """
        if not self._grant.keeps_refresh_token:
            try:
                return await self._landing(asked)
            finally:
                self._asked = None  # it may as well be asked again
        _OWING.add(self)
        try:
            return await insist(partial(self._landing, asked))
        finally:
            if not self._owes():
                _OWING.discard(self)

    async def _landing(self, asked: _Asked) -> Token:
        try:
            answer, monotonic, wall = await asked.answer.result()
            token = await self._accept(answer, asked.context, asked.kept, (monotonic, wall))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._asked = None
            self._tell_duration(asked, error)
            raise
        self._asked = None
        self._tell_duration(asked)
        return token

    def _tell_duration(self, asked: _Asked, error: BaseException | None = None) -> None:
        if hears(self._observer, TokenRequested):
            seconds = self._clock.monotonic() - asked.begun
            why = "" if error is None else type(error).__name__
            self._observer.notice(
                TokenRequested(self._account, grant=self._grant.name, seconds=seconds, error=why)
            )

    async def _accept(
        self, answer: TokenAnswer, context: GrantContext, kept: StoredGrant, asked: tuple[float, float]
    ) -> Token:
        before, wall = asked
        life = min(answer.lifetime, self._cap)
        scope = answer.scope if answer.scope is not None else " ".join(getattr(self._grant, "scopes", ()))
        token = Token(answer.access, before + life, before, scope)
        inherited = context.refresh_token is not None and context.refresh_token == kept.refresh
        chain = answer.refresh or context.refresh_token
        await self._commit(
            replace(
                kept,
                access=answer.access,
                obtained=wall,
                expires=wall + answer.lifetime,
                fresh_until=wall + life - min(self._margin, life / 2),
                scope=scope,
                basis=basis(context.secrets),
                refresh=chain,
                signed_in=(kept.signed_in if inherited else 0.0) or wall if chain else 0.0,
                refreshed=wall if chain else 0.0,
                refresh_expires=_refresh_expires(answer, kept if inherited else StoredGrant(), wall),
                origin=kept.origin if inherited else digest(context.secrets.get("refresh_token")),
                refused="",
                damage="",
            ),
            used=context.refresh_token,
        )
        if answer.access == self._refused:
            self._refused = None  # the next one who asks may try it again
            raise GrantRefused(
                f"The mail server refused the token of {self._account or 'the account'}, and the grant "
                f"{self._grant.name} gave the same one again.",
                account=self._account,
                code="same_token",
                who="host operator",
                hint="A static token cannot be renewed: choose another grant."
                if self._grant.name == "static"
                else "",
            )
        self._observer.notice(TokenFetched(self._account, self._grant.name, life, scope))
        if answer.clock:
            self._observer.notice(Warned(self._account, f"{answer.clock} Set it: signed proofs fail by it."))
        return token

    async def _commit(self, kept: StoredGrant, used: Secret | None) -> None:
        """Keep the new state, durably, before anybody uses the new token.

        The server may have revoked `used`, the old refresh token, already, so a rotated one that could not be
        written stays in memory and is written first thing at the next try.
        """
        rotated = self._grant.keeps_refresh_token and kept.refresh != used
        keep = kept if self._grant.keeps_refresh_token else _without_refresh(kept)
        try:
            await self._save(keep, used)
        except StoreError as error:
            if rotated:
                self._unsaved = (keep, used)
                raise
            self._observer.notice(Warned(self._account, f"The new token could not be kept: {error}"))

    async def _save(self, keep: StoredGrant, used: Secret | None) -> None:
        """Write `keep`, unless newer state stands.

        What stands is older all the same where its refresh token is `used`, the one that ours descends from:
        somebody has only dropped an access token meanwhile. Raises `StoreError`.
        """
        for _ in range(SAVES):
            if await self._store.save(keep):
                return
            standing = await self._store.load()
            if keep.refresh is None or standing.refresh not in (used, None):
                return
            keep = replace(keep, version=standing.version)
        raise overwritten(self._account or "the account")

    async def _settle(self) -> None:
        """Keep first what an earlier try could not; whoever calls this holds the lock."""
        if self._unsaved is not None:
            await self._save(*self._unsaved)
            self._unsaved = None
        if self._asked is not None and self._asked.answer.lost():
            self._asked = None
        if self._asked is not None:
            with suppress(CredentialError):  # then the one who asks now asks anew
                await self._land(self._asked)


_OWING: set[CachedSource] = set()  # those whose refresh token is on its way


@atexit.register
def _finish_all() -> None:
    """The process ends, and nobody has awaited `aclose`: the last moment to keep what is on its way."""
    for source in tuple(_OWING):
        with suppress(Exception):  # a store of the program's own may be gone already
            asyncio.run(source.aclose())


def _refresh_expires(answer: TokenAnswer, kept: StoredGrant, now: float) -> float:
    """When the refresh token ends, as the server said now, or when it last said anything."""
    return kept.refresh_expires if answer.refresh_lifetime is None else now + answer.refresh_lifetime


def _without_refresh(kept: StoredGrant) -> StoredGrant:
    return replace(kept, refresh=None, origin="", signed_in=0.0, refreshed=0.0, refresh_expires=0.0)
