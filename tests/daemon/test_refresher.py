"""A paused account is tried again when what it proves itself with is another; an idle one does not die."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from postbearer.account import Account
from postbearer.assembly import Assembly
from postbearer.daemon.refresher import SignInRefresher
from postbearer.errors import GrantRefused
from postbearer.events import AccountPaused, AccountResumed, Warned
from postbearer.forecast import DAY
from postbearer.oauth import RefreshToken, keep_sign_in
from postbearer.oauth.token import TokenAnswer
from postbearer.secret import ByPlace, Secret
from postbearer.state import StateFolder
from postbearer.store import Pause
from postbearer.testing import Faults, Sandbox, TokenFault
from support.relay import Ears, Relay, WaitingClock, relaying, rules

REVOKED = GrantRefused("The grant was refused (invalid_grant).", code="invalid_grant", hint="Sign in again.")
PASSWORD = 'authentication = "password"\npassword = "file:secret"\n'


@dataclass
class Desk:
    relay: Relay
    sandbox: Sandbox
    account: Account
    refresher: SignInRefresher
    folder: Path

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.folder / "state")

    async def fail(self) -> None:
        """A message meets a refusal of the whole account."""
        self.relay.providers["alerts"].answers = [REVOKED]
        await self.relay.submit()
        await self.relay.settle()
        assert self.paused

    @property
    def paused(self) -> bool:
        return self.relay.dispatcher.account_states["alerts"].paused

    @property
    def sent(self) -> int:
        return len(self.relay.providers["alerts"].sent)

    async def look(self) -> None:
        for event in self.relay.said(AccountPaused):
            self.refresher.notice(event)
        await self.refresher.look()
        await self.relay.settle()

    async def sign_in(self) -> None:
        """As `postbearer login` does it, in another process."""
        answer = TokenAnswer(Secret("access"), refresh=Secret(self.sandbox.sign_in()))
        store = self.account.token_store(self.state, clock=self.relay.clock)
        await keep_sign_in(store, answer, now=self.relay.clock.now())


@asynccontextmanager
async def refresher(
    folder: Path, *lines: str, pauses: tuple[Pause, ...] = (), login: str = ""
) -> AsyncIterator[Desk]:
    """A relay whose account, alerts, has a sign-in at a sandbox of Google."""
    clock = WaitingClock()
    async with Sandbox("google", clock=clock) as sandbox:
        (folder / "secret").write_text("first")
        text = sandbox.configuration("alerts") + "".join(f"{line}\n" for line in lines)
        if login:
            text = re.sub(r"(grant|token-url|client-\w+|scopes|refresh-token) = .*\n", "", text) + login
        file = folder / "postbearer.toml"
        file.write_text(text)
        file.chmod(0o600)
        assembly = Assembly.load(file, {}, StateFolder(folder / "state"))
        account = assembly.account("alerts")
        async with relaying(account, clock=clock, pauses=pauses) as relay:
            ears = Ears()
            made = SignInRefresher(
                assembly.state, relay.spool, relay.dispatcher, clock, ears, {"alerts": account}
            )
            ears.events = relay.events
            account_state = relay.dispatcher.account_states["alerts"]
            if account.grant is not None:
                source = account.token_source(assembly.state, clock=clock, observer=ears)
                account_state.channel = replace(account_state.channel, source=source)
            await relay.settle()
            yield Desk(relay, sandbox, account, made, folder)


# Something changed --------------------------------------------------------------------------------


async def test_a_sign_in_brings_waiting_mail_on_its_way(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.fail()
        await desk.look()
        await desk.look()
        assert (desk.paused, desk.sent) == (True, 0)  # nothing changed, and it is not time for a probe
        await desk.sign_in()
        await desk.look()
        assert (desk.paused, desk.sent) == (False, 1)
        assert desk.relay.said(AccountResumed)


async def test_so_does_a_new_secret(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.fail()
        await desk.look()
        (desk.sandbox.folder / "client-secret").write_text("another")
        await desk.look()
        assert (desk.paused, desk.sent) == (False, 1)


async def test_a_new_password_is_tried_and_the_old_one_is_not(tmp_path: Path) -> None:
    async with refresher(tmp_path, login=PASSWORD) as desk:
        await desk.fail()
        for _ in range(3):
            await desk.relay.pass_time(7200)
            await desk.look()
        assert (desk.paused, desk.sent) == (True, 0)
        (tmp_path / "secret").write_text("second")
        await desk.look()
        assert (desk.paused, desk.sent) == (False, 1)


async def test_a_secret_that_cannot_be_read_for_a_while_and_comes_back_is_tried(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        secret = desk.sandbox.folder / "client-secret"
        kept = secret.read_text()
        secret.unlink()
        await desk.fail()
        await desk.look()
        secret.write_text(kept)
        await desk.look()
        assert not desk.paused


STORE = """#!{python}
import pathlib
folder = pathlib.Path({folder!r})
with open(folder / "asked", "a") as asked:
    asked.write("x")
