"""The way in: a one-time code on this machine, or a password, and a second factor where one is set."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from postbearer.clock import Clock
from postbearer.console.codes import OneTimeCodes
from postbearer.console.logins import ConsoleLogin, ConsoleLogins
from postbearer.console.passkeys import Passkeys, Site, fits
from postbearer.console.second_factor import SecondFactor
from postbearer.control import FROM_ELSEWHERE, Principal
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.submission import Logins, RejectLog, Window, neighbourhood

FAILURES = 10  # in a minute, of one name or from one address
LATER = "Too many logins failed. Wait a minute, and try again."
WRONG = "Name, password and code do not belong together."
SPENT = (
    "This code is over: each opens the console once, within ten minutes. Ask for another: postbearer console"
)
ELSEWHERE = "A one-time code is good on the relay's own machine only. Log in by name and password."
UNKNOWN = "This passkey is not known here. Log in by name and password, and add it under “Sessions”."
BY_CODE = Principal("console", "one-time code", FROM_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Turned:
    """Nobody was let in, and why."""

    why: str
    late: bool = False  # too many have tried


class Gate:
    """Lets people in. Failures count by name and by address, whoever has that name, if anybody has."""

    def __init__(self, codes: OneTimeCodes, passkeys: Passkeys, clock: Clock, reject_log: RejectLog) -> None:
        self.logins = ConsoleLogins()
        self.passkeys = passkeys
        self._codes = codes
        self._clock = clock
        self._reject_log = reject_log
        self._passwords: Logins[ConsoleLogin] = Logins(self.logins, clock)
        self._second = SecondFactor()
        self._failures = Window(clock)

    def use(self, logins: Sequence[ConsoleLogin]) -> None:
        """Go by other logins."""
        self.logins = ConsoleLogins(logins)
        self._passwords.use(self.logins)

    def by_code(self, code: str, peer: str, *, here: bool) -> Turned | None:
        """Try a code; `here`: the browser is on this machine. None: it is let in."""
        place = f"address {neighbourhood(peer)}"
        if not here:
            return Turned(ELSEWHERE)
        if self._failures.count(place) >= FAILURES:
            return Turned(LATER, late=True)
        if self._codes.use(code):
            return None
        self._failures.add(place)
        self._reject_log.login_failed(peer, "")
        return Turned(SPENT)

    async def by_passkey(self, answer: str, site: Site, peer: str) -> ConsoleLogin | Turned:
        """Try what a browser made of a passkey. Raises `StoreError`."""
        place = f"address {neighbourhood(peer)}"
        if self._failures.count(place) >= FAILURES:
            return Turned(LATER, late=True)
        self._failures.add(place)
        passkey = await asyncio.to_thread(self.passkeys.check, answer, site)
        login = self.logins.by_login(passkey.login, peer) if passkey is not None else None
        if passkey is None or login is None or not fits(passkey, login):
            self._reject_log.login_failed(peer, login.name if login is not None else "")
            return Turned(UNKNOWN)
        self._failures.take_back(place)
        return login

    async def by_password(self, name: str, password: Secret, code: str, peer: str) -> ConsoleLogin | Turned:
        """Try a name with its password and, where one is set, its second factor. Raises `SecretError`."""
        names = (f"name {name}", f"address {neighbourhood(peer)}")
        if any(self._failures.count(each) >= FAILURES for each in names):
            return Turned(LATER, late=True)
        for each in names:  # before the wait: as many would get through as come at once
            self._failures.add(each)
        found = await self._passwords.verify(name, password, peer)
        if isinstance(found, Reply):
            self._reject_log.login_failed(peer, name if self.logins.by_login(name, peer) else "")
            return Turned(LATER, late=True) if found.code < 500 else Turned(WRONG)
        if found.totp is not None:
            key = await found.totp.read()
            if not self._second.fits(name, key, code, self._clock.now()):
                self._reject_log.login_failed(peer, name)
                return Turned(WRONG)
        for each in names:
            self._failures.take_back(each)
        return found
