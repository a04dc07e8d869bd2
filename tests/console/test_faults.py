"""What is wrong, and what to do next, stands on the first page: one staged fault after the other."""

from __future__ import annotations

import asyncio
import re

import pytest

from console.conftest import Person, text
from postbearer.store import Status
from postbearer.store.location import DiskSpace
from postbearer.testing.faults import Faults, SmtpFault, TokenFault


def refused(description: str) -> Faults:
    return Faults(token=[TokenFault(kind="refused", error="invalid_client", description=description)])


def at(place: str, reply: str) -> Faults:
    return Faults(smtp=[SmtpFault(at=place, reply=reply)])  # type: ignore[arg-type]


QUOTA = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message"
SEND_AS = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"
STOPPED, DELAYED = "Some mail is not leaving alerts", "Mail is delayed It is tried again by itself"
STAGED = {
    "wrong secret": (
        refused("AADSTS7000215: Invalid client secret provided."),
        STOPPED,
        "The client secret is wrong; often its id was taken for its value. "
        "Next: Paste the secret's Value, not its Secret ID; if it is no longer shown, create a new one.",
    ),
    "secret over": (
        refused("AADSTS7000222: The provided client secret keys are expired."),
        STOPPED,
        "The client secret is over. Next: Create a new one,",
    ),
    "no such app": (
        refused("AADSTS700016: Application was not found in the directory."),
        STOPPED,
        "The tenant does not know the app. Next: Check client-id and tenant;",
    ),
    "SMTP switched off": (
        at("auth", "535 5.7.139 SmtpClientAuthentication is disabled for the Tenant."),
        STOPPED,
        "Authenticated SMTP is switched off for the whole organisation; this stops OAuth as well. "
        "Next: Switch it on for this mailbox: Set-CASMailbox -Identity alerts@example.org",
    ),
    "SMTP switched off for the mailbox": (
        at("auth", "535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox."),
        STOPPED,
        "Authenticated SMTP is switched off for this mailbox; this stops OAuth as well. "
        "Next: Switch it on: Set-CASMailbox -Identity alerts@example.org",
    ),
    "consent withdrawn": (
        refused("AADSTS65001: The user or administrator has not consented to use the application."),
        STOPPED,
        "Neither the person nor an administrator has consented to the app. Next: Grant consent for the app",
    ),
    "wrong scope": (
        refused("AADSTS70011: The provided value for the input parameter 'scope' is not valid."),
        STOPPED,
        "The scope is not valid here. Next: Ask for one resource only; app-only access wants",
    ),
    "not allowed": (
        Faults(without_role=True),
        STOPPED,
        "Exchange does not accept the token for this mailbox, and does not say why. Next: Compare user name,",
    ),
    "authorization server down": (
        Faults(token=[TokenFault(kind="down")]),
        DELAYED,
        "answered HTTP 503: Service Unavailable. It passes by itself: trying again later is enough. "
        "Next: It is tried again by itself. Find out more: postbearer check alerts",
    ),
    "mail server busy": (
        at("greeting", "421 4.3.2 Service not available"),
        DELAYED,
        "refused the connection: 421 4.3.2 Service not available. It passes by itself",
    ),
}


async def test_a_limit_that_passes_by_itself_is_told_apart_from_what_somebody_has_to_mend(
    person: Person,
) -> None:
    shown = person.shown
    shown.sandbox.set_faults(at("content", QUOTA))
    await shown.send("alerts@example.org", "ops@example.org", "Backup finished")
    account = shown.running.dispatcher.account_states["alerts"]
    for _ in range(1000):
        if account.paused:
            break
        await asyncio.sleep(0.01)
    await person.open()
    page = await person.page("/")
    told = text(page)
    assert "Mail waits for a limit alerts may send no more for now; it goes on by itself." in told
    assert "alerts waits for a limit" in told
    assert "1 recipient waiting · tried again in 2" in told
    assert "The mailbox has used up its recipients for 24 hours. Next: It goes on by itself." in told
    assert "Waiting 1 recipient; gone at about 20" in told
    assert 'class="verdict wait"' in page
    assert "chip bad" not in page
    assert "waits for a limit" in text(await person.page("/accounts"))


