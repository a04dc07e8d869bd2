"""What paused accounts prove themselves with, as digests: told anew at each look, read as often as is fair.

What stands on this machine is read each time. A store that is asked over a network may count what it is
asked, and a program may ask one: while nothing changes there, it is left alone for longer and longer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from postbearer.account import Account
from postbearer.clock import Clock
from postbearer.diagnosis import secret_sources
from postbearer.errors import SecretError
from postbearer.oauth import digest
from postbearer.secret import SecretSource
from postbearer.state import Persistence

LOOK = 15.0  # seconds between looks at the secrets of a paused account
SLOWEST = 300.0  # seconds between looks at stores where nothing changes
_EARLY = 1.0  # seconds by which a look may come too soon: timers do not ring to the millisecond


@dataclass(slots=True)
class _Stores:
    """What the stores of one account gave last, and when they are asked again (monotonic)."""

    wait: float = LOOK
    due: float = 0.0
    seen: Mapping[str, str] = field(default_factory=dict)


class Fingerprints:
    """Of the secrets of accounts and of their kept sign-ins no more than a digest is kept, in memory."""

    def __init__(self, state: Persistence, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._stores: dict[str, _Stores] = {}

    def hurry(self, name: str | None = None) -> None:
        """Something happened to the account, or to all: its stores are asked at the next look."""
        if name is None:
            self._stores.clear()
        else:
            self._stores.pop(name, None)

    async def of(self, account: Account) -> str:
        """A digest of the account's secrets and of its kept sign-in, as far as known now."""
        sources = secret_sources(account)
        near = {key: source for key, source in sources.items() if getattr(source, "local", False)}
        far = {key: source for key, source in sources.items() if key not in near}
        known = await _digests(near)
        if far:
            known |= await self._ask(account.name, far)
        if account.grant is not None and account.grant.keeps_refresh_token:
            kept = await account.token_store(self._state, clock=self._clock).load()
            known["sign-in"] = f"{digest(kept.refresh)} {kept.damage}"
        text = "".join(f"{key} {known[key]}\n" for key in sorted(known))
        return hashlib.sha256(text.encode()).hexdigest()

    async def _ask(self, name: str, sources: Mapping[str, SecretSource]) -> Mapping[str, str]:
        stores = self._stores.setdefault(name, _Stores())
        if self._clock.monotonic() >= stores.due:
            seen = await _digests(sources)
            stores.wait = min(2 * stores.wait, SLOWEST) if seen == stores.seen else LOOK
            stores.seen = seen
            stores.due = self._clock.monotonic() + stores.wait - _EARLY
        return stores.seen


async def _digests(sources: Mapping[str, SecretSource]) -> dict[str, str]:
    """Of each secret, or why it cannot be read."""
    found = {}
    for key, source in sources.items():
        try:
            found[key] = digest(await source.read())
        except SecretError as error:
            found[key] = error.message
    return found
