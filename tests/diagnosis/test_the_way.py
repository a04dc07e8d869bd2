"""From a name to an open conversation: each step that can fail, as a person reads it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.diagnosis import Failure, Step
from postbearer.oauth import StaticToken
from postbearer.secret import Secret
from postbearer.settings import Limits
from postbearer.testing import Faults, Sandbox, SmtpFault
from postbearer.testing.certificates import Authority
from postbearer.transport import Proxy
from support.examining import CLOSED, an_account, examine
from support.listening import listening
from support.tokenserver import TokenServer

STATIC = StaticToken(Secret("canary-static-token-0123456789"))
ALL_GOOD = {
    "configuration": True,
    "secret": True,
    "DNS": True,
    "TCP": True,
    "TLS": True,
    "EHLO": True,
    "token": True,
    "AUTH": True,
    "message": None,
}


@asynccontextmanager
async def saying(*answers: str) -> AsyncIterator[str]:
    """A server that greets with the first of `answers` and gives one of the others for each line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            writer.write(answer.replace("\n", "\r\n").encode() + b"\r\n")
            await reader.readline()

    async with listening(serve) as port:
        yield f"localhost:{port}"


@pytest.mark.parametrize("provider", ["generic", "microsoft", "google"])
async def test_all_is_well(provider: str) -> None:
    async with Sandbox(provider) as sandbox:
        report = await examine(sandbox.account())
        ends = {"runs out": True} if provider == "google" else {}  # its sign-in, were it used no more
        assert report.marks() == ALL_GOOD | ends
        assert report["DNS"].details["addresses"] == ["127.0.0.1"]
        assert "TLSv1.3" in report["TLS"].text
        assert report["TLS"].details["certificate"]["issuer"] == "postbearer sandbox"
        assert "XOAUTH2" in report["EHLO"].text
        assert "235 2.7.0" in report["AUTH"].text
        assert [finding.notes for finding in report.findings if finding.notes] == []
        assert sandbox.inbox.messages == []


async def test_at_microsoft_a_login_proves_little(microsoft: Sandbox) -> None:
    report = await examine(microsoft.account())
    assert "--send-to ADDRESS: missing permissions show only after a message" in report["message"].text


async def test_a_closed_port() -> None:
    report = await examine(an_account(CLOSED, grant=STATIC))
    failed = report.failed()
    assert (failed.step, failed.failure) == (Step.TCP, Failure.TRANSIENT)
    assert failed.text == f"{CLOSED}: Connection refused."
    assert failed.cause == "Nothing listens at that address and port, or a firewall turns connections away."
    assert failed.fix.startswith("Check the server's name and port")
    assert report["TLS"].text == report["EHLO"].text == "not done: there is no connection"
    assert report["token"].ok is True  # which is another matter
    assert report["AUTH"].text == "not done: there is no connection to log in on"


@pytest.mark.parametrize(
    ("error", "failure", "fix"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            Failure.CONFIGURATION,
            "Correct the server's name in servers, or have the name added to DNS.",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            Failure.TRANSIENT,
            "Check the network and the name servers of this machine.",
        ),
    ],
)
async def test_a_name_that_is_not_found(error: OSError, failure: Failure, fix: str) -> None:
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        raise error

    report = await examine(an_account("mail.example.org:587", grant=STATIC), resolve=resolve)
    failed = report.failed()
    assert (failed.step, failed.failure, failed.fix) == (Step.DNS, failure, fix)
    assert failed.text.startswith("The name mail.example.org was not found: ")
    assert [report[step].text for step in ("TCP", "TLS", "EHLO")] == ["not done: the name was not found"] * 3


async def test_behind_a_proxy_the_proxy_is_looked_up() -> None:
    account = an_account("mail.example.org:587", grant=STATIC)
    account = replace(account, outgoing=replace(account.smarthost, proxy=Proxy.parse("http://localhost:1")))
    report = await examine(account)
    assert report["DNS"].text.endswith("http://localhost:1 looks up mail.example.org")
    failed = report.failed()
    assert failed.step is Step.TCP
    assert failed.text.startswith("The proxy http://localhost:1 cannot be reached: ")
    assert failed.fix.startswith("Check proxy of the account")


