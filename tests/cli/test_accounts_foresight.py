"""``postbearer accounts`` and ``check`` say what will run out, and from thirty days on what to do."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

from cli.conftest import Home
from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.oauth import keep_sign_in
from postbearer.oauth.token import TokenAnswer
from postbearer.secret import Secret
from postbearer.state import StateFolder
from postbearer.store import SqliteSpool
from postbearer.testing import Sandbox


def in_days(days: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86_400))


def stopped(state: Path) -> None:
    """What a relay leaves behind."""

    async def make() -> None:
        spool = SqliteSpool(state / "spool.db", clock=SystemClock(), reserve=0, allow_ephemeral=True)
        await spool.open()
        await spool.close()

    state.mkdir(mode=0o700, exist_ok=True)
    asyncio.run(make())


def test_what_runs_out_is_shown_with_the_remedy(home: Home, postbearer_sandbox: Sandbox) -> None:
    text = postbearer_sandbox.configuration()
    home.write(f"{text}client-secret-expires = {in_days(12)}\nconsent-expires = {in_days(400)}\n")
    stopped(home.folder / "state")
    home.environ["POSTBEARER_STATE"] = str(home.folder / "state")
    listed, shown = home.run("accounts"), home.run("accounts", "show", "sandbox")
    assert listed.code == 0, listed.err
    assert "client-secret in 11 d" in listed.out
    assert "the client secret: 20" in shown.out
    assert "Make a new one at the provider, and put it where its reference points." in shown.out
    assert "administrator consent" not in shown.out  # that is early
    secret, consent = json.loads(home.run("accounts", "show", "sandbox", "--json").out)["runs_out"]
    assert (secret["what"], secret["level"]) == ("client-secret", 30)
    assert (consent["what"], consent["level"]) == ("consent", None)
    checked = home.run("check", "sandbox")
    assert checked.code == 0, checked.out
    assert "✓ runs out       the client secret: " in checked.out
    assert "11 days left" in checked.out
    assert "! Make a new one at the provider" in checked.out


def test_no_relay_is_needed_to_look(home: Home, postbearer_sandbox: Sandbox) -> None:
    home.write(f"{postbearer_sandbox.configuration()}client-secret-expires = {in_days(12)}\n")
    queue = home.folder / "state" / "spool.db"
    home.environ["POSTBEARER_STATE"] = str(queue.parent)
    listed, shown = home.run("accounts", "--json"), home.run("accounts", "show", "sandbox")
    assert listed.code == 0, listed.err
    (told,) = json.loads(listed.out)["accounts"]
    assert (told["name"], told["state"], told["counts"]) == ("sandbox", "ready", {})
    assert "the client secret: 20" in shown.out
    assert f"note: There is no queue at {queue}" in listed.err
    assert home.run("accounts", "pause", "sandbox").code == 78  # there is nowhere to keep that
    assert home.run("accounts", "show", "sandbx").code == 78
    assert not queue.exists()


def test_an_account_that_nobody_has_signed_in_for_says_so(home: Home, postbearer_sandbox: Sandbox) -> None:
    text = postbearer_sandbox.configuration()
    device = postbearer_sandbox.describe()["device_url"]
    home.write(re.sub("(?m)^grant = .*$", f'grant = "device-code"\ndevice-url = "{device}"', text))
    stopped(home.folder / "state")
    told = "Nobody has signed in for it as it is configured now. Sign in: postbearer login sandbox"
    (row,) = home.run("accounts").out.splitlines()[1:]
    assert row.split()[:2] == ["sandbox", "not-signed-in"]
    assert row.endswith(told)
    shown = json.loads(home.run("accounts", "show", "sandbox", "--json").out)
    assert (shown["state"], f"{shown['reason']} {shown['remedy']}") == ("not-signed-in", told)

    async def sign_in() -> None:
        account = Assembly.load(home.config, {}, StateFolder(home.folder / "state")).account("sandbox")
        kept = account.token_store(StateFolder(home.folder / "state"), clock=SystemClock())
        answer = TokenAnswer(Secret("access"), refresh=Secret("refresh"))
        await keep_sign_in(kept, answer, now=SystemClock().now())

    asyncio.run(sign_in())
    (row,) = home.run("accounts").out.splitlines()[1:]
    assert row.split()[:2] == ["sandbox", "ready"]


def test_a_day_is_set_by_name(home: Home, postbearer_sandbox: Sandbox) -> None:
    home.write(postbearer_sandbox.configuration())
    key = "accounts.sandbox.client-secret-expires"
    assert home.run("config", "set", key, "2027-03-01").code == 0
    assert home.run("config", "get", key).out.strip() == "2027-03-01"
    assert f"{key.rpartition('.')[2]} = 2027-03-01" in home.config.read_text()
    wrong = home.run("config", "set", key, "soon")
    assert (wrong.code, "must be a day" in wrong.err) == (78, True)
