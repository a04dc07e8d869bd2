"""A name server on loopback, by UDP and TCP: it says what a test gives it, and fails as name servers do."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

_SMALL = 1232  # octets of an answer by UDP


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """`texts`: TXT records by name, each a record of one string or several; `aliases`: by name, another.

    A name of `broken` is answered by that code, one of `silent` not at all, one of `drowned` by TCP alone.
    """

    texts: dict[str, Sequence[bytes | Sequence[bytes]]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    broken: dict[str, dns.rcode.Rcode] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    drowned: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    transport: asyncio.DatagramTransport | None = None

    def resolver(self) -> dns.asyncresolver.Resolver:
        """One that asks this server, and nobody else."""
        made = dns.asyncresolver.Resolver(configure=False)
        made.nameservers, made.port = ["127.0.0.1"], self.port
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self.answer(data, tcp=False)
        if answer is not None and self.transport is not None:
            self.transport.sendto(answer, addr)

    def answer(self, data: bytes, *, tcp: bool) -> bytes | None:
        asked = dns.message.from_wire(data)
        [question] = asked.question
        name = question.name.to_text().rstrip(".").lower()
        self.asked.append(f"{name} by TCP" if tcp else name)
        if name in self.silent:
            return None
        said = dns.message.make_response(asked, recursion_available=True)
        if name in self.broken:
            said.set_rcode(self.broken[name])
            return said.to_wire()
        if name in self.drowned and not tcp:
            said.flags |= dns.flags.TC
            return said.to_wire()
        at = question.name.to_text()
        while (alias := self.aliases.get(at.rstrip(".").lower())) is not None and len(said.answer) < 10:
            said.answer.append(dns.rrset.from_text(at, 60, "IN", "CNAME", f"{alias}."))
            at = f"{alias}."
        records = self.texts.get(at.rstrip(".").lower())
        if records is None:
            said.set_rcode(dns.rcode.NXDOMAIN)
        for record in records or ():
            whole = isinstance(record, bytes)
            strings = [record[at : at + 255] for at in range(0, len(record), 255)] if whole else record
            quoted = " ".join('"' + "".join(f"\\{octet:03d}" for octet in each) + '"' for each in strings)
            said.answer.append(dns.rrset.from_text(at, 60, "IN", "TXT", quoted))
        wire = said.to_wire()
        if not tcp and len(wire) > _SMALL:
            said.answer.clear()
            said.flags |= dns.flags.TC
            return said.to_wire()
        return wire

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A question by TCP (RFC 1035 4.2.2)."""
        try:
            [length] = struct.unpack("!H", await reader.readexactly(2))
            answer = self.answer(await reader.readexactly(length), tcp=True)
            if answer is not None:
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """One that runs."""
    made = NameServer()
    tcp = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = tcp.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: made, local_addr=("127.0.0.1", made.port)
    )
    try:
        yield made
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()