async def test_a_proxy_whose_name_is_not_found() -> None:
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    account = an_account("mail.example.org:587", grant=STATIC)
    proxy = Proxy.parse("http://proxy.example.org:3128")
    account = replace(account, outgoing=replace(account.smarthost, proxy=proxy))
    failed = (await examine(account, resolve=resolve)).failed()
    assert failed.text.startswith("The name proxy.example.org was not found")
    assert failed.fix == "Correct the name in proxy, or have the name added to DNS."


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    authority = Authority("mail.example.org")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(serve, authority.server_context()) as port:
        report = await examine(
            an_account(
                f"localhost:{port}",
                grant=STATIC,
                tls="implicit",
                ca_file=str(authority.write(tmp_path / "ca.pem")),
            )
        )
    failed = report.failed()
    assert (failed.step, failed.failure) == (Step.TLS, Failure.CONFIGURATION)
    assert "certificate is not valid for 'localhost'" in failed.text
    assert failed.cause.startswith("The server's certificate does not hold for the configured name")
    assert failed.fix == "Use the name the certificate was made for, or have one made for this name."
    assert report["TCP"].ok is True
    assert report["EHLO"].text == "not done: there is no TLS"


async def test_an_authority_nobody_knows(generic: Sandbox) -> None:
    account = generic.account()
    report = await examine(replace(account, outgoing=replace(account.smarthost, ca_file="")))
    failed = report.failed()
    assert failed.step is Step.TLS
    assert failed.fix == "If this server is yours, name its authority with ca-file."


async def test_a_ca_file_that_is_not_there(generic: Sandbox) -> None:
    account = generic.account()
    report = await examine(replace(account, outgoing=replace(account.smarthost, ca_file="/nowhere.pem")))
    failed = report.failed()
    assert (failed.step, failed.failure) == (Step.TLS, Failure.CONFIGURATION)
    assert "/nowhere.pem cannot be read" in failed.text
    assert failed.fix == "It must exist and be readable by the user that sends mail."


async def test_no_starttls() -> None:
    async with saying("220 hello", "250-mail.example.org\n250 SIZE 1000") as server:
        report = await examine(an_account(server, grant=STATIC, tls="starttls"))
    failed = report.failed()
    assert (failed.step, failed.failure) == (Step.TLS, Failure.CONFIGURATION)
    assert "does not offer STARTTLS" in failed.text
    assert "a wrong port, or a device that takes it out" in failed.cause
    assert 'use tls = "implicit"' in failed.fix


async def test_turned_away_at_the_door() -> None:
    async with saying("554 5.7.1 You are on our list") as server:
        report = await examine(an_account(server, grant=STATIC, tls="starttls"))
    failed = report.failed()
    assert (failed.step, failed.failure) == (Step.EHLO, Failure.REFUSED)
    assert "554 5.7.1 You are on our list" in failed.text
    assert report["TLS"].text == "not done: the server turned us away before"


async def test_turned_away_for_now(generic: Sandbox) -> None:
    generic.set_faults(Faults(smtp=[SmtpFault(at="greeting", reply="421 4.3.2 Service not active")]))
    failed = (await examine(generic.account())).failed()
    assert (failed.step, failed.failure) == (Step.EHLO, Failure.TRANSIENT)
    assert failed.cause
    assert failed.fix


async def test_what_differs_from_the_preset_is_noted(microsoft: Sandbox, generic: Sandbox) -> None:
    account = microsoft.account()
    smarthost = replace(account.smarthost, servers=generic.account().smarthost.servers)
    smarthost = replace(smarthost, ca_file=generic.account().smarthost.ca_file)
    report = await examine(replace(account, outgoing=smarthost, limits=Limits(size=100_000_000)))
    assert report["EHLO"].notes == (
        "The account allows messages of 100,000,000 octets, the server only 52,428,800.",
    )
    async with Sandbox("google") as google:
        smarthost = replace(account.smarthost, servers=google.account().smarthost.servers)
        smarthost = replace(smarthost, ca_file=google.account().smarthost.ca_file)
        report = await examine(replace(account, outgoing=smarthost, limits=Limits()))
        assert report["EHLO"].notes == (
            "Microsoft 365 was seen to offer BINARYMIME, DSN as well: is this its own server?",
        )


async def test_all_servers_are_looked_at(generic: Sandbox, tokens: TokenServer) -> None:
    account = generic.account()
    servers = (*account.smarthost.servers, *an_account(CLOSED).smarthost.servers)
    report = await examine(replace(account, outgoing=replace(account.smarthost, servers=servers[::-1])))
    assert [finding.ok for finding in report.all("TCP")] == [False, True]
    assert [finding.ok for finding in report.all("AUTH")] == [None, True]
    assert report.all("AUTH")[0].server == CLOSED
    assert generic.token_requests == 1


async def test_a_server_on_this_machine_needs_no_tls() -> None:
    async with saying("220 hello", "250 mail.example.org", "221 bye") as server:
        account = an_account(server, grant=STATIC, tls="none-loopback", authentication="none")
        report = await examine(account)
    assert report["TLS"].text == "none: the server is on this machine (tls = none-loopback)"
    assert report["AUTH"].text == "no login is needed"
    assert report.all("token") == []
