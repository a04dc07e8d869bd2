"""The sandbox in a browser: its inbox, a message, faults as buttons; with scripts and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from postbearer.envelope import Envelope
from postbearer.errors import CredentialRefused, PostbearerError, Rejected
from postbearer.mailer import AsyncMailer
from postbearer.testing import Sandbox
from postbearer.testing.faults import Faults, SmtpFault
from postbearer.testing.personality import PERSONALITIES
from postbearer.testing.sandbox import ADDRESS
from postbearer.testing.switches import PARTS, switches
from support.chromium import Window, chromium

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
PICTURES = Path(__file__).parents[2] / "docs" / "reference" / "sandbox"
WIDE, NARROW = {"width": 1120, "height": 800}, {"width": 320, "height": 640}
HTML = {"accept": "text/html,application/xhtml+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox("microsoft") as made:
        yield made


async def send(sandbox: Sandbox, subject: str, html: str = "") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = ADDRESS, "you@example.org", subject
    message.set_content("Good morning.\n")
    if html:
        message.add_alternative(html, subtype="html")
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        await mailer.send(message.as_bytes(policy=SMTP), Envelope.of(ADDRESS, ["you@example.org"]))


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_walk_through_the_sandbox(browser: Browser, sandbox: Sandbox, scripts: bool) -> None:
    """Read what came, switch a fault on, see that it is on, end it, empty the inbox."""
    await send(sandbox, "Backup finished", "<p>All is <b>safe</b>.</p>")
    window = await Window.open(browser, viewport=WIDE, java_script_enabled=scripts)
    page = window.page
    await page.goto(sandbox.url)
    await page.get_by_role("link", name="Backup finished").click()
    await expect(page.frame_locator("iframe.preview").get_by_text("All is safe.")).to_be_visible()
    await page.get_by_text("As it was accepted").click()
    await expect(page.locator("pre.source")).to_contain_text("Subject: Backup finished")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    assert (await (await download.value).path()).read_bytes() == sandbox.inbox.messages[0].content
    await page.get_by_role("link", name="Faults").click()
    await page.get_by_role("button", name="Switch on: Recipients are put off").click()
    await expect(page.get_by_role("button", name="Switch off: Recipients are put off")).to_be_visible()
    assert [each.reply[:3] for each in sandbox.faults.smtp] == ["450"]
    await page.get_by_role("link", name="Inbox").click()
    await expect(page.get_by_text("Faults are on: Recipients are put off.")).to_be_visible()
    await page.get_by_role("link", name="End them").click()
    await page.get_by_role("button", name="End all faults").click()
    assert sandbox.faults == Faults()
    await page.get_by_role("link", name="Inbox").click()
    await page.get_by_role("button", name="Empty the inbox").click()
    await expect(page.get_by_text("No mail yet.")).to_be_visible()
    assert sandbox.inbox.messages == []
    assert (window.faults, window.asked) == ([], [])
    await window.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_everybody_can_read_every_page(
    browser: Browser, sandbox: Sandbox, scheme: Any, view: Any
) -> None:
    await send(sandbox, "Backup finished")
    sandbox.switch("switch-day")
    window = await Window.open(browser, viewport=view, color_scheme=scheme)
    for path in ("/", "/inbox/last", "/inbox/none", "/faults", "/describe", "/device"):
        await window.page.goto(f"{sandbox.url}{path}")
        assert await window.axe() == [], path
        assert not await window.too_wide(), path
    assert (window.faults, window.asked) == ([], [])
    await window.context.close()


async def test_what_arrives_shows_by_itself(browser: Browser, sandbox: Sandbox) -> None:
    window = await Window.open(browser, viewport=WIDE)
    await window.page.clock.install()
    await window.page.goto(sandbox.url)
    await expect(window.page.get_by_text("No mail yet.")).to_be_visible()
    await send(sandbox, "While you look")
    await window.page.clock.run_for(6000)
    await expect(window.page.get_by_role("link", name="While you look")).to_be_visible()
    await window.context.close()


async def test_a_sign_in_leads_back_to_the_app_and_nowhere_else(browser: Browser, sandbox: Sandbox) -> None:
    """Chromium holds a redirect that answers a form against form-action."""
    came: list[str] = []

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok")
        writer.close()

    listening = await asyncio.start_server(app, "127.0.0.1", 0)
    back = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/callback"
    asked = {
        "response_type": "code",
        "client_id": "sandbox-app",
        "redirect_uri": back,
        "state": "s1",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    async with listening:
        window = await Window.open(browser, viewport=WIDE)
        await window.page.goto(str(httpx2.URL(f"{sandbox.url}/authorize", params=asked)))
        await window.page.get_by_role("button", name="Approve").click()
        await window.page.wait_for_url(f"{back}*")
        assert "state=s1" in came[0]
        assert window.faults == []
        await window.context.close()
    async with httpx2.AsyncClient() as http:
        for hostile in ("javascript:alert(1)", "https://x.example; script-src *", "x"):
            page = await http.get(f"{sandbox.url}/authorize", params=asked | {"redirect_uri": hostile})
            assert "script-src 'self';" in page.headers["content-security-policy"]
            assert "*" not in page.headers["content-security-policy"]


async def test_every_answer_says_what_may_run(sandbox: Sandbox) -> None:
    await send(sandbox, "Hello", "<script>alert(1)</script>")
    async with httpx2.AsyncClient(base_url=sandbox.url) as http:
        for path in ("/", "/inbox/last", "/inbox/none", "/faults", "/describe", "/inbox", "/nothing"):
            for accept in ({}, HTML):
                answer = await http.get(path, headers=accept)
                assert answer.headers["content-security-policy"] == POLICY, path
        refused = await http.get("/", headers={"host": "rebound.example.org"})
        assert refused.headers["content-security-policy"] == POLICY
        frame = await http.get("/inbox/last/frame")
        assert frame.headers["content-security-policy"].startswith("sandbox; default-src 'none';")
        raw = await http.get("/inbox/last/raw")
        assert raw.headers["content-security-policy"] == "sandbox; default-src 'none'"


async def test_programs_are_answered_as_before(sandbox: Sandbox) -> None:
    async with httpx2.AsyncClient(base_url=sandbox.url) as http:
        assert (await http.get("/faults")).json()["smtp"] == []
        assert (await http.get("/describe")).json()["client_id"] == "sandbox-app"
        assert "Switch day" in (await http.get("/faults", headers=HTML)).text
        assert "sandbox-app" in (await http.get("/describe", headers=HTML)).text


@pytest.mark.parametrize("before", ["", "550 5.1.1 No such user"])
async def test_switch_day_is_felt_at_once(sandbox: Sandbox, before: str) -> None:
    """By a client that is connected and has a token, also one whose recipients were just refused."""
    message = b"From: alerts@example.org\r\nSubject: Hello\r\n\r\nHello\r\n"
    envelope = Envelope.of(ADDRESS, ["you@example.org"])
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        if before:
            sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", reply=before, times=1)]))
            with pytest.raises(Rejected):
                await mailer.send(message, envelope)
        else:
            await mailer.send(message, envelope)
        taken = len(sandbox.inbox.messages)
        sandbox.switch("switch-day")
        for _ in range(20):  # turns of the loop, in which the client hears that its connection has ended
            await asyncio.sleep(0)
        with pytest.raises(CredentialRefused, match="SmtpClientAuthentication is disabled"):
            await mailer.send(message, envelope)
        sandbox.switch("switch-day", on=False)
    assert len(sandbox.inbox.messages) == taken
    await send(sandbox, "Again")
    sandbox.switch("secret-over")
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        with pytest.raises(PostbearerError, match="AADSTS7000222"):
            await mailer.send(message, envelope)


async def test_a_button_that_is_none_is_told_so(sandbox: Sandbox) -> None:
    async with httpx2.AsyncClient(base_url=sandbox.url) as http:
        for form in ({}, {"act": "on"}, {"act": "on", "fault": "<b>"}, {"act": "away", "fault": "busy"}):
            answer = await http.post("/faults", data=form)
            assert answer.status_code == 400
            assert "<b>" not in answer.text
        foreign = await http.post(
            "/faults", data={"act": "on", "fault": "busy"}, headers={"origin": "https://example.org"}
        )
        assert foreign.status_code == 403
    assert sandbox.faults == Faults()


async def test_messages_come_a_hundred_at_a_time(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postbearer.testing.browsing.PAGE", 2)
    for number in range(5):
        await send(sandbox, f"Number {number}")
    async with httpx2.AsyncClient(base_url=sandbox.url) as http:
        first = (await http.get("/")).text
        assert [f"Number {number}<" in first for number in range(5)] == [False, False, False, True, True]
        older = (await http.get("/", params={"before": sandbox.inbox.messages[3].id})).text
        assert [f"Number {number}<" in older for number in range(5)] == [False, True, True, False, False]
        last = (await http.get("/", params={"before": sandbox.inbox.messages[1].id})).text
        assert "Number 0<" in last
        assert 'rel="next"' not in last


@pytest.mark.parametrize("provider", sorted(PERSONALITIES))
async def test_switches_leave_other_faults_alone_and_are_ended_whole(provider: str) -> None:
    other = SmtpFault(at="rcpt", match="nobody@", reply="550 5.1.1 No such user")
    offered = switches(provider)
    assert len({each.name for each in offered}) == len(offered)
    assert {each.at for each in offered} == set(PARTS)
    faults = Faults(smtp=[other])
    for each in offered:
        assert not each.is_on(faults)
        faults = each.on(each.on(faults))
        assert each.is_on(faults)
    assert other in faults.smtp
    for each in offered:
        faults = each.off(faults)
        assert not each.is_on(faults)
    assert faults == Faults(smtp=[other])


async def test_a_fault_that_struck_as_often_as_it_may_is_off(sandbox: Sandbox) -> None:
    [lost] = [each for each in switches("microsoft") if each.name == "lost-answer"]
    sandbox.switch("lost-answer")
    assert sandbox.faults.next_smtp("content", after_commit=True) is not None
    assert not lost.is_on(sandbox.faults)
    assert lost.is_on(lost.on(sandbox.faults))


async def test_pictures_for_the_documentation(
    browser: Browser, sandbox: Sandbox, request: pytest.FixtureRequest
) -> None:
    """They are made anew by `--pictures`; what stands in the documentation is there in any case."""
    paths = {"faults": "/faults"}
    if request.config.getoption("--pictures"):
        PICTURES.mkdir(exist_ok=True)
        sandbox.switch("switch-day")
        window = await Window.open(browser, viewport={"width": 960, "height": 700})
        for name, path in paths.items():
            await window.page.goto(f"{sandbox.url}{path}")
            await window.page.screenshot(path=PICTURES / f"{name}.png")
        await window.context.close()
    assert sorted(path.stem for path in PICTURES.glob("*.png")) == sorted(paths)
