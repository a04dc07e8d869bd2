"""``postbearer login``: a person signs in, once, for an account that acts for that person."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from postbearer.cli import completion
from postbearer.cli.options import Common, chosen_account, common_options, duration, pass_common
from postbearer.cli.output import print_json, printable, warn
from postbearer.cli.progress_listener import ProgressListener
from postbearer.cli.relay_wakeup import wake_relay
from postbearer.cli.tables import age
from postbearer.errors import ConfigError, GrantRefused, UsageError
from postbearer.events import TokenFetched

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.clock import Clock
    from postbearer.oauth import AuthorizationCode, GrantStore, Invitation, PersonGrant, TokenAnswer

PATIENCE = 300.0  # seconds for a person to sign in; a code to type has a life of its own


@click.command("login")
@click.argument("account", required=False, shell_complete=completion.accounts)
@click.option("--paste", is_flag=True, help="No browser here: paste the address that one ends at elsewhere.")
@click.option("--device", is_flag=True, help="No browser here: type a code into one elsewhere.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Where the browser comes back to; a free one unless given."
)
@click.option("--no-browser", is_flag=True, help="Only show the address; open no browser.")
@click.option(
    "--timeout",
    metavar="DURATION",
    callback=duration,
    help="How long to wait for you; 5 minutes for a browser.",
)
@common_options
@pass_common
def command(common: Common, /, account: str | None, **given: Any) -> None:
    """Sign in for ACCOUNT (the only one, if there is one), as its mailbox's user.

    With the grant authorization-code a page opens in the browser, which comes back to this machine when
    all is done. Where no browser runs, forward the port (ssh -L 8400:127.0.0.1:8400 …, --port 8400), or
    use --paste, or --device if the provider has that. With the grant device-code it is always --device.

    What comes back is kept sealed, shared by all programs of this user and renewed by itself; sign in
    again when an error says so.
    """
    from postbearer.assembly import Assembly
    from postbearer.clock import SystemClock
    from postbearer.control import person_grant, with_endpoints

    assembly, clock = Assembly.load(common.config), SystemClock()
    account = chosen_account(assembly.configuration, account)
    chosen = assembly.account(account)
    with assembly.placing(account):
        person_grant(chosen)
        store = chosen.token_store(assembly.persistence, clock=clock)
        store.prepare()  # what could not be kept is told before somebody signs in for nothing
        with store.signing_in():
            located = asyncio.run(with_endpoints(chosen, device=given["device"], now=clock.now()))
            grant = _grant(located, **{way: given[way] for way in ("paste", "device", "port")})
            _Login(located, grant, store, clock, common.verbose).run(**given)
    woken = wake_relay(account)
    if common.as_json:
        print_json({"account": account, "signed_in": True})
    else:
        again = " The relay, which had paused the account, tries again now." if woken else ""
        click.echo(f"Signed in.{again} Try: postbearer check {account}")


def _grant(account: Account, *, paste: bool, device: bool, port: int | None) -> PersonGrant:
    """The grant of `account`, if a person can sign in in this way."""
    from postbearer.control import person_grant
    from postbearer.oauth import AuthorizationCode

    grant = person_grant(account)
    device = device or not isinstance(grant, AuthorizationCode)
    if device and paste:
        raise UsageError("With a code to type there is nothing to paste.", hint="Leave --paste out.")
    if device and port:
        raise UsageError("With a code to type no browser comes back here.", hint="Leave --port out.")
    if device and not grant.device_url:
        raise ConfigError(
            f"No device authorization endpoint is known for {account.name}.",
            key="device-url",
            hint="Sign in without --device: with --paste no browser is needed here. Or set device-url.",
        )
    return grant


@dataclass(frozen=True, slots=True)
class _Login:
    """One sign-in, in one of three ways."""

    account: Account
    grant: PersonGrant
    store: GrantStore
    clock: Clock
    verbose: bool

    def run(
        self, *, paste: bool, device: bool, port: int | None, no_browser: bool, timeout: float | None
    ) -> None:
        from postbearer.oauth import AuthorizationCode, loopback_port

        grant = self.grant
        if device or not isinstance(grant, AuthorizationCode):
            asyncio.run(self._by_device(timeout))
            return
        registered = loopback_port(grant.redirect_uri)
        if port and registered is None:
            raise UsageError(
                f"The browser does not come back to this machine, but to {grant.redirect_uri}.",
                hint="Leave --port out.",
            )
        if paste or registered is None:
            self._by_paste(grant, port, timeout)
        else:
            patience = PATIENCE if timeout is None else timeout
            asyncio.run(self._by_browser(grant, port or registered, not no_browser, patience))

    def _late(self, text: str) -> GrantRefused:
        return GrantRefused(
            text,
            account=self.account.name,
            code="timeout",
            who="mailbox user",
            hint="Begin again, with a longer --timeout.",
        )

    async def _keep(self, answer: TokenAnswer) -> None:
        from postbearer.oauth import keep_sign_in

        scope = answer.scope or " ".join(self.grant.scopes)
        fetched = TokenFetched(self.account.name, self.grant.name, answer.lifetime, scope)
        ProgressListener(verbose=self.verbose).notice(fetched)
        await keep_sign_in(self.store, answer, now=self.clock.now(), margin=self.account.refresh_margin)
        self._step(f"kept, sealed, in {self.store.place}")

    def _redeeming(self) -> None:
        self._step(f"a code came; asking {self.account.endpoint.url} for the tokens")

    def _step(self, text: str) -> None:
        if self.verbose:
            _say(text)

    async def _by_device(self, timeout: float | None) -> None:
        from postbearer.oauth import DeviceSignIn

        one = DeviceSignIn(self.grant, self.account.endpoint, self.clock, self.account.name)
        self._step(f"asking {self.grant.device_url} for a code")
        try:
            async with asyncio.timeout(timeout):
                answer = await one.run(lambda invitation: _show_code(invitation, timeout))
        except TimeoutError:
            raise self._late(f"Nobody typed the code within {timeout:g} s.") from None
        await self._keep(answer)

    def _by_paste(self, grant: AuthorizationCode, port: int | None, timeout: float | None) -> None:
        from postbearer.cli.stdin_line import read_line
        from postbearer.oauth import CodeSignIn, with_port

        uri = with_port(grant.redirect_uri, port) if port else grant.redirect_uri
        one = CodeSignIn(grant, self.account.endpoint, self.clock, self.account.name, uri)
        _say(f"Open this address in any browser, and sign in{_as(grant)}:", "", f"  {one.url}", "")
        _say(f"At the end the browser goes to {uri}, and may say that nothing is there.")
        _say("Copy that whole address, or the code if one is shown, and paste it here:")
        try:
            text = read_line(timeout)
        except TimeoutError:
            raise self._late(f"Nothing was pasted within {timeout:g} s.") from None
        code = one.reader.pasted(text)
        self._redeeming()

        async def redeem() -> None:
            await self._keep(await one.redeem(code))

        asyncio.run(redeem())

    async def _by_browser(self, grant: AuthorizationCode, port: int, opens: bool, timeout: float) -> None:
        from postbearer.cli.loopback import RedirectListener, bound
        from postbearer.oauth import CodeSignIn

        listener, uri = bound(grant.redirect_uri, port)
        self._step(f"listening for the browser at {uri}")
        with listener:
            one = CodeSignIn(grant, self.account.endpoint, self.clock, self.account.name, uri)
            path = urlsplit(uri).path or "/"
            async with RedirectListener(listener, path, one.reader, _tell) as waiting:
                opened = opens and _open_browser(one.url)
                first = "If no browser opens, open" if opened else "Open"
                _say(f"{first} this address, and sign in{_as(grant)}:", "", f"  {one.url}", "")
                _say(f"Waiting for the browser to come back, {timeout:g} s at most.")
                if not opened:
                    port = listener.getsockname()[1]
                    _say(f"From another machine: ssh -L {port}:127.0.0.1:{port} …; or use --paste.")
                code = await waiting.code(timeout)
                self._redeeming()
                await self._keep(await one.redeem(code))


def _as(grant: AuthorizationCode) -> str:
    return f" as {grant.user}" if grant.user else ""


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(printable(line), err=True)


def _tell(refused: GrantRefused) -> None:
    warn(f"{refused.message} Still waiting.", refused.hint)


def _show_code(invitation: Invitation, timeout: float | None) -> None:
    patience = invitation.seconds if timeout is None else min(invitation.seconds, timeout)
    _say(f"Open {invitation.url} in any browser and type {invitation.code}")
    _say(f"Waiting for you, {age(patience)} at most.")


def _open_browser(url: str) -> bool:
    """Open `url` in a browser with a window of its own; whether there is one."""
    import os
    import threading
    import webbrowser

    windows = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform not in ("win32", "darwin") and not any(map(os.environ.get, windows)):
        return False  # a browser within the terminal would fight with us for it
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    threading.Thread(target=browser.open, args=(url,), daemon=True).start()  # some return when it is closed
    return True
