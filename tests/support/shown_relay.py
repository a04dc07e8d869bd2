"""A relay with a console, and real mail in it: sent, refused, put off, held, and hostile."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import TypeVar

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.secret import Secret
from postbearer.state import StateFolder
from postbearer.store import Status
from postbearer.submission import hash_password
from postbearer.testing import Sandbox
from postbearer.testing.faults import SmtpFault
from support.ports import free_ports
from support.relay import Ears

PASSWORD = "a horse in the rain"
NOBODY = "550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown"
SCRIPT = "<script>document.title = 'taken over'</script>"
EVIL = "550 5.7.1 <img src=x onerror=\"document.title='taken over'\"> Denied"
CONFIGURATION = """
{alerts}
sender = "allow"
limits = {{ connections = 1 }}
{news}
limits = {{ connections = 1 }}
[accounts.billing]
provider = "smtp"
address = "billing@example.org"
servers = ["127.0.0.1:{dead}"]
authentication = "none"
tls = "none-loopback"
sender = "allow"
[relay]
listen = ["127.0.0.1:0"]
allow-ephemeral = true
{spool}
account = "alerts"
bounces-to = "postmaster@example.org"
{relay}[[relay.routes]]
from = "billing@example.org"
account = "billing"
[[relay.routes]]
from = "news@example.org"
account = "news"
[http]
listen = ["{http}"]
"""
LOGIN = """
[[http.logins]]
name = "{name}"
role = "{role}"
password-hash = "{hash}"
"""


@dataclass
class ShownRelay:
    """A relay that runs in the loop of a test, in front of a sandbox."""

    home: Path
    sandbox: Sandbox = field(default_factory=lambda: Sandbox("microsoft"))
    more: str = ""  # of the configuration
    relay_lines: str = ""  # of its table [relay]
    http: str = "127.0.0.1:0"
    queue: str = ""  # its URL, unless it is in the state folder
    ears: Ears = field(default_factory=Ears)
    relay: Relay | None = None
    dead: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def running(self) -> Relay:
        assert self.relay is not None
        return self.relay

    @property
    def url(self) -> str:
        return f"{self.running.addresses[-1]}/console"

    async def start(self) -> None:
        await self.sandbox.__aenter__()
        self.sandbox.faults.smtp = [
            SmtpFault(at="rcpt", match="nobody@", reply=NOBODY),
            SmtpFault(at="rcpt", match="mallory@", reply=EVIL),
        ]
        self.relay = Relay(self.load(), observer=self.ears)
        await self.relay.start()

    async def stop(self) -> None:
        await self.running.stop(0.0)
        await self.sandbox.__aexit__(None, None, None)

    async def restart(self) -> None:
        await self.running.stop(0.0)
        await self.begin()

    async def begin(self) -> None:
        """Run it again, once it was stopped."""
        self.relay = Relay(self.load(), observer=self.ears)
        await self.relay.start()

    async def reload(self) -> None:
        await self.running.reload(self.load())

    def load(self) -> Assembly:
        text = CONFIGURATION.format(
            alerts=self.sandbox.configuration("alerts"),
            news=self.sandbox.configuration("news"),
            dead=self.dead,
            relay=self.relay_lines,
            http=self.http,
            spool=f'spool = "{self.queue}"\nnode = "shown"' if self.queue else "",
        )
        path = self.home / "postbearer.toml"
        path.touch(mode=0o600)
        path.write_text(text + self.more)
        return Assembly.load(path, {}, state=StateFolder(self.home / "state"))

    def login(self, name: str, role: str, more: str = "") -> str:
        """A table that lets `name` log in with `PASSWORD`."""
        return LOGIN.format(name=name, role=role, hash=hash_password(Secret(PASSWORD))) + more

    async def send(self, sender: str, to: str, subject: str, **content: str) -> None:
        """Hand in a message by SMTP, as a program does."""
        message = EmailMessage()
        message["From"] = sender
        message["To"] = to
        message["Subject"] = subject
        message.set_content(content.get("text", "Good morning.\n"))
        if "html" in content:
            message.add_alternative(content["html"], subtype="html")
        await asyncio.to_thread(self._submit, sender, to.split(", "), message.as_bytes(policy=SMTP))

    async def raw(self, sender: str, to: list[str], octets: bytes) -> None:
        """The same, of octets as they are."""
        await asyncio.to_thread(self._submit, sender, to, octets)

    def _submit(self, sender: str, to: list[str], octets: bytes) -> None:
        host, _, port = self.running.addresses[0].rpartition(":")
        with smtplib.SMTP(host, int(port)) as smtp:
            smtp.sendmail(sender, to, octets, ["BODY=8BITMIME"])

    async def pause(self, account: str) -> None:
        await self.running.dispatcher.pause(account)

    async def settled(self, done: int) -> None:
        """Until so many recipients have come to their end, and no attempt is under way."""
        for _ in range(1000):
            counts = (await self.running.spool.statistics()).counts
            if sum(count for status, count in counts.items() if status.final) >= done and not counts.get(
                Status.LEASED
            ):
                return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"It is not so far yet: {counts}")


R = TypeVar("R", bound=ShownRelay)


@asynccontextmanager
async def started(made: R) -> AsyncIterator[R]:
    """It runs, and no defect of ours turns up."""
    await made.start()
    yield made
    await made.stop()
    assert made.ears.defects == []


async def fill(shown: ShownRelay) -> None:
    """Mail of every kind."""
    await shown.pause("news")
    await shown.send("alerts@example.org", "ops@example.org", "Backup finished")
    await shown.send(
        "alerts@example.org", "nobody@example.org, ops@example.org", "Disk of web-3 is nearly full"
    )
    await shown.send("news@example.org", "ada@example.org, grace@example.org", "What is new in December")
    await shown.send("news@example.org", "linus@example.org", "What is new in December")
    await shown.send("billing@example.org", "ada@example.org", "Invoice 2026-1107", html="<h1>Invoice</h1>")
    await shown.settled(4)  # with the report
