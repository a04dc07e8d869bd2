"""smtplib and aiosmtplib log in with tokens of ours, and tell what went wrong as our own mailers do."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postbearer import StaticToken, Token
from postbearer.account import Account
from postbearer.errors import (
    ConfigError,
    CredentialRefused,
    Disconnected,
    LocalProtocolError,
    MechanismMissing,
    PostbearerError,
    RemoteProtocolError,
    ServerRefused,
    TokenUnavailable,
    UsageError,
)
from postbearer.integrations.smtplib import login
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.testing import Faults, Sandbox, SmtpFault, TokenFault
from postbearer.testing.tokens import Issued
from postbearer.tokens import token_source
from support.canary import assert_absent
from support.libraries import by_smtplib, send_by, trusting
from support.listening import listening
from support.planted import assert_none_shows, told
from support.sandboxed import at

Send = Callable[..., Awaitable[Reply]]


@pytest.fixture(params=["smtplib", "aiosmtplib"])
def send(request: pytest.FixtureRequest, sandbox: Sandbox) -> Send:
    """Connect to the sandbox by STARTTLS, log in, send a message; a test that asks for it runs with both."""

    def sent(who: Any, **options: Any) -> Awaitable[Reply]:
        context = options.pop("context", trusting(str(sandbox.folder / "ca.pem")))
        port = options.pop("port", sandbox.starttls_port)
        return send_by(request.param, port, context, who, **options)

    return sent


# — let in —————————————————————————————————————————————————————————————————————————————————————————————


@pytest.mark.parametrize("mechanism", ["auto", "xoauth2", "oauthbearer"])
async def test_an_account_logs_in_and_sends(
    send: Send, sandbox: Sandbox, account: Account, mechanism: str
) -> None:
    reply = await send(at(account, mechanism=mechanism))
    assert reply.code == 235
    (received,) = sandbox.inbox.messages
    wanted = "OAUTHBEARER" if mechanism == "auto" else mechanism.upper()
    assert (received.reverse_path, received.mechanism) == ("alerts@example.org", wanted)


async def test_implicit_tls(send: Send, sandbox: Sandbox, account: Account) -> None:
    await send(account, port=sandbox.implicit_port, implicit=True)
    assert len(sandbox.inbox.messages) == 1


async def test_the_name_of_a_configured_account(send: Send, sandbox: Sandbox, configured: str) -> None:
    await send(configured)
    assert len(sandbox.inbox.messages) == 1
    with pytest.raises(ConfigError, match="other"):
        await send("other")


async def test_a_token_source_alone_with_the_name_it_is_for(
    send: Send, sandbox: Sandbox, account: Account
) -> None:
    await send(token_source(account), username="alerts@example.org")
    assert len(sandbox.inbox.messages) == 1
    with pytest.raises(UsageError, match="username="):
        await send(token_source(account))


class Mine:
    """Where a program has its tokens from is its own affair."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.refused: list[Token] = []

    async def token(self) -> Token:
        return Token(Secret(self.value), expires_at=1e9, obtained_at=0.0)

    async def invalidate(self, token: Token) -> None:
        self.refused.append(token)


async def test_a_token_source_of_ones_own(send: Send, sandbox: Sandbox) -> None:
    mine = Mine(sandbox.register.issue("client", "alerts@example.org", "smtp.send"))
    await send(mine, username="alerts@example.org")
    assert len(sandbox.inbox.messages) == 1
    mine.value = "outdated"
    with pytest.raises(CredentialRefused):
        await send(mine, username="alerts@example.org")
    assert [token.access for token in mine.refused] == [Secret("outdated")]


async def test_logins_share_one_token_with_everybody(send: Send, sandbox: Sandbox, account: Account) -> None:
    before = sandbox.token_requests
    for _ in range(3):
        await send(account)
    await token_source(account).token()
    assert sandbox.token_requests - before == 1


@pytest.mark.parametrize(("provider", "mechanism"), [("google", "OAUTHBEARER"), ("microsoft", "XOAUTH2")])
@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_as_google_and_microsoft_answer(provider: str, mechanism: str, library: str) -> None:
    async with Sandbox(provider) as sandbox:
        context = trusting(str(sandbox.folder / "ca.pem"))
        await send_by(library, sandbox.starttls_port, context, sandbox.account())
        assert [each.mechanism for each in sandbox.inbox.messages] == [mechanism]


async def test_a_long_token_goes_in_two_steps(send: Send, sandbox: Sandbox, account: Account) -> None:
    """The line of AUTH may have 512 octets (RFC 4954 4): a longer token waits for the 334."""
    issued = Issued("client", "alerts@example.org", "smtp.send", 4e9)
    token = sandbox.register.accept("t" * 16 * 1024, issued)
    await send(replace(account, grant=StaticToken(Secret(token))))
    assert len(sandbox.inbox.messages) == 1


