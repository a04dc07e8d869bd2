"""Passwords of who logs in: argon2id, checked in equal time, once per login and process."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from postbearer.clock import Clock
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.submission.access import neighbourhood
from postbearer.submission.rate_limit import Window
from postbearer.wire import compose

MEMORY = 19 * 1024  # KiB, and two passes: what OWASP asks of argon2id at the least
AT_ONCE = 2  # verifications side by side: each takes memory and a core
REMEMBER = 600.0  # seconds a verified login is known without another verification
FAILURES = 20  # in a minute from one address; then nothing of it is verified

# RFC 4954 6; what was wrong is nobody's business.
WRONG = compose(535, "Authentication credentials invalid", enhanced="5.7.8")
LATER = compose(454, "Too many failed logins from your address, try again later", enhanced="4.7.0")

_PHC = re.compile(
    r"(\$argon2id\$v=19\$m=[0-9]{1,8},t=[0-9]{1,4},p=[0-9]{1,3}\$)[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)


def hash_password(password: Secret) -> str:
    """A PHC string for ``password-hash``."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    made = Argon2id(salt=secrets.token_bytes(16), length=32, iterations=2, lanes=1, memory_cost=MEMORY)
    return made.derive_phc_encoded(password.reveal().encode())


def is_password_hash(text: str) -> bool:
    """Whether `text` is an argon2id hash as `hash_password` and others write it."""
    return _PHC.fullmatch(text) is not None


def password_fits(password: Secret, phc: str) -> bool:
    """Whether `password` is the one `phc` was made of; False also for a hash that cannot be read."""
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password.reveal().encode(), phc)
    except (InvalidKey, ValueError):
        return False
    return True


class HasPassword(Protocol):
    """Whoever may log in."""

    @property
    def password_hash(self) -> str: ...


L = TypeVar("L", bound=HasPassword)
L_co = TypeVar("L_co", bound=HasPassword, covariant=True)


class LoginBook(Protocol[L_co]):
    """Who may log in by which name."""

    @property
    def hashes(self) -> Sequence[str]:
        """The password hashes of all of them."""
        ...

    def by_login(self, username: str, address: str) -> L_co | None:
        """Who logs in as `username`, if that may be from `address`."""
        ...


class Logins(Generic[L]):
    """Verifies logins. Every failure costs the same work, whoever has that name, if anybody has.

    Hashes may be made with different parameters, and then cost differently. So behind the hash of the name
    one of each other kind in use is computed too, of a password that nobody knows.
    """

    def __init__(self, access: LoginBook[L], clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, float] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._turns: dict[str, _Turn] = {}
        self._failures = Window(clock)
        self.use(access)

    def use(self, access: LoginBook[L]) -> None:
        """Go by others who may log in; what failed within the last minute stays counted."""
        self._access = access
        self._decoys = {kind: _of_kind(kind) for kind in map(_kind, access.hashes) if kind}

    async def verify(self, username: str, password: Secret, address: str) -> L | Reply:
        """Who this is, or what to tell them."""
        admission = self._access.by_login(username, address)
        address = neighbourhood(address)
        mark = self._mark(username, password, admission)
        if admission is not None and self._known.get(mark, 0.0) > self._clock.monotonic():
            return admission
        if self._failures.count(address) >= FAILURES:
            return LATER
        self._failures.add(address)  # before the wait, or as many would get through as come at once
        stored = admission.password_hash if admission is not None else ""
        async with self._turn(address), self._places:
            fits = await asyncio.to_thread(self._fits, password, stored)
        if admission is None or not fits:
            return WRONG
        self._failures.take_back(address)
        now = self._clock.monotonic()
        self._known = {each: until for each, until in self._known.items() if until > now}
        self._known[mark] = now + REMEMBER
        return admission

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        """One after the other from each address: many connections are not before all others."""
        turn = self._turns.setdefault(address, _Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[address]

    def _fits(self, password: Secret, stored: str) -> bool:
        """Whether `password` belongs to the hash `stored`; ``""``: nobody has that name."""
        kind = _kind(stored)
        if kind and password_fits(password, stored):
            return True
        for other, decoy in self._decoys.items():
            if other != kind:
                password_fits(password, decoy)
        return False

    def _mark(self, username: str, password: Secret, admission: HasPassword | None) -> bytes:
        """What a verified login is remembered by; a changed hash makes it another login."""
        stored = admission.password_hash if admission is not None else ""
        parts = "\0".join((username, stored, password.reveal())).encode()
        return hmac.new(self._key, parts, hashlib.sha256).digest()


@dataclass(slots=True)
class _Turn:
    """Of one address: who verifies now, and how many do or want to."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted: int = 0


def _kind(phc: str) -> str:
    """Algorithm and parameters, which are what a hash costs; ``""`` if it is none."""
    found = _PHC.fullmatch(phc)
    return found[1] if found is not None else ""


def _of_kind(kind: str) -> str:
    """A hash of a password that nobody knows."""
    salt, derived = (b64encode(secrets.token_bytes(n)).decode().rstrip("=") for n in (16, 32))
    return f"{kind}{salt}${derived}"
