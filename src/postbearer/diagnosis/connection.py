"""The steps on the way to one mail server: DNS, TCP, TLS, EHLO."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from postbearer.account import Account
from postbearer.clock import Clock
from postbearer.diagnosis.failures import Explainer
from postbearer.diagnosis.finding import Failure, Finding, Step, not_done
from postbearer.errors import ConfigError, ConnectFailed, PostbearerError, TlsFailed
from postbearer.events import Connected, Event, TlsStarted
from postbearer.providers import Preset
from postbearer.transport import (
    Capture,
    Conversation,
    Deadline,
    Dial,
    Opener,
    ServerAddress,
    Smarthost,
    Timeouts,
    TlsInfo,
)
from postbearer.wire import Extensions

Resolve = Callable[[str, int], Awaitable[tuple[str, ...]]]

PATIENCE = Timeouts(connect=15, tls=15, greeting=30, command=30, auth=60, quit=5)  # a person is waiting
LIMIT = 120.0  # seconds for one server
_SOON = 21 * 86400.0  # seconds of life left at which a certificate is worth a word
_BEARER = ("OAUTHBEARER", "XOAUTH2")


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses of `host`, in the order in which they are tried. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class ConnectionProgress:
    """An observer that remembers how far a connection came."""

    def __init__(self) -> None:
        self.connected = False
        self.encrypted = False

    def notice(self, event: Event) -> None:
        """Remember `event`."""
        self.connected = self.connected or isinstance(event, Connected)
        self.encrypted = self.encrypted or isinstance(event, TlsStarted)


@dataclass(slots=True)
class ConnectionAttempt:
    """One try to reach one server; `talk` is open when all went well."""

    account: Account
    preset: Preset
    server: ServerAddress
    explainer: Explainer
    clock: Clock
    dial: Dial
    resolve: Resolve
    capture: Callable[[], Capture] | None
    talk: Conversation | None = None

    async def run(self) -> AsyncIterator[Finding]:
        """One finding for each of the four steps."""
        lookup = await self._look_up()
        yield lookup
        if lookup.ok is False:
            for step in (Step.TCP, Step.TLS, Step.EHLO):
                yield self._skipped(step, "the name was not found")
            return
        progress = ConnectionProgress()
        try:
            self.talk = await self._opener(progress).reach(self.server, Deadline(self.clock, LIMIT))
        except PostbearerError as error:
            for finding in self._broken(error, progress):
                yield finding
            return
        yield self._found(Step.TCP, f"{self.server} takes connections{self._by_proxy}")
        yield self._encrypted(self.talk.stream.tls)
        yield self._offered(self.talk.core.extensions)

    def _opener(self, progress: ConnectionProgress) -> Opener:
        smarthost: Smarthost = replace(self.account.smarthost, timeouts=PATIENCE)
        return Opener(
            smarthost=smarthost,
            context=self._context,
            clock=self.clock,
            observer=progress,
            account=self.account.name,
            dial=self.dial,
            capture=self.capture,
        )

    def _context(self) -> ssl.SSLContext:
        return self.account.smarthost.tls_context()

    @property
    def _by_proxy(self) -> str:
        proxy = self.account.smarthost.proxy
        return f" through {proxy}" if proxy is not None else ""

    async def _look_up(self) -> Finding:
        proxy = self.account.smarthost.proxy
        host, port = (proxy.host, proxy.port) if proxy is not None else (self.server.host, self.server.port)
        try:
            ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return self._found(Step.DNS, f"{host} is an address", addresses=[host])
        try:
            async with asyncio.timeout(PATIENCE.connect):
                addresses = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            return self._not_found(host, error)
        later = f"; {proxy} looks up {self.server.host}" if proxy is not None else ""
        return self._found(Step.DNS, f"{host} is {', '.join(addresses)}{later}", addresses=list(addresses))

    def _not_found(self, host: str, error: Exception) -> Finding:
        """A name that is not there is a slip of the pen; a resolver that is silent will speak again."""
        absent = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
        why = getattr(error, "strerror", "") or "the name service did not answer"
        finding = self.explainer.failed(
            Step.DNS, ConnectFailed(f"The name {host} was not found: {why}.", stage="conn"), str(self.server)
        )
        if absent:
            wrong = "the server's name in servers" if host == self.server.host else "the name in proxy"
            fix = f"Correct {wrong}, or have the name added to DNS."
            return replace(finding, cause="DNS knows no such name.", fix=fix, failure=Failure.CONFIGURATION)
        return replace(
            finding,
            cause="The name service of this machine gives no answer.",
            fix="Check the network and the name servers of this machine.",
        )

    def _broken(self, error: PostbearerError, progress: ConnectionProgress) -> list[Finding]:
        """The findings when the connection did not come as far as EHLO."""
        at = _step(error, progress)
        failed = self.explainer.failed(at, error, str(self.server))
        if at is Step.TCP:
            return [
                failed,
                self._skipped(Step.TLS, "there is no connection"),
                self._skipped(Step.EHLO, "there is no connection"),
            ]
        connected = self._found(Step.TCP, f"{self.server} takes connections{self._by_proxy}")
        if at is Step.TLS:
            return [connected, failed, self._skipped(Step.EHLO, "there is no TLS")]
        tls = (
            self._found(Step.TLS, "TLS stands, and the certificate holds")
            if progress.encrypted
            else self._skipped(Step.TLS, "the server turned us away before")
        )
        return [connected, tls, failed]

    def _encrypted(self, tls: TlsInfo | None) -> Finding:
        if tls is None:
            return self._found(Step.TLS, "none: the server is on this machine (tls = none-loopback)")
        text = f"{tls.version}, {tls.cipher}"
        details: dict[str, object] = {"version": tls.version, "cipher": tls.cipher}
        notes: tuple[str, ...] = ()
        certificate = tls.certificate
        if certificate is not None:
            left = certificate.expires - self.clock.now()
            days = int(left // 86400)
            text += f"; certificate for {tls.name} by {certificate.issuer}, good for {days} days"
            details["certificate"] = {
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "names": list(certificate.names),
                "expires": certificate.expires,
                "days": days,
            }
            if left < _SOON:
                notes = (f"The server's certificate ends in {days} days; its operator must renew it.",)
        return replace(self._found(Step.TLS, text, **details), notes=notes)

    def _offered(self, offered: Extensions) -> Finding:
        bearer = [name for name in offered.mechanisms if name in _BEARER]
        size = f", messages up to {offered.size:,} octets" if offered.size else ""
        text = f"AUTH {' '.join(offered.mechanisms) or 'is not offered'}{size}"
        notes = tuple(self._differences(offered, bearer))
        found = self._found(
            Step.EHLO,
            text,
            extensions=offered.render(),
            mechanisms=list(offered.mechanisms),
            size=offered.size,
        )
        return replace(found, notes=notes)

    def _differences(self, offered: Extensions, bearer: list[str]) -> list[str]:
        """How what is offered differs from what the preset says and the account counts on."""
        title, notes = self.preset.title, []
        usual = {line.split()[0].upper() for line in self.preset.ehlo.after_tls}
        missing = sorted(keyword for keyword in usual if keyword not in offered)
        if missing:
            notes.append(f"{title} was seen to offer {', '.join(missing)} as well: is this its own server?")
        gone = [name for name in self.preset.mechanisms if name not in bearer]
        if bearer and gone:
            notes.append(f"{title} was seen to take {', '.join(gone)} as well; it is not offered here.")
        largest = self.account.limits.size
        if largest is not None and offered.size is not None and offered.size < largest:
            notes.append(
                f"The account allows messages of {largest:,} octets, the server only {offered.size:,}."
            )
        return notes

    def _found(self, step: Step, text: str, **details: object) -> Finding:
        return Finding(step=step, ok=True, text=text, server=str(self.server), details=details)

    def _skipped(self, step: Step, why: str) -> Finding:
        return not_done(step, why, str(self.server))


def _step(error: PostbearerError, progress: ConnectionProgress) -> Step:
    """Which of the steps `error` ended."""
    if not progress.connected:
        return Step.TLS if isinstance(error, ConfigError) else Step.TCP
    stage = getattr(error, "stage", "")
    return Step.TLS if isinstance(error, TlsFailed | ConfigError) or stage == "tls" else Step.EHLO
