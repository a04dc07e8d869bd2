"""Passwords of clients: argon2id, checked in equal time, once per client and process."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from base64 import b64encode

from postbearer.clock import Clock
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.submission.access import Access, Admission
from postbearer.submission.limits import Window
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


class Logins:
    """Verifies logins. An unknown name costs as much time as a wrong password."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, float] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._failures = Window(clock)
        self._decoy = _like(next(iter(access.hashes), ""))

    async def verify(self, username: str, password: Secret, address: str) -> Admission | Reply:
        """Who this is, or what to tell them."""
        admission = self._access.by_login(username, address)
        mark = self._mark(username, password, admission)
        if admission is not None and self._known.get(mark, 0.0) > self._clock.monotonic():
            return admission
        if self._failures.count(address) >= FAILURES:
            return LATER
        stored = admission.password_hash if admission is not None else self._decoy
        async with self._places:
            fits = await asyncio.to_thread(password_fits, password, stored)
        if admission is None or not fits:
            self._failures.add(address)
            return WRONG
        now = self._clock.monotonic()
        self._known = {each: until for each, until in self._known.items() if until > now}
        self._known[mark] = now + REMEMBER
        return admission

    def _mark(self, username: str, password: Secret, admission: Admission | None) -> bytes:
        """What a verified login is remembered by; a changed hash makes it another login."""
        stored = admission.password_hash if admission is not None else ""
        parts = "\0".join((username, stored, password.reveal())).encode()
        return hmac.new(self._key, parts, hashlib.sha256).digest()


def _like(phc: str) -> str:
    """A hash that takes as long as `phc`, of a password that nobody knows; ``""`` if there is none."""
    found = _PHC.fullmatch(phc)
    if found is None:
        return ""
    salt, derived = (b64encode(secrets.token_bytes(n)).decode().rstrip("=") for n in (16, 32))
    return f"{found[1]}{salt}${derived}"