async def test_a_server_without_initial_responses_gets_two_steps(
    send: Send, sandbox: Sandbox, account: Account
) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="auth", reply="501 5.5.4 No parameters", times=1)]))
    short = replace(account, grant=StaticToken(Secret("short-and-unknown")))
    with pytest.raises(CredentialRefused):
        await send(short)
    assert sandbox.faults.smtp[0].times == 0  # the refusal is that of the second AUTH


# — turned away ————————————————————————————————————————————————————————————————————————————————————————


async def test_a_refused_token_is_told_and_never_used_again(
    send: Send, sandbox: Sandbox, account: Account
) -> None:
    before = sandbox.token_requests
    sandbox.set_faults(Faults(refuse_tokens=1))
    with pytest.raises(CredentialRefused) as refused:
        await send(account)
    assert refused.value.account == "sandbox"
    assert refused.value.reply is not None
    assert refused.value.reply.code == 535
    assert refused.value.hint
    await send(account)  # on another connection, with another token
    assert sandbox.token_requests - before == 2
    assert len(sandbox.inbox.messages) == 1


async def test_bad_luck_costs_no_token(send: Send, sandbox: Sandbox, account: Account) -> None:
    before = sandbox.token_requests
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="auth", reply="454 4.7.0 not now", times=1)]))
    with pytest.raises(ServerRefused, match="454"):
        await send(account)
    await send(account)
    assert sandbox.token_requests - before == 1


TROUBLE: dict[str, tuple[Faults, type[PostbearerError]]] = {
    "hangs up": (Faults(smtp=[SmtpFault(at="auth")]), Disconnected),
    "no token": (Faults(token=[TokenFault(kind="down")]), TokenUnavailable),
    "a refusal": (Faults(refuse_tokens=9), CredentialRefused),
    "not now": (Faults(smtp=[SmtpFault(at="auth", reply="454 4.7.0 later")]), ServerRefused),
}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_what_went_wrong_is_told_without_the_token(
    send: Send, sandbox: Sandbox, account: Account, trouble: str
) -> None:
    faults, kind = TROUBLE[trouble]
    sandbox.set_faults(Faults(**{name: getattr(faults, name) for name in Faults.__struct_fields__}))
    with pytest.raises(kind) as caught:
        await send(account)
    assert_none_shows(sandbox, told(caught.value))


@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_a_server_that_repeats_the_token_does_not_make_us_show_it(
    sandbox: Sandbox, account: Account, library: str
) -> None:
    token = (await token_source(account).token()).access.reveal()
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="auth", reply=f"535 5.7.8 not {token}")]))
    context = trusting(str(sandbox.folder / "ca.pem"))
    with pytest.raises(CredentialRefused) as caught:
        await send_by(library, sandbox.starttls_port, context, account)
    assert token not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_a_server_that_takes_passwords_only(library: str, account: Account) -> None:
    """It is told as what it is, and no password mechanism ever gets a token."""
    provider = Sandbox()
    provider.personality = replace(provider.personality, mechanisms=("PLAIN", "LOGIN"))
    async with provider as sandbox:
        context = trusting(str(sandbox.folder / "ca.pem"))
        with pytest.raises(MechanismMissing) as missing:
            await send_by(library, sandbox.starttls_port, context, sandbox.account())
    assert missing.value.offered == ("PLAIN", "LOGIN")


# — where no token goes ————————————————————————————————————————————————————————————————————————————————


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def nameless(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file))
    context.check_hostname = False
    return context


@pytest.mark.parametrize("how", ["no TLS", "no verification", "no name"])
async def test_no_token_goes_where_nobody_was_verified(
    send: Send, sandbox: Sandbox, account: Account, how: str
) -> None:
    contexts = {
        "no TLS": None,
        "no verification": unverified(),
        "no name": nameless(sandbox.folder / "ca.pem"),
    }
    before = sandbox.token_requests
    with pytest.raises(LocalProtocolError, match="not verified TLS") as refused:
        await send(account, context=contexts[how])
    assert refused.value.hint
    assert sandbox.token_requests == before  # it was not even asked for


async def test_smtplib_verifies_nothing_unless_told(sandbox: Sandbox, account: Account) -> None:
    """`starttls()` without a context accepts any certificate; that is not enough for a token."""
    with pytest.raises(LocalProtocolError, match="create_default_context"):
        await asyncio.to_thread(
            by_smtplib, sandbox.starttls_port, None, account, prepare=lambda smtp: smtp.starttls()
        )


