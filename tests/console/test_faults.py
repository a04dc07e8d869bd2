"""What is wrong, and what to do next, stands on the first page: one staged fault after the other."""

from __future__ import annotations

import asyncio

import pytest

from console.conftest import Person
from console.test_pages import text
from postbearer.store import Status
from postbearer.testing.faults import Faults, SmtpFault, TokenFault


def refused(description: str) -> Faults:
    return Faults(token=[TokenFault(kind="refused", error="invalid_client", description=description)])


def at(place: str, reply: str) -> Faults:
    return Faults(smtp=[SmtpFault(at=place, reply=reply)])  # type: ignore[arg-type]


QUOTA = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message"
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
    assert "resume" not in page


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
    assert sentence.partition(" Next:")[0].removeprefix("answered") in text(
        await person.page("/accounts/alerts")
    )
