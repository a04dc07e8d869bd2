"""Connections to one host that are kept between requests, and lead to addresses that may be called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult

from postbearer.errors import ConnectFailed
from postbearer.http_addresses import NO_ADDRESS, AddressRules

if TYPE_CHECKING:
    import httpx2

MOST_ADDRESSES: Final = 4  # of one name, that are tried one after the other


class HttpSession:
    """For `fetch`, and one URL. Its name is looked up once a request, and what was found is connected to.

    A proxy of the environment looks the name up itself: then it is the proxy that has to see where it leads.
    """

    def __init__(self, rules: AddressRules, hint: str = "") -> None:
        """`hint` is what to do about an address that may not be called."""
        self._rules = rules
        self._hint = hint
        self._client: httpx2.AsyncClient | None = None

    def client(self, make: Callable[[], httpx2.AsyncClient]) -> httpx2.AsyncClient:
        """The one that is kept."""
        if self._client is None:
            self._client = make()
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def check(self, parts: SplitResult) -> None:
        """Where a proxy looks names up, an address that is written out is judged. Raises `ConnectFailed`."""
        host = parts.hostname or ""
        refusal = self._rules.refusal(host)
        if refusal and refusal != NO_ADDRESS:
            raise self._refused(host, host, refusal)

    async def places(self, parts: SplitResult) -> Sequence[str]:
        """The URL with addresses in place of its name, those that may be called. Raises `ConnectFailed`."""
        import asyncio
        import socket

        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "no such name"
            raise ConnectFailed(f"{host} cannot be found: {why}.", host=host, stage="connect") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        allowed = [each for each in addresses if not self._rules.refusal(each)]
        if not allowed:
            raise self._refused(host, addresses[0], self._rules.refusal(addresses[0]))
        return [_at(parts, each, port) for each in allowed[:MOST_ADDRESSES]]

    def _refused(self, host: str, address: str, what: str) -> ConnectFailed:
        text = f"{host} is {what}." if address == host else f"{host} leads to {address}, {what}."
        return ConnectFailed(text, host=host, stage="connect", hint=self._hint)


def _at(parts: SplitResult, address: str, port: int) -> str:
    place = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=f"{place}:{port}").geturl()
