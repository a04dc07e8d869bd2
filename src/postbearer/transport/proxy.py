"""Through a proxy: HTTP CONNECT (RFC 9110 9.3.6) and SOCKS5 (RFC 1928, RFC 1929).

The name of the mail server is resolved by the proxy, and TLS is verified end to end, so a proxy
learns where mail goes and can do nothing but refuse. Answers are read octet by octet from our own
buffer: what the mail server says right behind them stays where it is.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from postbearer.errors import ConfigError, ConnectFailed, NetworkError
from postbearer.reply import printable
from postbearer.secret import Secret
from postbearer.transport.stream import Stream, connect, server_name

STAGE = "conn"
LONGEST_ANSWER = 8192  # octets of a whole HTTP answer up to its empty line

_SOCKS_ERRORS = {  # RFC 1928 6
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time ran out",
    7: "CONNECT is not supported",
    8: "this kind of address is not supported",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is and how to log in to it."""

    scheme: Literal["http", "socks5"]
    host: str
    port: int
    username: str = ""
    password: Secret | None = None

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read ``http://host:port`` or ``socks5://user:password@host:port``. Raises `ConfigError`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # brackets that do not close, a port that does not exist
            parts, port = urlsplit(""), None
        scheme: Literal["http", "socks5"] | None = None
        if parts.scheme == "http":
            scheme = "http"
        elif parts.scheme in ("socks5", "socks5h"):
            scheme = "socks5"
        if scheme is None or not parts.hostname or not port or parts.path not in ("", "/"):
            raise ConfigError(  # never the value itself: it may hold a password
                "The proxy is not understood.",
                key="proxy",
                hint="Write http://HOST:PORT or socks5://HOST:PORT.",
            )
        password = None if parts.password is None else Secret(unquote(parts.password))
        return cls(scheme, parts.hostname, port, unquote(parts.username or ""), password)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


async def reach(proxy: Proxy, timeout: float) -> Stream:
    """A connection to the proxy itself. Raises `NetworkError` that names it, and not the server behind."""
    try:
        return await connect(proxy.host, proxy.port, timeout=timeout)
    except NetworkError as error:
        why = error.message.removeprefix(f"{error.host}: ")
        error.message = f"The proxy {proxy} cannot be reached: {why}"
        error.hint = "Check proxy of the account, and that the proxy runs and takes connections from here."
        raise


async def tunnel(stream: Stream, proxy: Proxy, host: str, port: int, timeout: float) -> None:
    """Ask the proxy at the far end of `stream` for a way to `host`. Raises `NetworkError`."""
    talk = _Talk(stream, proxy, f"{host}:{port}", timeout)
    if proxy.scheme == "http":
        await _connect(talk, server_name(host), port)
    else:
        await _socks5(talk, server_name(host), port)


@dataclass(slots=True)
class _Talk:
    stream: Stream
    proxy: Proxy
    target: str
    timeout: float

    async def write(self, data: bytes) -> None:
        await self.stream.write(data, STAGE, self.timeout)

    async def take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += await self.stream.read(STAGE, self.timeout, count - len(data))
        return data

    def refused(self, why: str, hint: str = "") -> ConnectFailed:
        return ConnectFailed(
            f"The proxy {self.proxy} does not lead to {self.target}: {why}.",
            host=self.target,
            stage=STAGE,
            hint=hint,
        )


async def _connect(talk: _Talk, host: str, port: int) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if talk.proxy.username:
        login = f"{talk.proxy.username}:{_reveal(talk.proxy)}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(login).decode()}")
    await talk.write("\r\n".join([*lines, "", ""]).encode("ascii"))
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        if len(answer) >= LONGEST_ANSWER:
            raise talk.refused(f"its answer is longer than {LONGEST_ANSWER} octets")
        answer += await talk.take(1)
    status_line = bytes(answer.split(b"\r\n", 1)[0])
    version, _, rest = status_line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise talk.refused("its answer is not HTTP")
    if rest[:1] != b"2":
        hint = "Check the proxy's user name and password." if rest[:3] == b"407" else ""
        raise talk.refused(f"it answered {printable(rest[:100])}", hint)


async def _socks5(talk: _Talk, host: str, port: int) -> None:
    methods = b"\x00\x02" if talk.proxy.username else b"\x00"
    await talk.write(bytes((5, len(methods))) + methods)
    version, method = await talk.take(2)
    if version != 5 or bytes((method,)) not in (*(methods[i : i + 1] for i in range(len(methods))), b"\xff"):
        raise talk.refused("its answer is not SOCKS5")
    if method == 0xFF:
        raise talk.refused(
            "it wants another kind of login", "Give user name and password in the proxy's URL."
        )
    if method == 2:
        await _socks5_login(talk)
    await talk.write(b"\x05\x01\x00" + _socks5_address(host) + port.to_bytes(2, "big"))
    version, code, _, kind = await talk.take(4)
    if version != 5 or kind not in (1, 3, 4):
        raise talk.refused("its answer is not SOCKS5")
    if code:
        raise talk.refused(_SOCKS_ERRORS.get(code, f"error {code}"))
    length = {1: 4, 4: 16}.get(kind) or (await talk.take(1))[0]
    await talk.take(length + 2)  # the address it bound: of no use to us


async def _socks5_login(talk: _Talk) -> None:
    """RFC 1929."""
    user, password = talk.proxy.username.encode(), _reveal(talk.proxy).encode()
    if not (0 < len(user) < 256 and len(password) < 256):
        raise talk.refused("SOCKS5 takes at most 255 octets of user name and password")
    await talk.write(bytes((1, len(user))) + user + bytes((len(password),)) + password)
    _, status = await talk.take(2)
    if status:
        raise talk.refused("the login was refused", "Check the proxy's user name and password.")


def _socks5_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes((3, len(name))) + name
    return bytes((1 if address.version == 4 else 4,)) + address.packed


def _reveal(proxy: Proxy) -> str:
    return proxy.password.reveal() if proxy.password is not None else ""
