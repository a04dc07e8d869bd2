"""Who logs in by another library's connection, and whether that connection may carry a token at all."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from postbearer.account import Account
from postbearer.errors import LocalProtocolError, UsageError
from postbearer.oauth import TokenSource
from postbearer.providers import Rule
from postbearer.sasl import Preference
from postbearer.tokens import configured, token_source
from postbearer.transport import ServerAddress

Who = Account | TokenSource | str  # an account, the name of a configured one, or tokens alone
_SAFE_TLS = ("TLSv1.2", "TLSv1.3")  # RFC 9325 3.1.1


@dataclass(frozen=True, slots=True)
class Peer:
    """The server that the other library is connected to."""

    host: str  # the name its certificate was checked for; its address without TLS
    port: int
    verified: bool  # TLS is on, and chain and name were checked

    @classmethod
    def of(cls, tls: ssl.SSLSocket | ssl.SSLObject | None, address: Any) -> Self:
        """From the TLS object of a connection, if it has one, and its ``getpeername()``."""
        inet = address if isinstance(address, tuple) else ("", 0)
        if tls is None:
            return cls(str(inet[0]), int(inet[1]), verified=False)
        context, name = tls.context, tls.server_hostname
        checked = context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
        return cls(str(name or inet[0]), int(inet[1]), bool(checked and name and tls.version() in _SAFE_TLS))

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return str(ServerAddress(self.host, self.port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a login needs to know, whoever was named."""

    source: TokenSource
    username: str
    account: str = ""
    mechanism: Preference = "auto"
    rules: Sequence[Rule] | None = None  # the provider's known replies
    servers: tuple[
        ServerAddress, ...
    ] = ()  # its tokens go nowhere else; none: that is for the caller to see to
    loopback: bool = False  # it does without TLS on this machine

    @classmethod
    def of(cls, who: Who, username: str = "", config: str | os.PathLike[str] | None = None) -> Self:
        """Raises `ConfigError`, and `UsageError` when a source comes without the name it is for."""
        if isinstance(who, str):
            who = configured(who, config)
        if isinstance(who, Account):
            smarthost = who.smarthost
            return cls(
                source=token_source(who),
                username=username or smarthost.username,
                account=who.name,
                mechanism=smarthost.mechanism,
                rules=smarthost.rules,
                servers=smarthost.servers,
                loopback=smarthost.tls == "none-loopback",
            )
        if not username:
            raise UsageError(
                "A token source does not say who logs in.", hint='Add username="you@example.org".'
            )
        return cls(source=who, username=username)

    def check(self, peer: Peer, hint: str) -> None:
        """Raise `LocalProtocolError` if no token may go to `peer`; `hint` says how that library does TLS."""
        if self.loopback and peer.loopback:
            return
        if not peer.verified:
            raise LocalProtocolError(
                f"The connection to {peer} is not verified TLS; no token is sent over it.", hint=hint
            )
        names = {_plain(server.host) for server in self.servers}
        if names and _plain(peer.host) not in names:
            raise LocalProtocolError(
                f"{peer.host} is no server of the account {self.account}; no token is sent to it.",
                hint=f"Connect to {' or '.join(map(str, self.servers))}, or add it to the account's servers.",
            )


def _plain(host: str) -> str:
    return host.lower().rstrip(".")
