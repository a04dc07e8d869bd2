"""AUTH and the message: what was refused, who can cure it, and what they type."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postbearer.account import Account
from postbearer.diagnosis import Failure, Step
from postbearer.mailer import AsyncMailer
from postbearer.message import Draft
from postbearer.oauth import RefreshToken
from postbearer.outcome import Receipt
from postbearer.secret import Secret
from postbearer.testing import Faults, Sandbox, SmtpFault
from postbearer.testing.certificates import Authority
from postbearer.transport import Conversation, ServerAddress, Transcript
from support.canary import assert_absent
from support.examining import CLIENT, SECRET, Report, an_account, examine, jwt
from support.listening import listening
from support.tokenserver import TokenServer, said

SERVICE = "99999999-8888-7777-6666-555555555555"
TO = "anna@example.net"


async def examine_with_message(account: Account, to: str = TO) -> Report:
    async def send(draft: Draft, talk: Conversation, server: ServerAddress) -> Receipt:
        async with AsyncMailer(account, state="memory") as mailer:
            await mailer.adopt(talk, server)
            return await mailer.send(draft.compose(), draft.envelope(), wait=False)

    return await examine(account, send=send, send_to=to)


async def test_a_bare_refusal_of_microsoft() -> None:
    async with Sandbox("microsoft", opaque=True) as microsoft:
        microsoft.set_faults(Faults(refuse_tokens=9))
        failed = (await examine(microsoft.account())).failed()
    assert (failed.step, failed.failure) == (Step.AUTH, Failure.REFUSED)
    assert "535 5.7.3 Authentication unsuccessful" in failed.text
    assert failed.cause == "Exchange does not accept the token for this mailbox, and does not say why."
    assert "SMTP.SendAsApp" in failed.fix
    assert failed.who == "tenant admin"
    assert [command.line for command in failed.commands] == [
        "New-ServicePrincipal -AppId sandbox-app -ObjectId <object id of the Enterprise application>",
        "Add-MailboxPermission -Identity alerts@example.org -User <service principal id> "
        "-AccessRights FullAccess",
        "Set-CASMailbox -Identity alerts@example.org -SmtpClientAuthenticationDisabled $false",
    ]
    where = failed.commands[0].unknown[0]
    assert "Enterprise applications (not App registrations)" in where
    assert "(Get-MgServicePrincipal -Filter \"appId eq 'sandbox-app'\").Id" in where


async def test_a_token_without_the_role_is_told_from_one_that_is_right(microsoft: Sandbox) -> None:
    microsoft.set_faults(Faults(refuse_tokens=9))
    failed = (await examine(microsoft.account())).failed()
    assert failed.cause.startswith("The token itself is right and has the role SMTP.SendAsApp.")
    assert not any("adminconsent" in command.line for command in failed.commands)
    microsoft.set_faults(Faults(without_role=True))
    failed = (await examine(microsoft.account())).failed()
    assert failed.cause.startswith("The token does not have the role SMTP.SendAsApp")
    assert "adminconsent" in failed.commands[0].line


async def test_a_token_of_somebody_who_may_not_open_the_mailbox(microsoft: Sandbox) -> None:
    scope = "https://outlook.office.com/SMTP.Send"
    token = microsoft.register.sign_in("sandbox-app", "other@example.org", scope)
    secret = Secret(microsoft.client_secret)
    grant = RefreshToken("sandbox-app", Secret(token), secret, scopes=(scope,))
    server = str(microsoft.account().smarthost.servers[0])
    ca_file = str(microsoft.folder / "ca.pem")
    account = an_account(
        server, provider="microsoft", grant=grant, token_url=microsoft.token_url, ca_file=ca_file
    )
    failed = (await examine(account)).failed()
    assert failed.fix == (
        "Give other@example.org FullAccess to alerts@example.org, or sign in as alerts@example.org."
    )


async def test_the_token_tells_the_object_id(microsoft: Sandbox, tokens: TokenServer) -> None:
    token = jwt(aud="https://outlook.office365.com", roles=["SMTP.SendAsApp"], oid=SERVICE)
    tokens.script.append(said(access_token=token, token_type="Bearer", expires_in=3600))
    server = str(microsoft.account().smarthost.servers[0])
    ca_file = str(microsoft.folder / "ca.pem")
    account = an_account(server, provider="microsoft", token_url=tokens.url, ca_file=ca_file)
    failed = (await examine(account)).failed()
    assert [command.line for command in failed.commands[:2]] == [
        f"New-ServicePrincipal -AppId {CLIENT} -ObjectId {SERVICE}",
        f"Add-MailboxPermission -Identity alerts@example.org -User {SERVICE} -AccessRights FullAccess",
    ]
    assert not any(command.unknown for command in failed.commands)


async def test_authenticated_smtp_is_off(microsoft: Sandbox) -> None:
    reply = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."
    microsoft.set_faults(Faults(smtp=[SmtpFault(at="auth", reply=reply)]))
    failed = (await examine(microsoft.account())).failed()
    line = "Set-CASMailbox -Identity alerts@example.org -SmtpClientAuthenticationDisabled $false"
    assert "switched off for this mailbox" in failed.cause
    assert failed.fix.endswith(line)
    assert [command.line for command in failed.commands] == [line]


async def test_a_refusal_with_a_challenge(generic: Sandbox) -> None:
    generic.set_faults(Faults(refuse_tokens=9))
    failed = (await examine(generic.account())).failed()
    assert (failed.step, failed.failure) == (Step.AUTH, Failure.REFUSED)
    assert "535 5.7.8 Authentication credentials invalid" in failed.text
    assert failed.details["code"] == "401"  # from the challenge
    assert failed.cause == "The server refuses the credential."
    assert failed.commands == ()


async def test_the_wrong_user_name(generic: Sandbox) -> None:
    account = generic.account()
    report = await examine(
        replace(account, outgoing=replace(account.smarthost, username="nobody@example.org"))
    )
    assert "refused nobody@example.org" in report.failed().text


async def test_not_now(generic: Sandbox) -> None:
    reply = "454 4.7.0 Temporary authentication failure"
    generic.set_faults(Faults(smtp=[SmtpFault(at="auth", reply=reply)]))
    failed = (await examine(generic.account())).failed()
    assert (failed.step, failed.failure) == (Step.AUTH, Failure.TRANSIENT)
    assert reply in failed.text


async def test_no_mechanism_for_a_token(microsoft: Sandbox) -> None:
    account = microsoft.account()
    report = await examine(replace(account, outgoing=replace(account.smarthost, mechanism="oauthbearer")))
    failed = report.failed()
    assert (failed.step, failed.failure) == (Step.AUTH, Failure.REFUSED)
    assert failed.details["offered"] == ("XOAUTH2",)
    assert "authenticated SMTP is off" in failed.cause
    assert "authenticated SMTP is switched on" in failed.fix


async def test_a_password(generic: Sandbox) -> None:
    account = an_account(
        str(generic.account().smarthost.servers[0]),
        authentication="password",
        password=Secret("canary-password-0123456789"),
        ca_file=str(generic.folder / "ca.pem"),
    )
    report = await examine(replace(account, grant=None))
    assert report.all("token") == []
    assert report.failed().step is Step.AUTH
    assert "by none of PLAIN, LOGIN" in report.failed().text
    assert_absent("canary-password-0123456789", str(report))
    assert report["configuration"].notes == ()  # nothing is known of the end of passwords there


async def test_the_end_of_passwords_is_told_of_who_still_uses_one(microsoft: Sandbox) -> None:
    account = an_account(
        str(microsoft.account().smarthost.servers[0]),
        provider="microsoft",
        authentication="password",
        password=Secret("canary-password-0123456789"),
        ca_file=str(microsoft.folder / "ca.pem"),
    )
    (note,) = (await examine(replace(account, grant=None)))["configuration"].notes
    assert note.startswith("Logins by password at Microsoft 365: Off from the end of December 2026")


# The message ----------------------------------------------------------------------------------


async def test_a_message_proves_it_all(microsoft: Sandbox) -> None:
    report = await examine_with_message(microsoft.account())
    assert report["message"].ok is True
    assert report["message"].text.startswith(f"{TO} by localhost:")
    assert "250 2.0.0 OK" in report["message"].text
    (received,) = microsoft.inbox.messages
    assert received.recipients == (TO,)
    assert b"Auto-Submitted: auto-generated" in received.content


async def test_a_permission_that_shows_only_after_the_content(microsoft: Sandbox) -> None:
    reply = "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed"
    microsoft.set_faults(Faults(smtp=[SmtpFault(at="content", reply=reply)]))
    report = await examine_with_message(microsoft.account())
    failed = report.failed()
    assert report["AUTH"].ok is True
    assert failed.step is Step.MESSAGE
    assert reply in failed.text
    assert "may not open the mailbox" in failed.cause
    assert [command.line.split()[0] for command in failed.commands] == ["Add-MailboxPermission"]


@pytest.mark.parametrize(
    ("at", "reply", "failure", "cause"),
    [
        ("content", "554 5.2.252 SendAsDenied; a not allowed to send as b", Failure.REFUSED, "may not send"),
        (
            "content",
            "550 5.1.90 you've reached your daily limit",
            Failure.TRANSIENT,
            "its recipients for the day",
        ),
        ("rcpt", "550 5.1.10 Recipient not found", Failure.UNDELIVERABLE, "recipient"),
    ],
)
async def test_a_message_that_is_refused(
    microsoft: Sandbox, at: Any, reply: str, failure: Failure, cause: str
) -> None:
    microsoft.set_faults(Faults(smtp=[SmtpFault(at=at, reply=reply)]))
    failed = (await examine_with_message(microsoft.account())).failed()
    assert (failed.step, failed.failure) == (Step.MESSAGE, failure)
    assert reply in failed.text
    assert cause in failed.cause


async def test_none_is_sent_where_nobody_lets_us_in(microsoft: Sandbox) -> None:
    microsoft.set_faults(Faults(refuse_tokens=9))
    report = await examine_with_message(microsoft.account())
    assert report["message"].text == "not done: no server let us in"
    assert microsoft.inbox.messages == []


# Nothing that proves who we are is said -------------------------------------------------------


async def test_no_secret_and_no_token_shows(tokens: TokenServer, tmp_path: Path) -> None:
    """Not even when the mail server repeats what it was told, and the token what the client is."""
    token = jwt(aud=f"for {SECRET}", oid=SERVICE, padding="x" * 600)
    tokens.script.append(said(access_token=token, token_type="Bearer", expires_in=3600))
    authority = Authority()
    transcripts: list[Transcript] = []

    def capture() -> Transcript:
        transcripts.append(Transcript())
        return transcripts[-1]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.write(b"250-mail.example.org\r\n250 AUTH XOAUTH2\r\n")
        await reader.readline()
        writer.write(b"334 \r\n")
        told = await reader.readline()
        writer.write(b"535-5.7.8 " + told[:400] + b"\r\n535 5.7.8 " + b64decode(told)[20:300] + b"\r\n")
        await reader.readline()

    async with listening(serve, authority.server_context()) as port:
        options: dict[str, Any] = {"tls": "implicit", "ca_file": str(authority.write(tmp_path / "ca.pem"))}
        account = an_account(f"localhost:{port}", token_url=tokens.url, **options)
        report = await examine(account, capture=capture)
    transcript = str(transcripts[0])
    assert "C: AUTH XOAUTH2" in transcript
    assert "S: 535 5.7.8 ***" in transcript
    assert report.failed().step is Step.AUTH
    for canary in (SECRET, token, token[:200], token[50:120]):
        assert_absent(canary, transcript, str(report))


async def test_a_message_costs_no_second_connection_and_no_second_token(microsoft: Sandbox) -> None:
    report = await examine_with_message(microsoft.account())
    assert report[Step.MESSAGE].ok
    assert len(microsoft.inbox.messages) == 1
    assert (microsoft.mail.connections, microsoft.token_requests) == (1, 1)
