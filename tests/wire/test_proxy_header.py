"""The header of the PROXY protocol, octet by octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import RemoteProtocolError
from postbearer.wire import read_proxy_header

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
# As HAProxy 2.6 (send-proxy, send-proxy-v2) writes them.
LINE_4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 2525\r\n"
LINE_6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 2525\r\n"
BLOCK_4 = SIGNATURE + bytes.fromhex("2111000c c0000207 c6336401 c822 09dd")
BLOCK_6 = SIGNATURE + bytes.fromhex(
    "21210024 20010db8000000000000000000000007 20010db8000000000000000000000001 c822 09dd"
)
CHECK = SIGNATURE + bytes.fromhex("20000000")  # a health check: the proxy speaks for itself
TLV = bytes.fromhex("03 0004 a9b87c5a")  # a CRC-32C behind the addresses
WITH_TLV = SIGNATURE + bytes.fromhex("21110013 c0000207 c6336401 c822 09dd") + TLV


def read(data: bytes) -> tuple[str, bytes]:
    """The address, and what stands behind the header."""
    reading = read_proxy_header()
    wanted, place = next(reading), 0
    while True:
        piece = data[place : place + wanted]
        if len(piece) < wanted:
            raise EOFError
        place += wanted
        try:
            wanted = reading.send(piece)
        except StopIteration as end:
            return end.value, data[place:]


@pytest.mark.parametrize("behind", [b"", b"EHLO a\r\n", b"\x16\x03\x01", b"\n", b"PROXY TCP4"])
@pytest.mark.parametrize(
    ("header", "address"),
    [
        (LINE_4, "192.0.2.7"),
        (LINE_6, "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", ""),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""),
        (BLOCK_4, "192.0.2.7"),
        (BLOCK_6, "2001:db8::7"),
        (WITH_TLV, "192.0.2.7"),
        (CHECK, ""),
        (SIGNATURE + bytes.fromhex("21000000"), ""),  # it does not say over what
        (SIGNATURE + bytes.fromhex("213100d8") + bytes(216), ""),  # a Unix socket
        (SIGNATURE + bytes.fromhex("2111100c") + bytes.fromhex("c0000207") + bytes(4104), None),
    ],
)
def test_who_it_is_and_nothing_of_what_stands_behind_is_taken(
    header: bytes, address: str | None, behind: bytes
) -> None:
    if address is None:
        with pytest.raises(RemoteProtocolError):
            read(header + behind)
    else:
        assert read(header + behind) == (address, behind)


@pytest.mark.parametrize("header", [LINE_4, LINE_6, BLOCK_4, BLOCK_6, WITH_TLV, CHECK])
def test_a_header_that_is_cut_anywhere_wants_more(header: bytes) -> None:
    for cut in range(len(header)):
        with pytest.raises(EOFError):
            read(header[:cut])


@pytest.mark.parametrize(
    "sent",
    [
        b"EHLO client.example.org\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 2525\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 2525\r\n",
        b"PROXY TCP4 2001:db8::7 198.51.100.1 51234 2525\r\n",
        b"PROXY TCP4 192.0.2.7 2001:db8::1 51234 2525\r\n",
        b"PROXY TCP4 192.0.2.700 198.51.100.1 51234 2525\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 51234 2525\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 51234 2525\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 51234 2525\r\n",
        b"PROXY " + b"x" * 200,
        b"proxy TCP4 192.0.2.7 198.51.100.1 51234 2525\r\n",
        SIGNATURE + bytes.fromhex("1111000c") + bytes(12),  # version 1 in the form of version 2
        SIGNATURE + bytes.fromhex("2211000c") + bytes(12),  # a command that nobody knows
        SIGNATURE + bytes.fromhex("2111000b") + bytes(11),  # too short for its addresses
        SIGNATURE + bytes.fromhex("21210023") + bytes(35),
        SIGNATURE + bytes.fromhex("2111ffff") + bytes(100),
    ],
)
def test_what_is_no_header_is_refused(sent: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(sent)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(SIGNATURE.__add__)))
def test_whatever_comes_is_read_or_refused(sent: bytes) -> None:
    try:
        address, behind = read(sent)
    except (RemoteProtocolError, EOFError):
        return
    assert sent.endswith(behind)
    assert address == "" or "." in address or ":" in address
