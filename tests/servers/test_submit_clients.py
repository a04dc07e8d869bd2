"""Programs that know only plain SMTP hand their mail in: it is kept byte for byte."""

from __future__ import annotations

import asyncio
import os
import smtplib
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from postbearer.engine import Submitter
from postbearer.submission import Admission, networks
from postbearer.testing.certificates import Authority
from postbearer.wire import LineLimits
from support.submitting import Submission, cheap_hash, offering, running

from . import nodejs
from .processes import missing, program

pytestmark = pytest.mark.servers

SENDER, RECIPIENTS = "app@example.org", ["b@example.net", "c@example.net"]
PASSWORD = "CANARY-9e21"
CONTENT = (
    b"From: App <app@example.org>\r\nTo: b@example.net\r\nSubject: =?utf-8?q?=C3=BC?=\r\n"
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n"
    b".\r\n..two dots\r\n.dot\r\nFrom here\r\n\t trailing space \r\n" + b"x" * 990 + b"\r\n"
)
EIGHT_BIT = CONTENT + "Grüße, 日本\r\n".encode()
LARGE = CONTENT + b"".join(b"line %d of many\r\n" % number for number in range(20_000))
LIMITS = LineLimits()
PLAIN = offering(limits=LIMITS)
CONTENTS = pytest.mark.parametrize("content", [CONTENT, EIGHT_BIT, LARGE], ids=["ascii", "8bit", "large"])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("localhost")


def face(authority: Authority, *, implicit: bool = False) -> dict[str, Any]:
    """A listener that asks for TLS and a login."""
    login = Admission(Submitter(name="app"), networks(["127.0.0.0/8"]), "app", cheap_hash(PASSWORD))
    return {
        "context": authority.server_context(),
        "implicit_tls": implicit,
        "offer": offering(
            starttls=not implicit, mechanisms=("PLAIN", "LOGIN"), require_tls=True, limits=LIMITS
        ),
        "admissions": [login],
    }


async def run(argv: Sequence[str], content: bytes = b"", **environ: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environ},
    )
    output, _ = await asyncio.wait_for(process.communicate(content), 60)
    assert process.returncode == 0, output.decode(errors="replace")


async def kept(relay: Submission) -> bytes:
    """The one message, with its envelope checked."""
    (message,) = await relay.messages()
    assert message.envelope.reverse_path == SENDER
    assert list(message.envelope.addresses) == RECIPIENTS
    (content,) = await relay.contents()
    return content


@CONTENTS
async def test_smtplib(content: bytes) -> None:
    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.sendmail(SENDER, RECIPIENTS, content, mail_options=["BODY=8BITMIME"])

    async with running(offer=PLAIN) as relay:
        await asyncio.to_thread(send, relay.port)
        assert await kept(relay) == content


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
async def test_smtplib_logs_in_under_tls(authority: Authority, implicit: bool) -> None:
    context = ssl.create_default_context(cadata=authority.pem.decode())

    def send(port: int) -> None:
        if implicit:
            client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", port, timeout=20, context=context)
        else:
            client = smtplib.SMTP("localhost", port, timeout=20)
            client.starttls(context=context)
        with client:
            client.login("app", PASSWORD)
            client.sendmail(SENDER, RECIPIENTS, CONTENT)

    async with running(**face(authority, implicit=implicit)) as relay:
        await asyncio.to_thread(send, relay.port)
        assert await kept(relay) == CONTENT
        assert " with ESMTPSA id " in (await relay.messages())[0].received


@CONTENTS
async def test_aiosmtplib(content: bytes) -> None:
    async with running(offer=PLAIN) as relay, asyncio.timeout(20):
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, start_tls=False) as client:
            await client.sendmail(SENDER, RECIPIENTS, content)
        assert await kept(relay) == content


@CONTENTS
async def test_curl(content: bytes, tmp_path: Path) -> None:
    curl = program("curl", "curl")
    file = tmp_path / "message"
    file.write_bytes(content)
    async with running(offer=PLAIN) as relay:
        to = [argument for each in RECIPIENTS for argument in ("--mail-rcpt", each)]
        url = f"smtp://127.0.0.1:{relay.port}/client.example.org"
        await run([curl, "-sS", url, "--mail-from", SENDER, *to, "--upload-file", str(file)])
        assert await kept(relay) == content


