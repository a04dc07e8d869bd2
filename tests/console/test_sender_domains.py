"""The sender's domain on the first page and on the account's: found meanwhile, by a real name server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from console.conftest import Person, text
from postbearer.console import sender_domains
from postbearer.diagnosis import name_service
from support.chromium import Window, chromium
from support.nameserver import NameServer, name_server
from support.shown_relay import SCRIPT, ShownRelay

DESK = """
[accounts.desk]
provider = "microsoft"
address = "desk@example.org"
authentication = "none"
"""
SPF = b"v=spf1 include:spf.protection.outlook.com -all"
KEY = b"v=DKIM1; k=ed25519; p=" + b"A" * 43 + b"="
DMARC = b"v=DMARC1; p=reject; rua=mailto:dmarc@example.org"


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    async with name_server() as server:
        server.texts["spf.protection.outlook.com"] = [b"v=spf1 ip4:192.0.2.0/24 -all"]
        monkeypatch.setattr(name_service, "system_resolver", server.resolver)
        monkeypatch.setattr(sender_domains, "ELSE_FOR", 0.0)  # looked at again for whoever comes
        yield server


@pytest.fixture
async def asking(person: Person, names: NameServer) -> AsyncIterator[Person]:
    """Somebody at a relay that has an account whose mail leaves this machine."""
    person.shown.more = DESK
    await person.shown.reload()
    await person.open()
    yield person
    assert person.shown.ears.defects == []


def publish(names: NameServer) -> None:
    """All that Microsoft 365 asks for."""
    names.texts["example.org"] = [SPF]
    names.aliases["selector1._domainkey.example.org"] = "selector1-example-org._domainkey.example.net"
    names.texts["selector1-example-org._domainkey.example.net"] = [KEY]
    names.texts["_dmarc.example.org"] = [DMARC]


async def test_what_a_domain_lacks_is_told_until_it_is_there(asking: Person, names: NameServer) -> None:
    told = text(await asking.until("/", "open The sender's domain names the provider's servers (SPF)"))
    assert "Publish a TXT record at example.org: v=spf1 include:spf.protection.outlook.com -all" in told
    assert "open The sender's domain has a key for what the provider signs (DKIM)" in told
    assert "open The sender's domain says what to do with forged mail (DMARC)" in told
    publish(names)
    told = text(await asking.until("/", "done The sender's domain names the provider's servers (SPF)"))
    assert "done The sender's domain has a key for what the provider signs (DKIM)" in told
    assert "done The sender's domain says what to do with forged mail (DMARC)" in told
    account = text(await asking.page("/accounts/desk"))
    assert "DMARC of example.org asks for reject works" in account
    assert "Whether others believe its mail" not in text(await asking.page("/accounts/alerts"))


async def test_no_page_waits_for_a_name_server_that_is_silent(asking: Person, names: NameServer) -> None:
    names.silent |= {"example.org", "_dmarc.example.org", "selector1._domainkey.example.org"}
    told = text(await asking.page("/"))
    assert "unknown The sender's domain names the provider's servers (SPF) Not known yet" in told
    assert "Not known yet: DNS is being asked" in text(await asking.page("/accounts/desk"))


async def test_a_name_server_that_fails_does_not_ask_anybody_to_do_anything(
    asking: Person, names: NameServer
) -> None:
    import dns.rcode

    for name in ("example.org", "_dmarc.example.org", "selector1._domainkey.example.org"):
        names.broken[name] = dns.rcode.SERVFAIL
    told = text(await asking.until("/", "SPF of example.org could not be looked up"))
    assert "unknown The sender's domain names the provider's servers (SPF)" in told
    account = text(await asking.page("/accounts/desk"))
    assert "DKIM of example.org could not be looked up: the name servers could not tell" in account


async def test_what_dns_says_is_text(asking: Person, names: NameServer) -> None:
    names.texts["example.org"] = [b"v=spf1 " + SCRIPT.encode() + b"\x1b[2J"]
    await asking.until("/", "SPF of example.org is of no use")
    for path in ("/", "/accounts/desk"):
        page = await asking.page(path)
        assert "<script>document" not in page
        assert "&lt;script&gt;document" in page
        assert "\x1b" not in page


async def test_many_open_pages_ask_dns_as_often_as_one(
    asking: Person, names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_domains, "ELSE_FOR", 3600.0)
    publish(names)
    await asking.until("/accounts/desk", "asks for reject")
    asked = len(names.asked)
    await asyncio.gather(*(asking.page(path) for path in ("/", "/accounts/desk") * 10))
    assert len(names.asked) == asked


@pytest.mark.servers
async def test_the_checklist_in_a_browser(asking: Person, names: NameServer) -> None:
    """With scripts and without; what is mended in DNS shows by itself where scripts run."""
    shown: ShownRelay = asking.shown
    await asking.until("/", "open The sender's domain names the provider's servers (SPF)")
    async with chromium() as browser:
        for scripts in (False, True):
            window = await Window.open(browser, java_script_enabled=scripts)
            await window.page.goto(shown.running.open_console())
            await window.page.get_by_role("button", name="Open the console").click()
            item = window.page.locator(".checklist li", has_text="(DMARC)")
            await expect(item).to_contain_text("Publish a TXT record at _dmarc.example.org")
            await expect(item.locator(".mark")).to_have_text("open")
            if scripts:
                publish(names)
                await expect(item.locator(".mark")).to_have_text("done", timeout=60_000)
            assert (window.faults, window.asked) == ([], [])
            await window.context.close()


async def test_an_account_that_is_taken_away_is_forgotten(asking: Person, names: NameServer) -> None:
    await asking.until("/", "(SPF)")
    asking.shown.more = ""
    await asking.shown.reload()
    assert "(SPF)" not in text(await asking.page("/"))
