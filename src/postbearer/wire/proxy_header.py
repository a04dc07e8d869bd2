"""Who a proxy says the client is: the header of the PROXY protocol, versions 1 and 2, before all else.

By HAProxy's specification. It is read piece by piece, as nothing behind it may be taken: TLS begins there.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Generator

from postbearer.errors import RemoteProtocolError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # of version 2
LONGEST_LINE = 107  # octets of version 1, CRLF included
LONGEST_BLOCK = 4096  # octets behind the head of version 2; the largest addresses and some TLVs fit in
_HEAD = struct.Struct("!BBH")
_LOCAL, _PROXY = 0x20, 0x21  # version 2, and the command
_TCP4, _TCP6 = 0x11, 0x21

Reading = Generator[int, bytes, str]


def read_proxy_header() -> Reading:
    """Yields how many octets are wanted next, and is sent exactly those. Returns the client's address.

    It is empty where the proxy speaks for itself, or does not know: nothing of who that is may be believed.
    Raises `RemoteProtocolError` for anything that is no header.
    """
    begun = yield len(SIGNATURE)
    if begun == SIGNATURE:
        return (yield from _version_2())
    if begun.startswith(b"PROXY "):
        return (yield from _version_1(begun))
    raise RemoteProtocolError("It sent no header of the PROXY protocol.")


def _version_1(begun: bytes) -> Reading:
    line = begun
    while not line.endswith(b"\n"):
        if len(line) >= LONGEST_LINE:
            raise RemoteProtocolError("Its PROXY line has no end.")
        line += yield 1
    words = line[:-2].split(b" ") if line.endswith(b"\r\n") else []
    match words:
        case [b"PROXY", b"UNKNOWN", *_]:
            return ""
        case [b"PROXY", (b"TCP4" | b"TCP6") as family, source, target, from_port, to_port]:
            version = 4 if family == b"TCP4" else 6
            address = _address(source, version)
            if address and _address(target, version) and _is_port(from_port) and _is_port(to_port):
                return address
    raise RemoteProtocolError("Its PROXY line is not one.")


def _is_port(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 5 and int(text) <= 65535


def _address(text: bytes, version: int) -> str:
    try:
        found = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return ""
    return str(found) if found.version == version and "%" not in str(found) else ""


def _version_2() -> Reading:
    command, family, length = _HEAD.unpack((yield _HEAD.size))
    if length > LONGEST_BLOCK:
        raise RemoteProtocolError(f"Its PROXY header has {length} octets; {LONGEST_BLOCK} are the most.")
    block = (yield length) if length else b""
    if command == _LOCAL:
        return ""
    if command != _PROXY:
        raise RemoteProtocolError("Its PROXY header is of a version or kind that nobody knows.")
    size = {_TCP4: 4, _TCP6: 16}.get(family)
    if size is None:
        return ""  # a Unix socket, datagrams, or it does not say
    if len(block) < 2 * size + 4:
        raise RemoteProtocolError("Its PROXY header is too short for its addresses.")
    return str(ipaddress.ip_address(block[:size]))
