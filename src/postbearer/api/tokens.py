"""Tokens of API clients: each is shown once, when it is made; the state folder keeps hashes of them.

A token is 256 bits of chance, so a plain hash is enough: there is nothing to guess. Whoever asks by one is
looked up in what the file holds at that moment: a token that is revoked ends at once, in a relay that runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode, format

from postbearer.control import TokenStatus
from postbearer.errors import StoreError, UsageError
from postbearer.secret import Secret
from postbearer.state import FileLock, StateFolder, read_private, trouble, write_private
from postbearer.suggestion import did_you_mean

FIRST = "admin"  # the token that `serve` makes
FIRST_FILE = "api-token"  # … and keeps here, for the user of the relay
MOST = 1000  # tokens
_FILE = "api-tokens"
_PREFIX = "pbt_"  # so that a token that was pasted somewhere is known for what it is
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class TokenScope(StrEnum):
    """What a token is good for."""

    SUBMIT = "submit"  # hand in messages
    READ = "read"  # see messages and accounts
    OPERATE = "operate"  # work on the queue and on accounts
    ADMIN = "admin"  # everything


IMPLIED: Mapping[TokenScope, frozenset[TokenScope]] = {
    TokenScope.SUBMIT: frozenset({TokenScope.SUBMIT}),
    TokenScope.READ: frozenset({TokenScope.READ}),
    TokenScope.OPERATE: frozenset({TokenScope.OPERATE, TokenScope.READ}),
    TokenScope.ADMIN: frozenset(TokenScope),
}


class ApiToken(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One token, without the token. Times are Unix seconds; `client` is a name of ``[[relay.clients]]``."""

    name: str
    scopes: tuple[TokenScope, ...]
    client: str = ""
    made: float
    expires: float | None = None
    sha256: str

    @property
    def allowed(self) -> frozenset[TokenScope]:
        """Its scopes, with what they imply."""
        return _allowed(self.scopes)

    def expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now


@cache
def _allowed(scopes: tuple[TokenScope, ...]) -> frozenset[TokenScope]:
    return frozenset().union(*(IMPLIED[each] for each in scopes))


class _Kept(Struct, frozen=True):
    tokens: tuple[ApiToken, ...] = ()


class ApiTokens:
    """The tokens of one state folder. All methods raise `StoreError`."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._path = os.path.join(state.path, _FILE)
        self._seen: tuple[int, int, int] | None = None  # what tells that the file is another one
        self._tokens: tuple[ApiToken, ...] = ()
        self._by_hash: dict[str, ApiToken] = {}
        self._uses: dict[str, _Use] = {}

    def all(self) -> tuple[ApiToken, ...]:
        """All that are not revoked, in the order in which they were made."""
        self._look()
        return self._tokens

    def find(self, token: str) -> ApiToken | None:
        """Whose `token` is; also when it is over."""
        self._look()
        return self._by_hash.get(_hash(token))

    def create(
        self,
        name: str,
        scopes: Collection[TokenScope],
        *,
        now: float,
        client: str = "",
        expires: float | None = None,
    ) -> Secret:
        """Make a token; it cannot be had again. Raises `UsageError` for a name that is none, or is taken."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"A token cannot be called {name!r:.80}.",
                hint="Use small letters, digits, dot, hyphen and underscore; at most 64.",
            )
        if not scopes:
            raise UsageError("A token without a scope is good for nothing.", hint="Give it one: submit")
        token = Secret(_PREFIX + secrets.token_urlsafe(32))
        made = ApiToken(
            name=name,
            scopes=tuple(each for each in TokenScope if each in scopes),
            client=client,
            made=now,
            expires=expires,
            sha256=_hash(token.reveal()),
        )
        with self._alone():
            kept = self._read()
            if any(each.name == name for each in kept):
                raise UsageError(
                    f"There is a token {name!r} already.",
                    hint=f"Revoke it: postbearer api-token revoke {name}",
                )
            if len(kept) >= MOST:
                raise UsageError(f"There are {MOST} tokens already.", hint="Revoke those nobody uses.")
            self._write((*kept, made))
        return token

    def used(self, token: ApiToken, now: float, refusal: str = "") -> None:
        """Note, in memory, that somebody asked by it; `refusal` says why that was not answered."""
        use = self._uses.setdefault(token.sha256, _Use())
        if refusal:
            use.failures, use.failure = use.failures + 1, refusal
        else:
            use.used, use.requests = now, use.requests + 1

    def statuses(self, now: float) -> tuple[TokenStatus, ...]:
        """All that are not revoked, for people, with what became of requests by them in this process."""
        tokens = self.all()
        known = {each.sha256 for each in tokens}
        self._uses = {key: use for key, use in self._uses.items() if key in known}
        return tuple(_status(each, self._uses.get(each.sha256, _Use()), now) for each in tokens)

    def revoke(self, name: str) -> None:
        """End a token, at once and for good. Raises `UsageError` if there is none of that name."""
        with self._alone():
            kept = self._read()
            left = tuple(each for each in kept if each.name != name)
            if len(left) == len(kept):
                hint = did_you_mean(name, [each.name for each in kept])
                raise UsageError(f"There is no token {name!r:.80}.", hint=hint)
            self._write(left)

    def ensure_first(self, now: float) -> str:
        """Make the first token, for the relay's own user, if it is not there; the path of its file."""
        path = os.path.join(self._state.path, FIRST_FILE)
        if read_private(path) is None:
            if any(each.name == FIRST for each in self.all()):
                self.revoke(FIRST)  # nobody knows it any more
            token = self.create(FIRST, [TokenScope.ADMIN], now=now)
            write_private(path, f"{token.reveal()}\n".encode())
        return path

    def _alone(self) -> FileLock:
        self._state.writable()
        return FileLock(f"{self._path}.lock")

    def _look(self) -> None:
        """Read the file if it is another one than before."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            seen = None
        except OSError as error:
            raise trouble(error, self._path, "read") from error
        else:
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen or seen is None:
            self._tokens = self._read()
            self._by_hash = {each.sha256: each for each in self._tokens}
            self._seen = seen

    def _read(self) -> tuple[ApiToken, ...]:
        octets = read_private(self._path)
        if octets is None:
            return ()
        try:
            return decode(octets, type=_Kept).tokens
        except DecodeError as error:
            raise StoreError(
                f"{self._path} is damaged: {error}.",
                hint="Restore it from a backup; or remove it, and make the tokens anew.",
                configuration=True,
            ) from None

    def _write(self, tokens: tuple[ApiToken, ...]) -> None:
        write_private(self._path, format(encode(_Kept(tokens)), indent=1))


@dataclass(slots=True)
class _Use:
    """What became of requests by a token."""

    used: float | None = None
    requests: int = 0
    failures: int = 0
    failure: str = ""


def _status(token: ApiToken, use: _Use, now: float) -> TokenStatus:
    return TokenStatus(
        name=token.name,
        scopes=tuple(token.scopes),
        client=token.client,
        made=token.made,
        expires=token.expires,
        expired=token.expired(now),
        last_used=use.used,
        requests=use.requests,
        failures=use.failures,
        failure=use.failure,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
