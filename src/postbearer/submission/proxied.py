"""The client behind a proxy, by the PROXY protocol, of proxies that are trusted and of nobody else."""

from __future__ import annotations

import asyncio
import socket

from postbearer.errors import RemoteProtocolError
from postbearer.submission.access import is_loopback
from postbearer.wire import read_proxy_header

NOBODY = "::"  # the unspecified address (RFC 4291 2.5.2): in no network, and not this machine


async def client_behind(connection: socket.socket, patience: float) -> str:
    """The address of the client, once the proxy has told it, for which it has `patience` seconds.

    `NOBODY` where it does not say. An address of loopback is the proxy's own machine, which may be another
    than ours: so that is nobody, too. Raises `RemoteProtocolError`, `OSError` or `TimeoutError`.
    """
    async with asyncio.timeout(patience):
        reading = read_proxy_header()
        wanted = next(reading)
        while True:
            octets = await _exactly(connection, wanted)
            try:
                wanted = reading.send(octets)
            except StopIteration as end:
                address: str = end.value
                return NOBODY if not address or is_loopback(address) else address


async def _exactly(connection: socket.socket, count: int) -> bytes:
    loop, found = asyncio.get_running_loop(), b""
    while len(found) < count:
        octets = await loop.sock_recv(connection, count - len(found))
        if not octets:
            raise RemoteProtocolError("It left before its PROXY header was there.")
        found += octets
    return found
