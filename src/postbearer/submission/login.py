"""Passwords of clients: argon2id, checked in equal time, once per client and process."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets

from postbearer.clock import Clock
from postbearer.secret import Secret
from postbearer.submission.access import Access, Admission

MEMORY = 19 * 1024  # KiB, and two passes: what OWASP asks of argon2id at the least
AT_ONCE = 2  # verifications side by side: each takes memory and a core
REMEMBER = 600.0  # seconds a verified login is known without another verification


def hash_password(password: Secret) -> str:
    """A PHC string for ``password-hash``."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    made = Argon2id(salt=secrets.token_bytes(16), length=32, iterations=2, lanes=1, memory_cost=MEMORY)
    return made.derive_phc_encoded(password.reveal().encode())


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
        self._nobody = ""

    async def verify(self, username: str, password: Secret, address: str) -> Admission | None:
        """Who this is, or None."""
        admission = self._access.by_login(username, address)
        mark = self._mark(username, password, admission)
        now = self._clock.monotonic()
        if admission is not None and self._known.get(mark, 0.0) > now:
            return admission
        async with self._places:
            stored = admission.password_hash if admission is not None else await self._decoy()
            fits = await asyncio.to_thread(password_fits, password, stored)
        if admission is None or not fits:
            return None
        self._known = {each: until for each, until in self._known.items() if until > now}
        self._known[mark] = now + REMEMBER
        return admission

    def _mark(self, username: str, password: Secret, admission: Admission | None) -> bytes:
        """What a verified login is remembered by; a changed hash makes it another login."""
        stored = admission.password_hash if admission is not None else ""
        parts = "\0".join((username, stored, password.reveal())).encode()
        return hmac.new(self._key, parts, hashlib.sha256).digest()

    async def _decoy(self) -> str:
        if not self._nobody:
            self._nobody = await asyncio.to_thread(hash_password, Secret(secrets.token_hex(16)))
        return self._nobody