async def test_why_a_message_failed_stands_there_with_the_next_step(person: Person) -> None:
    """The account is well: only that sender is not allowed."""
    shown = person.shown
    shown.sandbox.set_faults(at("content", SEND_AS))
    await shown.send("alerts@example.org", "ops@example.org", "Backup finished")
    await shown.send("alerts@example.org", "boss@example.org", "Backup finished")
    await shown.settled(2)
    await person.open()
    page = await person.page("/")
    told = text(page)
    assert "Mail is flowing" in told
    cause = r"Why mail failed in 24 hours The account may not send as this sender\. \d recipients of alerts"
    assert re.search(cause, told), told
    assert "Next: Use the mailbox's address as sender, or have the other one allowed by Send As." in told
    [last] = re.findall(r'href="/console(/messages/\w+)"', page)
    assert "550 5.7.60" in text(await person.page(last))


ELSEWHERE = """
[accounts.elsewhere]
provider = "smtp"
address = "elsewhere@example.org"
servers = ["{server}"]
authentication = "none"
tls = "starttls"
[[relay.routes]]
from = "elsewhere@example.org"
account = "elsewhere"
"""


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ("no-such-host.example.org:587", "no-such-host.example.org"),
        ("localhost:{untrusted}", "certificate"),
        ("localhost:{dead}", "Connection refused"),
    ],
)
async def test_a_server_that_cannot_be_used_is_named(person: Person, server: str, sentence: str) -> None:
    """Its name is not found; its certificate is nobody's that is trusted; nothing listens there."""
    shown = person.shown
    places = {"untrusted": shown.sandbox.environment()["SANDBOX_SMTP_STARTTLS_PORT"], "dead": shown.dead}
    shown.more = ELSEWHERE.format(server=server.format(**places))
    await shown.reload()
    await shown.send("elsewhere@example.org", "ops@example.org", "Backup finished")
    account = shown.running.dispatcher.account_states["elsewhere"]
    for _ in range(3000):
        if account.last_error:
            break
        await asyncio.sleep(0.01)
    await person.open()
    told = text(await person.page("/"))
    [(reason, step)] = re.findall(r"What needs you elsewhere (.*?) Next: (.*?) Before you rely", told)
    assert sentence in reason
    assert "postbearer check elsewhere" in step


async def test_a_disk_that_is_nearly_full_is_told_first(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the reserve, which is kept for marks."""
    monkeypatch.setattr(DiskSpace, "missing", lambda room, size: 1 << 60)
    await person.open()
    told = text(await person.page("/"))
    assert "No mail is taken The disk of the queue is full but for a reserve" in told
    assert "Nothing is lost. Next: free some room on it" in told


@pytest.mark.parametrize("name", STAGED)
async def test_the_first_page_names_the_fault_and_the_next_step(person: Person, name: str) -> None:
    faults, headline, sentence = STAGED[name]
    shown = person.shown
    shown.sandbox.set_faults(faults)
    await shown.send("alerts@example.org", "ops@example.org", "Backup finished")
    account = shown.running.dispatcher.account_states["alerts"]
    for _ in range(1000):
        counts = (await shown.running.spool.statistics()).counts
        if account.paused or (counts.get(Status.DEFERRED) and account.last_error):
            break
        await asyncio.sleep(0.01)
    await person.open()
    told = text(await person.page("/"))
    assert headline in told
    assert sentence in told
    assert "Waiting 1 recipient; an account is in trouble" in told
    assert ("Resume alerts" in told) is account.paused  # once it is mended, nobody has to wait
    assert sentence.partition(" Next:")[0].removeprefix("answered") in text(
        await person.page("/accounts/alerts")
    )
