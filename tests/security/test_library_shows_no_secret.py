"""NO-CANARY in the library: errors with their variables, logs, reprs, pickles, and what is on the disk."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer import ClientCredentials, Password, RefreshToken, StaticToken
from postbearer.account import Account
from postbearer.blocking import Mailer
from postbearer.clock import SystemClock
from postbearer.errors import PostbearerError
from postbearer.events import Event, Silent
from postbearer.mailer import AsyncMailer
from postbearer.secret import Secret
from postbearer.state import MemoryState, StateFolder
from postbearer.testing import Faults, Sandbox, SmtpFault, TokenFault
from postbearer.testing.sandbox import ADDRESS, CLIENT_ID
from support.canary import assert_absent
from support.planted import assert_none_shows, everything_below, told
from support.sandboxed import RAW, TO_YOU, at

Make = Callable[[Sandbox], Account]


def app_only(sandbox: Sandbox) -> Account:
    return sandbox.account()


def by_password(sandbox: Sandbox) -> Account:
    grant = Password(CLIENT_ID, ADDRESS, Secret(sandbox.users[ADDRESS]), Secret(sandbox.client_secret))
    return replace(sandbox.account(), grant=replace(grant, scopes=["smtp.send"]))


def by_refresh_token(sandbox: Sandbox) -> Account:
    grant = RefreshToken(CLIENT_ID, Secret(sandbox.sign_in()), Secret(sandbox.client_secret))
    return replace(sandbox.account(), grant=grant)


FAULTS = {
    "none": Faults(),
    "token endpoint down": Faults(token=[TokenFault(kind="down")]),
    "no JSON": Faults(token=[TokenFault(kind="not-json")]),
    "redirect": Faults(token=[TokenFault(kind="redirect")]),
    "huge answer": Faults(token=[TokenFault(kind="huge")]),
    "lost rotation": Faults(token=[TokenFault(kind="lost-rotation")]),
    "throttled": Faults(token=[TokenFault(kind="throttled")]),
    "revoked": Faults(revoked=True),
    "tokens refused": Faults(refuse_tokens=9),
    "hangs up at AUTH": Faults(smtp=[SmtpFault(at="auth")]),
    "no JSON challenge": Faults(smtp=[SmtpFault(at="auth", reply="334 bm8=")]),
    "AUTH refused": Faults(smtp=[SmtpFault(at="auth", reply="535 5.7.8 no")]),
    "AUTH broken": Faults(smtp=[SmtpFault(at="auth", reply="250 what?")]),
    "AUTH for now": Faults(smtp=[SmtpFault(at="auth", reply="454 4.7.0 later")]),
    "hangs up at MAIL": Faults(smtp=[SmtpFault(at="mail")]),
    "recipient refused": Faults(smtp=[SmtpFault(at="rcpt", reply="550 5.1.1 no")]),
    "hangs up over the content": Faults(smtp=[SmtpFault(at="content")]),
    "cut short": Faults(disconnect_after=1200),
}


class Remembering:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def notice(self, event: Event) -> None:
        self.events.append(event)


@pytest.mark.parametrize("make", [app_only, by_password, by_refresh_token])
@pytest.mark.parametrize("fault", FAULTS)
async def test_o9_nothing_is_shown_whatever_happens(
    postbearer_sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Make, fault: str
) -> None:
    sandbox, watching, seen = postbearer_sandbox, Remembering(), []
    asyncio.get_running_loop().set_debug(True)
    caplog.set_level(logging.DEBUG)
    account = make(sandbox)
    sandbox.set_faults(Faults(**{name: getattr(FAULTS[fault], name) for name in Faults.__struct_fields__}))
    async with AsyncMailer(account, state=StateFolder(tmp_path / "state"), observer=watching) as mailer:
        for _ in range(2):
            try:
                seen.append(repr(await mailer.send(RAW, TO_YOU)))
            except PostbearerError as error:
                seen.append(told(error))
        seen += [repr(watching.events), repr(mailer), repr(account), *map(str, watching.events)]
    assert len(seen[0]) > 100
    assert_none_shows(sandbox, caplog.text, *seen, *everything_below(tmp_path))


async def test_o9_a_wrong_secret_is_not_shown_either(postbearer_sandbox: Sandbox, tmp_path: Path) -> None:
    canary = "wrong-CANARY+secret/~value"
    account = replace(postbearer_sandbox.account(), grant=ClientCredentials(CLIENT_ID, Secret(canary)))
    async with AsyncMailer(account, state=StateFolder(tmp_path / "state")) as mailer:
        with pytest.raises(PostbearerError) as refused:
            await mailer.send(RAW, TO_YOU)
    assert_absent(canary, told(refused.value), *everything_below(tmp_path))


async def test_o9_a_static_token_is_not_shown_when_it_is_refused(postbearer_sandbox: Sandbox) -> None:
    canary = "static.CANARY-token_0123456789~+/"
    account = replace(postbearer_sandbox.account(), grant=StaticToken(Secret(canary)))
    for smtp in ([], [SmtpFault(at="auth")]):
        postbearer_sandbox.set_faults(Faults(smtp=smtp))
        async with AsyncMailer(account, state="memory") as mailer:
            with pytest.raises(PostbearerError) as refused:
                await mailer.send(RAW, TO_YOU)
            assert_absent(canary, told(refused.value))


@pytest.mark.parametrize("make", [app_only, by_password, by_refresh_token])
def test_l7_what_holds_a_secret_shows_and_pickles_nothing(postbearer_sandbox: Sandbox, make: Make) -> None:
    account = make(postbearer_sandbox)
    source = account.token_source(MemoryState(), clock=SystemClock(), observer=Silent())
    token = asyncio.run(source.token())
    holders = [account, account.grant, source, token, token.access, Secret(postbearer_sandbox.client_secret)]
    for holder in holders:
        shown = [repr(holder), str(holder), f"{holder}", f"{holder!s:>40}", f"{holder!a}"]
        assert_none_shows(postbearer_sandbox, *shown)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(holder, protocol)
    for holder in (token, token.access):
        with pytest.raises(TypeError):
            copy.deepcopy(holder)


def test_o8_a_sign_in_at_rest_is_sealed_and_bound_to_its_account(
    postbearer_sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox, folder = postbearer_sandbox, StateFolder(tmp_path / "state")
    for name in ("one", "two"):
        account = replace(by_refresh_token(sandbox), name=name)
        with Mailer(account, state=folder) as mailer:
            mailer.send(RAW, TO_YOU)
    one, two = Path(folder.token("one")), Path(folder.token("two"))
    assert one.stat().st_mode & 0o777 == two.stat().st_mode & 0o777 == 0o600
    assert_none_shows(sandbox, *everything_below(tmp_path))
    two.write_bytes(one.read_bytes())  # somebody swaps two rows
    mailer = Mailer(replace(by_refresh_token(sandbox), name="two"), state=folder)
    with mailer, pytest.raises(PostbearerError, match="cannot be read"):
        mailer.send(RAW, TO_YOU)


async def test_c3_a_changed_server_never_gets_the_token_of_the_old_one(
    postbearer_sandbox: Sandbox, tmp_path: Path
) -> None:
    """State is bound to the servers: another name in the configuration starts with nothing."""
    sandbox, folder = postbearer_sandbox, StateFolder(tmp_path / "state")
    before = sandbox.token_requests
    async with AsyncMailer(sandbox.account(), state=folder) as mailer:
        await mailer.send(RAW, TO_YOU)
    changed = at(sandbox.account(), f"127.0.0.1:{sandbox.starttls_port}")
    async with AsyncMailer(changed, state=folder) as mailer:
        await mailer.send(RAW, TO_YOU)
    assert sandbox.token_requests - before == 2
    assert changed.binding != sandbox.account().binding