async def test_curl_logs_in_under_tls(authority: Authority, tmp_path: Path) -> None:
    curl = program("curl", "curl")
    file, ca = tmp_path / "message", authority.write(tmp_path / "ca.pem")
    file.write_bytes(CONTENT)
    async with running(**face(authority, implicit=True)) as relay:
        to = [argument for each in RECIPIENTS for argument in ("--mail-rcpt", each)]
        login = ["--user", f"app:{PASSWORD}", "--cacert", str(ca)]
        url = f"smtps://localhost:{relay.port}/client.example.org"
        await run([curl, "-sS", url, *login, "--mail-from", SENDER, *to, "--upload-file", str(file)])
        assert await kept(relay) == CONTENT


@CONTENTS
async def test_swaks(content: bytes, tmp_path: Path) -> None:
    swaks = program("swaks", "swaks")
    file = tmp_path / "message"
    file.write_bytes(content)
    async with running(offer=PLAIN) as relay:
        server = ["--server", "127.0.0.1", "--port", str(relay.port), "--helo", "client.example.org"]
        envelope = ["--from", SENDER, "--to", ",".join(RECIPIENTS), "--data", f"@{file}"]
        await run([swaks, *server, *envelope, "--pipeline"])
        assert await kept(relay) == content + b"\r\n"  # swaks ends every message with an empty line


async def test_swaks_logs_in_under_tls(authority: Authority, tmp_path: Path) -> None:
    swaks = program("swaks", "swaks")
    file = tmp_path / "message"
    file.write_bytes(CONTENT)
    async with running(**face(authority)) as relay:
        server = ["--server", "localhost", "--port", str(relay.port), "--tls"]
        login = ["--auth", "PLAIN", "--auth-user", "app", "--auth-password", PASSWORD]
        envelope = ["--from", SENDER, "--to", ",".join(RECIPIENTS), "--data", f"@{file}"]
        await run([swaks, *server, *login, *envelope, "--helo", "client.example.org"])
        assert await kept(relay) == CONTENT + b"\r\n"


@CONTENTS
async def test_msmtp(content: bytes) -> None:
    """msmtp takes its message with LF, as programs on Unix write it."""
    msmtp = program("msmtp", "msmtp")
    async with running(offer=PLAIN) as relay:
        server = ["--host=127.0.0.1", f"--port={relay.port}", "--tls=off", "--auth=off", f"--from={SENDER}"]
        await run([msmtp, "--file=/dev/null", *server, *RECIPIENTS], content.replace(b"\r\n", b"\n"))
        assert await kept(relay) == content


async def test_msmtp_logs_in_under_tls(authority: Authority, tmp_path: Path) -> None:
    msmtp = program("msmtp", "msmtp")
    ca = authority.write(tmp_path / "ca.pem")
    config = tmp_path / "msmtprc"
    async with running(**face(authority)) as relay:
        config.write_text(
            f"account default\nhost localhost\nport {relay.port}\nfrom {SENDER}\ntls on\n"
            f"tls_trust_file {ca}\nauth plain\nuser app\npassword {PASSWORD}\n"
        )
        config.chmod(0o600)
        await run([msmtp, f"--file={config}", *RECIPIENTS], CONTENT.replace(b"\r\n", b"\n"))
        assert await kept(relay) == CONTENT


@CONTENTS
async def test_nodemailer(content: bytes) -> None:
    if nodejs.node() is None or not (nodejs.FOLDER / "node_modules" / "nodemailer").exists():
        missing(f"nodemailer is not installed: {nodejs.INSTALL}")
    async with running(offer=PLAIN) as relay:
        options = {"host": "127.0.0.1", "port": relay.port, "secure": False, "ignoreTLS": True}
        done = await asyncio.to_thread(nodejs.send, options, SENDER, RECIPIENTS, content)
        assert done.get("accepted") == RECIPIENTS, done
        assert await kept(relay) == content
