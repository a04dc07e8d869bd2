"""Sessions of browsers: kept here and nowhere else, so that each can be ended, and all end with the relay."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postbearer.clock import Clock
from postbearer.control import Principal
from postbearer.secret import Secret

if TYPE_CHECKING:
    from postbearer.console.drafts import SettingsDraft
    from postbearer.console.undoing import Undo

IDLE = 3600.0  # seconds without a request, after which a session is over
LONGEST = 12 * 3600.0  # seconds that it lasts at most
MOST = 500
_NOTICES = 20


@dataclass(slots=True, kw_only=True)
class ConsoleSession:
    """One browser that is logged in.

    `identity` is that of the login it came by; empty: by a one-time code. `csrf` has to come back with
    everything that changes something. `notices` are told by the next page. `id` names it to people, and
    `peer` and `browser` are what is known of where it is.
    """

    principal: Principal
    identity: tuple[str, ...] = ()
    peer: str = ""
    browser: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    notices: list[tuple[str, str]] = field(default_factory=list)  # kind and text
    typed: dict[str, Secret] = field(default_factory=dict, repr=False)  # of a form that was not right yet
    drafts: dict[str, SettingsDraft] = field(default_factory=dict, repr=False)  # by id: not written yet
    undo: Undo | None = None  # what takes back the last act on messages …
    offered: bool = True  # … and whether a page has said so
    reading: str = ""  # the message whose page was shown last
    began: float = 0.0  # monotonic
    seen: float = 0.0

    def say(self, text: str, kind: str = "done") -> None:
        """Have the next page tell `text`: what was done, or what was not (`kind` "problem")."""
        self.notices = [*self.notices, (kind, text)][-_NOTICES:]

    def offer(self, undo: Undo | None) -> None:
        """Have the next page offer to take back what was just done; what was before, nobody takes back."""
        self.undo, self.offered = undo, undo is None

    def take_offer(self) -> Undo | None:
        """What the next page is to offer, once."""
        offer, self.offered = None if self.offered else self.undo, True
        return offer

    def take_notices(self) -> list[tuple[str, str]]:
        """What is to be told, once."""
        told, self.notices = self.notices, []
        return told


class ConsoleSessions:
    """All that are not over. A browser holds 256 bits of chance; what is kept of them here is a hash."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[bytes, ConsoleSession] = {}

    def begin(
        self, principal: Principal, identity: tuple[str, ...] = (), *, peer: str = "", browser: str = ""
    ) -> tuple[str, ConsoleSession]:
        """A new session, and what its browser is to show for it."""
        now = self._clock.monotonic()
        self._sessions = {key: each for key, each in self._sessions.items() if not self._over(each)}
        if len(self._sessions) >= MOST:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].seen)]
        token = secrets.token_urlsafe(32)
        made = ConsoleSession(
            principal=principal, identity=identity, peer=peer, browser=browser, began=now, seen=now
        )
        self._sessions[_hash(token)] = made
        return token, made

    def find(self, token: str) -> ConsoleSession | None:
        """The session of who shows `token`, which is alive for another while."""
        key = _hash(token)
        found = self._sessions.get(key)
        if found is None:
            return None
        if self._over(found):
            del self._sessions[key]
            return None
        found.seen = self._clock.monotonic()
        return found

    def alive(self, session: ConsoleSession) -> bool:
        """Whether it has not ended; to ask does not keep it alive."""
        return not self._over(session) and any(each is session for each in self._sessions.values())

    def end(self, token: str) -> None:
        """It is over."""
        self._sessions.pop(_hash(token), None)

    def all(self) -> list[ConsoleSession]:
        """Those that are not over, the one that was used last first."""
        alive = [each for each in self._sessions.values() if not self._over(each)]
        return sorted(alive, key=lambda each: -each.seen)

    def end_those(self, ended: Collection[ConsoleSession]) -> None:
        """They are over."""
        gone = {each.id for each in ended}
        self._sessions = {key: each for key, each in self._sessions.items() if each.id not in gone}

    def _over(self, session: ConsoleSession) -> bool:
        now = self._clock.monotonic()
        return now - session.seen > IDLE or now - session.began > LONGEST


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
