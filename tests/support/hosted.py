"""A relay with an HTTP API before a sandbox, for the SDKs of hosted mail APIs: what they send arrives."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme

from postbearer.testing import Sandbox
from support.http_api import HTTP, Api
from support.local import short_folder

RELAY = '[relay]\nlisten = ["127.0.0.1:0"]\naccount = "sandbox"\nallow-ephemeral = true\n'
PROGRAMS = Path(__file__).parent.parent / "servers"


class Hosted(Api):
    """The relay, its sandbox, and how programs reach it."""

    sandbox: Sandbox

    @property
    def headers(self) -> dict[str, str]:
        return self.token("submit", "read", "operate")

    async def run(self, *command: str | Path, folder: Path | None = None, **given: str) -> Any:
        """What a program prints as JSON. In its environment are `given`, ``BASE_URL`` and a token."""
        authority = str(self.home / "ca.pem")
        token = self.headers["authorization"].removeprefix("Bearer ")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "BASE_URL": self.url,
            **dict.fromkeys(("API_TOKEN", "RELAY_TOKEN"), token),
            **dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), authority),
            **given,
        }
        pipe = asyncio.subprocess.PIPE
        running = await asyncio.create_subprocess_exec(
            *map(str, command), env=environment, stdout=pipe, stderr=pipe, cwd=folder or self.home
        )
        said, complained = await asyncio.wait_for(running.communicate(), 60)
        assert running.returncode == 0, complained.decode()
        return json.loads(said)

    async def python(self, program: str, **given: str) -> Any:
        return await self.run(sys.executable, PROGRAMS / "hosted" / program, **given)

    async def arrived(self, count: int) -> Sequence[tuple[tuple[str, ...], EmailMessage]]:
        """What is in the sandbox, once there is so much: recipients and message, in order of subjects."""
        found = await asyncio.wait_for(self.sandbox.inbox.wait_for(count), 30)
        assert len(found) == count
        parsed = [
            (each.recipients, message_from_bytes(each.content, policy=policy.default)) for each in found
        ]
        return sorted(parsed, key=lambda each: str(each[1]["subject"]))


@asynccontextmanager
async def hosted(scheme: str) -> AsyncIterator[Hosted]:
    with short_folder() as home:
        async with Sandbox() as sandbox:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(home / "ca.pem")
            text = sandbox.configuration() + RELAY + HTTP
            if scheme == "https":
                mine = authority.issue_cert("localhost", "127.0.0.1")
                mine.cert_chain_pems[0].write_to_path(home / "chain.pem")
                mine.private_key_pem.write_to_path(home / "key.pem")
                text += 'certificate = "chain.pem"\nkey = "key.pem"\n'
            made = Hosted(home, text)
            made.sandbox = sandbox
            await made.start()
            try:
                yield made
            finally:
                await made.running.stop(0.0)