async def test_an_accounts_token_goes_to_no_other_server(
    send: Send, sandbox: Sandbox, account: Account
) -> None:
    elsewhere = at(account, "mail.example.org:587")
    with pytest.raises(LocalProtocolError, match=r"mail\.example\.org:587"):
        await send(elsewhere)
    assert sandbox.inbox.messages == []


def knowing_one_mechanism() -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server that offers two mechanisms and knows one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            words = line.split() or [b""]
            known = {b"EHLO": b"250-here\r\n250 AUTH OAUTHBEARER XOAUTH2\r\n", b"DATA": b"354 go on\r\n"}
            known[b"QUIT"] = b"221 bye\r\n"
            reply = known.get(words[0].upper(), b"250 yes\r\n")
            if words[0].upper() == b"AUTH":
                reply = b"235 in\r\n" if words[1] == b"XOAUTH2" else b"504 5.5.4 Unrecognized\r\n"
            writer.write(reply)
            if words[0].upper() == b"DATA":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
        writer.close()

    return serve


@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_where_one_mechanism_is_not_known_the_other_is_tried(account: Account, library: str) -> None:
    async with listening(knowing_one_mechanism()) as port:
        local = at(account, f"localhost:{port}", tls="none-loopback")
        reply = await send_by(library, port, None, replace(local, grant=StaticToken(Secret("a.b.c"))))
    assert reply.text == "in"


def saying(auth: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server without TLS that says `auth` to AUTH, and yes to all else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            verb = line.split()[0].upper() if line.strip() else b""
            known = {b"EHLO": b"250-here\r\n250 AUTH XOAUTH2\r\n", b"AUTH": auth, b"DATA": b"354 go on\r\n"}
            known[b"QUIT"] = b"221 bye\r\n"
            writer.write(known.get(verb, b"250 yes\r\n"))
            if verb == b"DATA":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
        writer.close()

    return serve


@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_an_account_that_does_without_tls_on_this_machine(account: Account, library: str) -> None:
    async with listening(saying(b"235 in\r\n")) as port:
        local = at(account, f"localhost:{port}", tls="none-loopback")
        reply = await send_by(library, port, None, replace(local, grant=StaticToken(Secret("a.b.c"))))
    assert reply.text == "in"


NO_REPLIES = {"no code": b"what?\r\n", "a strange code": b"999 what?\r\n"}
CHALLENGES = {"no base64": b"334 ???\r\n535 no\r\n", "no end": b"334 e30=\r\n" * 99}


@pytest.mark.parametrize("said", CHALLENGES.values(), ids=list(CHALLENGES))
@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_any_challenge_behind_a_token_is_a_refusal(account: Account, library: str, said: bytes) -> None:
    async with listening(saying(said)) as port:
        local = at(account, f"localhost:{port}", tls="none-loopback")
        with pytest.raises(CredentialRefused):
            await send_by(library, port, None, replace(local, grant=StaticToken(Secret("a-static-token"))))


@pytest.mark.parametrize("said", NO_REPLIES.values(), ids=list(NO_REPLIES))
@pytest.mark.parametrize("library", ["smtplib", "aiosmtplib"])
async def test_what_is_no_smtp_ends_the_connection(account: Account, library: str, said: bytes) -> None:
    canary = "canary-static-token"
    async with listening(saying(said)) as port:
        local = at(account, f"localhost:{port}", tls="none-loopback")
        with pytest.raises(RemoteProtocolError) as caught:
            await send_by(library, port, None, replace(local, grant=StaticToken(Secret(canary))))
    assert_absent(canary, told(caught.value))


# — smtplib alone ——————————————————————————————————————————————————————————————————————————————————————


async def test_smtplibs_debugging_shows_the_conversation_and_not_the_token(
    sandbox: Sandbox, account: Account, capfd: pytest.CaptureFixture[str]
) -> None:
    context = trusting(str(sandbox.folder / "ca.pem"))
    await asyncio.to_thread(
        by_smtplib,
        sandbox.starttls_port,
        context,
        account,
        prepare=lambda smtp: smtp.set_debuglevel(1),
    )
    shown = capfd.readouterr().err
    assert "mail from" in shown.lower()
    assert_none_shows(sandbox, shown)


async def test_a_thread_with_an_event_loop_is_not_stopped(sandbox: Sandbox, account: Account) -> None:
    context = trusting(str(sandbox.folder / "ca.pem"))
    with smtplib.SMTP("localhost", sandbox.starttls_port, timeout=20) as smtp:
        smtp.starttls(context=context)
        with pytest.raises(UsageError, match="event loop"):
            login(smtp, account)


def test_a_closed_connection_is_told(account: Account) -> None:
    with pytest.raises(Exception, match="connect"):
        login(smtplib.SMTP(), account)