print((folder / "secret").read_text())
"""


@asynccontextmanager
async def counting(
    folder: Path, period: float = 15.0
) -> AsyncIterator[tuple[Desk, Callable[[float], Awaitable[int]]]]:
    """An account that has just paused, whose password comes out of a store that counts what it is asked.

    Its relay looks every `period` seconds; the function tells how often it asked within so many seconds.
    """
    program, asked = folder / "store", folder / "asked"
    program.write_text(STORE.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o700)
    login = f'authentication = "password"\npassword = "command:{program}"\n'
    async with refresher(folder, login=login) as desk:
        await desk.fail()
        for event in desk.relay.said(AccountPaused):
            desk.refresher.notice(event)

        async def within(seconds: float) -> int:
            before = asked.stat().st_size if asked.exists() else 0
            for _ in range(int(seconds // 15)):
                await desk.refresher.look()
                await desk.relay.pass_time(period)
            return asked.stat().st_size - before

        yield desk, within


@pytest.mark.parametrize("period", [15.0, 14.996])  # some loops wake up a little too soon
async def test_a_store_where_nothing_changes_is_asked_less_and_less(tmp_path: Path, period: float) -> None:
    async with counting(tmp_path, period) as (_, within):
        assert await within(60) == 3  # at once, after 15 s, and 30 s later
        assert await within(540) == 3  # then after 1, 2, 4 minutes
        assert await within(3600) == 12  # and every five minutes


async def test_a_new_secret_in_such_a_store_is_found_within_five_minutes(tmp_path: Path) -> None:
    async with counting(tmp_path) as (desk, within):
        await within(3600)
        (tmp_path / "secret").write_text("second")
        await within(300)
        assert (desk.paused, desk.sent) == (False, 1)


@pytest.mark.parametrize("how", ["login", "reload", "pause"])
async def test_what_somebody_does_has_such_a_store_asked_at_once(tmp_path: Path, how: str) -> None:
    async with counting(tmp_path) as (desk, within):
        await within(3600)
        if how == "login":
            await desk.refresher.changed("alerts")
            desk.relay.providers["alerts"].answers = [REVOKED]
        elif how == "reload":
            desk.refresher.use({"alerts": desk.account})
        else:
            await desk.relay.dispatcher.resume("alerts")
            await within(15)
            await desk.fail()
        assert await within(60) == 3


async def test_what_is_paused_by_hand_stays_so(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.relay.dispatcher.pause("alerts")
        await desk.look()
        await desk.sign_in()
        await desk.look()
        assert desk.paused
        assert await desk.refresher.changed("alerts") is False


async def test_without_waiting_mail_a_new_token_is_the_proof(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.relay.dispatcher.refused("alerts", REVOKED)
        await desk.look()
        assert desk.paused
        desk.sandbox.set_faults(Faults(revoked=True))
        assert await desk.refresher.changed("alerts") is True
        assert desk.paused
        assert "still gets no token" in desk.relay.said(Warned)[-1].text
        desk.sandbox.set_faults(Faults())
        await desk.refresher.changed("alerts")
        assert not desk.paused


@pytest.mark.parametrize(("login", "sent"), [("", 1), (PASSWORD, 0)])
async def test_a_restart_may_be_the_change_but_never_for_a_password(
    tmp_path: Path, login: str, sent: int
) -> None:
    left = Pause(account="alerts", since=1_799_999_000.0, reason="Refused.", probe=None)
    async with refresher(tmp_path, login=login, pauses=(left,)) as desk:
        await desk.relay.submit()
        await desk.look()
        assert desk.sent == sent


async def test_a_reload_takes_up_a_secret_that_changed_in_its_place(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        source = desk.relay.dispatcher.account_states["alerts"].channel.source
        assert source is not None
        before = await source.token()
        requests = desk.sandbox.authorization.requests
        desk.refresher.use({"alerts": desk.account})
        await desk.look()
        assert desk.sandbox.authorization.requests == requests  # nothing changed
        secret = desk.sandbox.folder / "client-secret"
        right = secret.read_text()
        secret.write_text("wrong")
        desk.refresher.use({"alerts": desk.account})
        await desk.look()
        assert "the one in use stays" in desk.relay.said(Warned)[-1].text
        assert await source.token() == before
        desk.sandbox.authorization._clients["sandbox-app"] = "rotated"
        secret.write_text("rotated")
        desk.refresher.use({"alerts": desk.account})
        await desk.look()
        assert (await source.token()).access != before.access
        assert right not in "".join(map(str, desk.relay.events))


async def test_an_account_that_a_reload_is_about_to_bring_waits_for_the_next_look(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        new = replace(desk.account, name="new")
        desk.refresher.use({"alerts": desk.account, "new": new})
        await desk.look()
        assert desk.relay.said(Warned) == []


class Removing(ByPlace):
    """A new secret, and while it is read a reload takes the account away."""

    reference = "env:NEW"

    def __init__(self, relay: Relay) -> None:
        self.relay = relay

    def place(self) -> tuple[object, ...]:
        return (self.reference,)

    async def read(self) -> Secret:
        await self.relay.dispatcher.reload({}, rules())
        return Secret("second")


async def test_an_account_that_a_reload_takes_away_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.fail()
        await desk.look()
        assert isinstance(desk.account.grant, RefreshToken)
        desk.refresher._accounts = {  # its secret is read as it is about to go
            "alerts": replace(
                desk.account, grant=replace(desk.account.grant, client_secret=Removing(desk.relay))
            )
        }
        await desk.refresher.look()
        assert dict(desk.relay.dispatcher.account_states) == {}


# Idle sign-ins ------------------------------------------------------------------------------------


async def live(desk: Desk, days: int) -> None:
    """Let days pass, with a look every hour."""
    for _ in range(days * 24):
        await desk.relay.pass_time(3600)
        await desk.refresher.look()


async def test_a_sign_in_that_nobody_uses_is_renewed_every_week(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.sign_in()
        before = desk.sandbox.authorization.requests
        await live(desk, 30)
        assert desk.sandbox.authorization.requests - before == 4
        assert not desk.paused


async def test_the_shorter_it_lives_the_more_often_it_is_used(tmp_path: Path) -> None:
    async with refresher(tmp_path, 'refresh-token-idle = "1d"') as desk:
        await desk.sign_in()
        await live(desk, 3)
        assert desk.sandbox.authorization.requests == 3 * 3
        store = desk.account.token_store(desk.state, clock=desk.relay.clock)
        assert desk.relay.clock.now() - (await store.load()).refreshed < DAY / 2


async def test_one_that_died_pauses_the_account_before_mail_waits_for_it(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.sign_in()
        desk.sandbox.set_faults(Faults(revoked=True))
        await live(desk, 8)
        (paused,) = desk.relay.said(AccountPaused)
        assert (paused.account, paused.person) == ("alerts", True)
        desk.sandbox.set_faults(Faults())
        await desk.sign_in()
        await desk.look()
        assert not desk.paused


async def test_a_server_that_is_down_meanwhile_costs_nothing(tmp_path: Path) -> None:
    async with refresher(tmp_path) as desk:
        await desk.sign_in()
        desk.sandbox.set_faults(Faults(token=[TokenFault(kind="down")]))
        await live(desk, 8)
        assert "could not be renewed yet" in desk.relay.said(Warned)[-1].text
        desk.sandbox.set_faults(Faults())
        await live(desk, 1)
        assert not desk.paused
        store = desk.account.token_store(desk.state, clock=desk.relay.clock)
        assert desk.relay.clock.now() - (await store.load()).refreshed < DAY
