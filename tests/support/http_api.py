"""A relay with an HTTP API, in the loop of a test: real sockets, a real queue, a provider that is down."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2

from postbearer.api import ApiTokens, TokenScope
from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.state import StateFolder
from support.ports import free_ports
from support.relay import Ears

# For plain HTTP on loopback. The certificates of the world take as long to be read as a test takes.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ACCOUNT = """
[accounts.out]
provider = "smtp"
address = "alerts@example.org"
servers = ["127.0.0.1:{port}"]
authentication = "none"
tls = "none-loopback"
sender = "allow"
[relay]
listen = ["127.0.0.1:0"]
allow-ephemeral = true
size = "5 MB"
"""
HTTP = '[http]\nlisten = ["127.0.0.1:0"]\n'
CLIENTS = """
[[relay.clients]]
name = "shop"
senders = ["@shop.example.org"]
[[relay.clients]]
name = "slow"
messages-per-minute = 2
[[relay.clients]]
name = "far"
networks = ["192.0.2.0/24"]
"""


@dataclass
class Api:
    """A relay that runs, and who asks it."""

    home: Path
    text: str = ACCOUNT + CLIENTS + HTTP
    ears: Ears = field(default_factory=Ears)
    dead_port: int = field(default_factory=lambda: free_ports(1)[0])
    relay: Relay | None = None

    @property
    def running(self) -> Relay:
        assert self.relay is not None
        return self.relay

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.home / "state")

    @property
    def tokens(self) -> ApiTokens:
        return ApiTokens(self.state)

    @property
    def url(self) -> str:
        return self.running.addresses[-1]

    def load(self) -> Assembly:
        path = self.home / "postbearer.toml"
        path.write_text(self.text.replace("{port}", str(self.dead_port)))
        return Assembly.load(path, {}, state=self.state)

    async def start(self) -> None:
        self.relay = Relay(self.load(), observer=self.ears)
        await self.relay.start()

    async def reload(self) -> None:
        await self.running.reload(self.load())

    def token(self, *scopes: str, client: str = "", expires: float | None = None) -> dict[str, str]:
        """A new token, as the field that carries it."""
        name = f"t{len(self.tokens.all())}"
        wanted = [TokenScope(each) for each in scopes]
        made = self.tokens.create(name, wanted, now=time.time(), client=client, expires=expires)
        return {"authorization": f"Bearer {made.reveal()}"}

    async def files(self, identifier: str) -> list[EmailMessage]:
        """The files of a message in the queue."""
        entry = await self.running.spool.show(identifier)
        assert entry is not None
        octets = b"".join((await self.running.spool.content(entry.message)).blocks())
        made = message_from_bytes(octets, policy=policy.default)
        return [part for part in made.walk() if part.get_filename()]

    def http(
        self, headers: dict[str, str] | None = None, verify: ssl.SSLContext = TRUSTS_NOBODY, **more: Any
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, headers=headers or {}, timeout=30, verify=verify, **more)
