"""Who may log in to the console, and what each may do there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from postbearer.control import FROM_ELSEWHERE, Principal, Right

if TYPE_CHECKING:
    from postbearer.secret import SecretSource


class Role(StrEnum):
    """What somebody may do: each role does what those before it do, too."""

    SEE = "see"  # looks at everything but the messages themselves
    OPERATE = "operate"  # works on the queue and on accounts
    ADMIN = "admin"  # reads messages, and changes accounts


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.SEE: frozenset({Right.LOOK}),
    Role.OPERATE: frozenset({Right.LOOK, Right.OPERATE}),
    Role.ADMIN: FROM_ELSEWHERE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleLogin:
    """One ``[[http.logins]]``. `totp` is where the key of the second factor stands; None: there is none."""

    name: str
    password_hash: str = field(repr=False)  # argon2id, as a PHC string
    role: Role = Role.SEE
    totp: SecretSource | None = None

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What a session is bound to: when one of these changes, it is over."""
        return self.name, self.password_hash, self.role, self.totp.reference if self.totp else ""

    @property
    def principal(self) -> Principal:
        return Principal(self.name, "console login", RIGHTS[self.role])


class ConsoleLogins:
    """All logins of one configuration."""

    def __init__(self, logins: Sequence[ConsoleLogin] = ()) -> None:
        self._by_name = {each.name: each for each in logins}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(each.password_hash for each in self._by_name.values())

    def by_login(self, username: str, address: str) -> ConsoleLogin | None:
        """Who logs in as `username`, from whatever `address`."""
        return self._by_name.get(username)
