"""Tokens grow: those of 16 KiB and more pass, by both mechanisms, in two steps (RFC 4954 4)."""

from __future__ import annotations

from typing import Literal

import pytest

from postbearer import StaticToken
from postbearer.account import Account
from postbearer.envelope import Envelope
from postbearer.mailer import AsyncMailer
from postbearer.secret import Secret
from postbearer.testing import Sandbox
from postbearer.testing.tokens import Issued

MESSAGE = b"From: alerts@example.org\r\nSubject: long\r\n\r\nx\r\n"


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
@pytest.mark.parametrize("size", [300, 2_000, 16 * 1024, 24 * 1024])
async def test_a_token_of_any_usual_size_and_far_beyond(
    mechanism: Literal["xoauth2", "oauthbearer"], size: int
) -> None:
    async with Sandbox() as sandbox:
        issued = Issued("client", "alerts@example.org", "smtp.send", 4e9)
        token = sandbox.register.accept("t" * size, issued)
        account = Account.smtp(
            "alerts@example.org",
            grant=StaticToken(Secret(token)),
            servers=[f"localhost:{sandbox.starttls_port}"],
            tls="starttls",
            ca_file=str(sandbox.folder / "ca.pem"),
            mechanism=mechanism,
        )
        async with AsyncMailer(account, state="memory") as mailer:
            await mailer.send(MESSAGE, Envelope.of("alerts@example.org", ["you@example.org"]))
        assert sandbox.inbox.messages[0].mechanism == mechanism.upper()
