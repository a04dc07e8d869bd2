"""What the pages tell and do, without scripts: every act, what the queue then says, and hostile mail."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from console.conftest import Person, text
from postbearer.errors import StoreError
from postbearer.state import LastBackup, last_backup, note_backup
from postbearer.store import NodeRecord, Query, Status
from support.shown_relay import EVIL, SCRIPT, ShownRelay

PAGES = Path(__file__).parents[2] / "src" / "postbearer" / "console"


async def ids(shown: ShownRelay, **query: object) -> list[str]:
    return [each.message.id for each in await shown.running.spool.search(Query(**query))]  # type: ignore[arg-type]


async def states(shown: ShownRelay, message: str) -> list[str]:
    entry = await shown.running.spool.show(message)
    assert entry is not None
    return [str(row.status) for row in entry.rows]


async def test_the_first_page_tells_what_is_wrong_and_what_to_do(inside: Person) -> None:
    told = text(await inside.page("/"))
    assert "Some mail is not leaving" in told
    assert "news sends nothing. 1 other account sends; 1 is tried again by itself." in told
    assert "Somebody paused it. Next: Let it send again: postbearer accounts resume news" in told
    assert "Connection refused" in told
    assert "Next: It is tried again by itself. Find out more: postbearer check billing" in told
    assert "Failed in 24 hours 1" in told
    assert "Somebody is told when a person must act" in told


async def test_a_backup_is_asked_for_until_there_is_one_that_is_not_old(
    person: Person, tmp_path: Path
) -> None:
    home = person.shown.home
    await person.open()
    assert "None is known of. Have one made each night" in text(await person.page("/"))
    command = [
        "-m",
        "postbearer",
        "backup",
        str(tmp_path / "b.tar"),
        "--config",
        str(home / "postbearer.toml"),
    ]
    environment = {**os.environ, "POSTBEARER_STATE": str(home / "state")}
    made = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment)
    assert await made.wait() == 0
    told = text(await person.page("/"))
    assert "done A backup exists, and is not older than a week" in told
    last = last_backup(str(home / "state"))
    assert last is not None
    assert last.file == str(tmp_path / "b.tar")
    note_backup(str(home / "state"), LastBackup(last.file, last.made - 8 * 86_400))
    assert "open A backup exists" in (told := text(await person.page("/")))
    assert "The last one was made 8 d" in told
    (home / "state" / ".last-backup.json").write_text("{")  # damaged: as if there were none
    assert "None is known of." in text(await person.page("/"))


async def test_staging_is_told_on_each_page_until_it_ends(inside: Person) -> None:
    shown = inside.shown
    shown.relay_lines = 'allow-recipients = ["@corp.example"]\n'
    await shown.reload()
    said = "Staging mode: mail reaches @corp.example only; what is for others is held in the queue."
    for path in ("/", "/queue", "/accounts", "/log"):
        assert said in await inside.page(path)
    shown.relay_lines = ""
    await shown.reload()
    assert "Staging" not in await inside.page("/")


async def test_relays_that_share_the_queue_are_told_with_who_is_silent(
    inside: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = inside.shown
    spool = shown.running.spool
    assert "Relays on this queue" not in await inside.page("/")
    [own] = await spool.nodes()
    lost = replace(
        own,
        name="mail-2<b>",
        own=False,
        since=1_790_000_000.0,
        heartbeat=1_790_000_300.0,
        expires=1_790_000_330.0,
        version="0.0.9",
        configuration="other",
        busy=3,
    )

    async def nodes() -> list[NodeRecord]:
        return [own, lost]

    monkeypatch.setattr(spool, "nodes", nodes)
    await shown.pause("alerts")
    await inside.send("/accounts/alerts/act", {"act": "resume"})  # so that the next page looks anew
    page = await inside.page("/")
    told = text(page)
    assert f"{own.name} works the one that you look at" in told
    assert "mail-2<b> silent 3 attempts under way, version 0.0.9" in told
    assert "<b>" not in page
    silent = page[page.index("It has been silent since") :]
    assert 'datetime="2026-09-21T14:18:20' in silent[:120]
    assert "They have different configurations" in told


async def test_all_is_well_once_it_is(inside: Person) -> None:
    shown = inside.shown
    await inside.send("/accounts/news/act", {"act": "resume"})
    [waiting] = await ids(shown, account="billing")
    page = await inside.told(
        await inside.send(f"/messages/{waiting}/act", {"act": "cancel", "confirmed": "1"})
    )
    assert "cancelled" in page
    await shown.settled(8)
    told = text(await inside.page("/"))
    assert "Mail is flowing Nothing waits." in told
    assert "What needs you" not in told


async def test_numbers_go_on_over_a_restart(inside: Person) -> None:
    await inside.shown.restart()
    assert (await inside.get("/")).status_code == 303  # all sessions have ended
    await inside.open()
    table = text(await inside.page("/?chart=hour"))
    assert re.search(r"In all 8 3 1 1(?!\d)", table), table[-400:]


async def test_the_queue_is_searched_by_what_stands_in_the_address(inside: Person) -> None:
    everything = text(await inside.page("/queue"))
    for subject in ("Backup finished", "What is new in December", "Invoice 2026-1107"):
        assert subject in everything
    [backup] = [
        each
        for each in await ids(inside.shown, address="ops@")
        if await states(inside.shown, each) == ["delivered"]
    ]
    for query, shown, hidden in (
        ("?q=linus%40", "What is new", "Backup"),
        (f"?q={backup}", "Backup", "Invoice"),
        ("?account=billing", "Invoice", "Backup"),
        ("?state=failed", "web-3", "Invoice"),
        ("?accepted=hour&account=news", "What is new", "Invoice"),
        ("?client=nobody", "Nothing fits", "Invoice"),
        ("?q=from:news@+state:ready", "What is new", "Backup"),
        ("?q=to:grace@&account=news", "What is new", "Backup"),
        ("?q=reply:%22user+unknown%22", "web-3", "Backup"),
        ("?q=newer:1h+account:billing", "Invoice", "Backup"),
        ("?tag=customer:42", "Nothing fits", "Invoice"),
        ("?q=%3Cno-such-id%40example.org%3E", "Nothing fits", "Invoice"),
    ):
        told = text(await inside.page(f"/queue{query}"))
        assert shown in told, query
        assert hidden not in told, query


async def test_a_search_that_cannot_be_read_is_told_with_its_place(inside: Person) -> None:
    for asked, told in (
        ("q=state:helt", "In the search, 'state:helt' (at 1) names a state that there is not"),
        ("q=account:news&account=news", "asks for the account, and so does another filter"),
        ("tag=customer", "is no tag with its value"),
        ("q=%3Cscript%3E:x", "Nothing fits"),
        ("q=x:%3Cscript%3E", "begins with a name that there is not"),
    ):
        answer = await inside.get(f"/queue?{asked}")
        assert answer.status_code == (200 if told == "Nothing fits" else 422)
        assert told in text(answer.text), asked
        assert "<script>" not in answer.text
        assert "Words of a search" in answer.text
    wrong = await inside.send("/queue/all", {"act": "hold", "q": "older:soon"}, of="/queue")
    assert wrong.status_code == 422


async def test_what_waits_is_sent_through_another_account(inside: Person) -> None:
    shown = inside.shown
    chosen = await ids(shown, account="news")
    page = await inside.page("/queue")
    assert "Account that the chosen messages are to leave by" in page
    form = {"act": "move", "message": chosen[:1], "target": "alerts"}
    await shown.pause("alerts")
    asked = await inside.send("/queue/act", form, of="/queue")
    assert "By: alerts" in text(asked.text)
    done = await inside.send("/queue/act", {**form, "confirmed": "1"}, of="/queue")
    assert "1 message is moved (2 recipients)." in text(await inside.told(done))
    assert await ids(shown, account="news") == chosen[1:]
    asked = await inside.send("/queue/all", {"act": "move", "account": "news", "target": "alerts"})
    assert "By: alerts , as far as it may carry them." in text(asked.text)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    begun = await inside.post("/queue/all", {**fields, "act": "move"})
    job = begun.headers["location"].removeprefix("/console")
    while "running" in (page := text(await inside.page(job))):
        pass
    assert "To the account alerts" in page
    assert await ids(shown, account="news") == []
    back = await inside.send(f"/messages/{chosen[0]}/act", {"act": "move", "target": "news"})
    assert "1 message is moved" in text(await inside.told(back))
    for path in ("/queue/act", "/queue/all", f"/messages/{chosen[0]}/act"):
        lost = await inside.send(path, {"act": "move", "message": chosen[0]}, of="/queue")
        assert "choose the account" in text(await inside.told(lost)), path
    gone = await inside.send(f"/messages/{chosen[0]}/act", {"act": "move", "target": "nowhere"})
    assert "Nothing was done:" in text(await inside.told(gone))


async def test_what_was_held_by_mistake_is_released_by_a_click(inside: Person) -> None:
    shown = inside.shown
    chosen = await ids(shown, account="news")
    done = await inside.send("/queue/act", {"act": "hold", "message": chosen, "confirmed": "1"}, of="/queue")
    page = await inside.told(done)
    assert "Undo: release 2 messages" in text(page)
    [undo] = re.findall(r'name="undo" value="(\w+)"', page)
    taken_back = await inside.send("/undo", {"undo": undo})
    assert "Taken back: 2 messages are released." in text(await inside.told(taken_back))
    assert await states(shown, chosen[0]) == ["ready", "ready"]
    assert "Undo:" not in await inside.page("/queue")
    twice = await inside.send("/undo", {"undo": undo})
    assert "that was taken back already" in text(await inside.told(twice))


async def test_pages_of_messages_follow_each_other(inside: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postbearer.console.queue.PAGE", 2)
    seen: list[str] = []
    path = "/queue?account=&q=example"
    while True:
        page = await inside.page(path)
        seen += re.findall(r'id="m-(\w+)"', page)
        following = re.search(r'rel="next" href="/console([^"]+)"', page)
        if not following:
            break
        path = unescape(following[1])
        assert "q=example" in path
    assert seen == await ids(inside.shown)
    lost = text(await inside.page("/queue?after=0000000000000000"))
    assert "this is the first page again" in lost


async def test_chosen_messages_are_asked_about_and_then_done_to(inside: Person) -> None:
    shown = inside.shown
    chosen = await ids(shown, account="news")
    form = {"act": "hold", "message": chosen, "account": "news"}
    asked = await inside.send("/queue/act", form, of="/queue")
    assert asked.status_code == 200
    assert "Hold: 2 messages?" in text(asked.text)
    assert "account “news”" in text(asked.text)
    assert await states(shown, chosen[0]) == ["ready", "ready"]
    done = await inside.send("/queue/act", {**form, "confirmed": "1"}, of="/queue")
    assert done.headers["location"] == "/console/queue?account=news"
    assert "Done" not in done.text
    assert "2 messages are held (3 recipients)." in text(await inside.told(done))
    assert await states(shown, chosen[0]) == ["held", "held"]
    for act, before, after in (
        ("release", "released", "ready"),
        ("retry", "tried now", "ready"),
        ("cancel", "cancelled", "cancelled"),
    ):
        done = await inside.send("/queue/act", {**form, "act": act, "confirmed": "1"}, of="/queue")
        assert before in text(await inside.told(done))
        assert await states(shown, chosen[1]) == [after]
    again = await inside.send("/queue/act", {**form, "act": "retry", "confirmed": "1"}, of="/queue")
    assert "Nothing was changed." in text(await inside.told(again))


async def test_all_that_fits_is_counted_confirmed_and_done_by_a_job(inside: Person) -> None:
    shown = inside.shown
    fits = await ids(shown, account="news")
    asked = await inside.send(
        "/queue/all", {"act": "hold", "account": "news", "accepted": "hour"}, of="/queue"
    )
    assert "Hold: all 2 messages that fit?" in text(asked.text)
    assert "Exactly 2 messages have a recipient to which it can be done, among those with" in text(asked.text)
    assert "account “news”" in text(asked.text)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    assert await states(shown, fits[1]) == ["ready"]
    wrong = await inside.post("/queue/all", {**fields, "act": "hold", "count": "1"})
    assert "Nothing was done: 2 messages match now, not 1." in text(wrong.text)
    begun = await inside.post("/queue/all", {**fields, "act": "hold"})
    assert begun.status_code == 303
    job = begun.headers["location"].removeprefix("/console")
    for _ in range(1000):
        page = text(await inside.page(job))
        if "done It has come to its end." in page:
            break
    assert "2 of 2" in page
    assert "3 recipients changed" in page
    assert await states(shown, fits[0]) == ["held", "held"]
    assert "account:news" in text(await inside.page("/jobs"))
    undo = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', await inside.page(job)))
    asked = await inside.post("/queue/all", {**{k: unescape(v) for k, v in undo.items()}, "act": "release"})
    assert "Release: all 2 messages that fit?" in text(asked.text)
    nothing = await inside.send("/queue/all", {"act": "hold", "account": "news"}, of="/queue")
    assert "nothing can be changed by “Hold”" in text(await inside.told(nothing))
    ended = await inside.send(f"{job}/cancel", {})
    assert "has ended" in text(await inside.told(ended))
    assert (await inside.get("/jobs/none")).status_code == 404
    odd = await inside.send("/queue/all", {"act": "retry", "state": "delivered"}, of="/queue")
    assert odd.status_code == 422


async def test_the_audit_says_who_did_what(inside: Person) -> None:
    await inside.send("/accounts/alerts/act", {"act": "pause"})
    told = text(await inside.page("/audit"))
    assert "pause console one-time code alerts" in told
    assert "console opened" in told
    verified = await inside.send("/audit/verify", {})
    assert "entries are as they were written" in text(await inside.told(verified))
    for odd in ("0", "-1", "x", "9" * 40, "1"):
        assert (await inside.get(f"/audit?before={odd}")).status_code == 200


async def test_no_act_is_without_an_answer(inside: Person) -> None:
    nothing = await inside.send("/queue/act", {"act": "hold"}, of="/queue")
    assert "choose messages first" in await inside.told(nothing)
    odd = await inside.send("/queue/act", {"act": "explode", "message": "x"}, of="/queue")
    assert odd.status_code == 422
    gone = await inside.send("/queue/act", {"act": "hold", "message": "x", "confirmed": "1"}, of="/queue")
    assert "There is no message" in text(await inside.told(gone))
    assert (await inside.send("/messages/0000000000000000/act", {"act": "hold"})).status_code == 404
    assert (await inside.send("/accounts/nobody/act", {"act": "pause"})).status_code == 404
    assert (await inside.send("/accounts/alerts/act", {"act": "explode"})).status_code == 422


async def test_what_was_said_to_a_server_that_refused_is_shown_without_secrets(inside: Person) -> None:
    shown = inside.shown
    await shown.send("alerts@example.org", "mallory@example.org", "Refused")
    await shown.settled(5)
    [refused] = await ids(shown, recipient="mallory@")
    page = await inside.page(f"/messages/{refused}")
    told = text(page)
    assert "What was said" in told
    assert "C: RCPT TO:<mallory@example.org>" in told
    assert "S: 550 5.7.1 <img src=x" in told
    assert EVIL not in page
    assert "Bearer" not in told
    [backup] = [
        each for each in await ids(shown, address="ops@") if await states(shown, each) == ["delivered"]
    ]
    assert "What was said" not in await inside.page(f"/messages/{backup}")
    for message in await ids(shown):
        entry = await shown.running.spool.show(message)
        assert entry is not None
        for attempt in entry.attempts:
            known = r"C: (?!AUTH XOAUTH2 \*|\*|EHLO|STARTTLS|MAIL|RCPT|DATA|BDAT|RSET|\[)"
            assert not re.search(known, attempt.transcript)


async def test_a_message_tells_its_whole_way(inside: Person) -> None:
    shown = inside.shown
    [refused] = [each for each in await ids(shown) if "failed" in await states(shown, each)]
    told = text(await inside.page(f"/messages/{refused}"))
    for words in (
        "Disk of web-3 is nearly full",
        "Attempt 1",
        "the provider calls it",
        "There is no such recipient, or it has moved. Next: Correct the address.",
        "The server said: 550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown",
    ):
        assert words in told, words
    [waits, _] = await ids(shown, account="news")
    told = text(await inside.page(f"/messages/{waits}"))
    assert "The account news is paused: Paused by hand. Next: Let it send again" in told
    one = await inside.send(f"/messages/{waits}/act", {"act": "hold", "address": "ada@example.org"})
    assert "1 message is held (1 recipient)." in text(await inside.told(one))
    assert await states(shown, waits) == ["held", "ready"]
    asked = await inside.send(f"/messages/{waits}/act", {"act": "cancel"})
    assert "while it is kept here it can be resent, as a new message." in text(asked.text)
    assert await states(shown, waits) == ["held", "ready"]
    released = await inside.send(f"/messages/{waits}/act", {"act": "release"})
    assert "It waits all the same: the account news is paused." in text(await inside.told(released))


async def test_a_message_is_sent_again_to_whom_one_chooses(inside: Person) -> None:
    shown = inside.shown
    [waits, _] = await ids(shown, account="news")
    assert f'href="/console/messages/{waits}/resend"' in await inside.page(f"/messages/{waits}")
    place = f"/messages/{waits}/resend"
    asked = await inside.page(place)
    assert "Whoever got the first one gets it twice" in text(asked)
    [key] = re.findall(r'name="key" value="([^"]+)"', asked)
    choices = re.findall(r'name="to" value="([^"]+)" checked', asked)
    assert "ada@example.org" in choices
    assert len(choices) == 2
    before = await ids(shown)
    none = await inside.send(place, {"key": key}, of=place)
    assert "choose to whom it is to go" in text(await inside.told(none))
    form = {"key": key, "to": ["ada@example.org"]}
    done = [await inside.send(place, form, of=place) for _ in range(2)]  # the button, clicked twice
    assert len({each.headers["location"] for each in done}) == 1
    told = text(await inside.told(done[0]))
    assert "This is the new message, for 1 recipient." in told
    [new] = set(await ids(shown)) - set(before)
    assert done[0].headers["location"] == f"/console/messages/{new}"
    assert len(await states(shown, new)) == 1
    assert "resend" in text(await inside.page("/audit"))
    wrong = await inside.send(place, {"key": "other", "to": ["no address"]}, of=place)
    assert "Nothing was done:" in text(await inside.told(wrong))
    gone = await inside.get("/messages/0000/resend")
    assert gone.status_code == 404


async def test_what_is_scheduled_and_tagged_is_told_so(inside: Person) -> None:
    shown = inside.shown
    token = (shown.home / "state" / "api-token").read_text().strip()
    made = await inside.http.post(
        f"{shown.running.addresses[-1]}/v1/messages",
        json={
            "to": "later@example.org",
            "subject": "Later",
            "text": "x",
            "send-at": "1h",
            "tags": {"order": "<17>"},
        },
        headers={"authorization": f"Bearer {token}"},
    )
    assert made.status_code == 202, made.text
    told = text(await inside.page(f"/messages/{made.json()['id']}"))
    assert "scheduled It leaves at the time that was named for it." in told
    assert "Tags order: <17>" in told
    held = await inside.send(f"/messages/{made.json()['id']}/act", {"act": "hold"})
    assert "message is held" in await inside.told(held)


async def test_an_account_is_paused_and_resumed(inside: Person) -> None:
    shown = inside.shown
    page = text(await inside.page("/accounts/alerts"))
    assert "sends" in page
    assert "3 of 30 used" in page
    done = await inside.send("/accounts/alerts/act", {"act": "pause"})
    assert "The account alerts is paused" in text(await inside.told(done))
    assert shown.running.dispatcher.account_states["alerts"].paused
    assert "No mail is leaving" not in text(await inside.page("/"))
    done = await inside.send("/accounts/alerts/act", {"act": "resume"})
    assert "sends again" in text(await inside.told(done))
    assert not shown.running.dispatcher.account_states["alerts"].paused
    listed = await inside.page("/accounts")
    assert listed.index("/accounts/billing") < listed.index("/accounts/alerts")  # those in trouble first


async def test_a_message_is_read_downloaded_and_never_run(inside: Person) -> None:
    shown = inside.shown
    await shown.send("billing@example.org", "eve@example.org", "Snapshot", html=f"<p>Hello{SCRIPT}</p>")
    [message] = await ids(shown, address="eve@")
    page = await inside.page(f"/messages/{message}/read")
    assert 'sandbox=""' in page
    assert SCRIPT not in page
    frame = await inside.get(f"/messages/{message}/frame")
    assert frame.headers["content-security-policy"].startswith("sandbox; default-src 'none';")
    assert "Hello" in frame.text
    noted = [each for each in await shown.running.spool.audit.read(None, 100) if each.record.action == "read"]
    assert len(noted) == 1  # the page, with the frame in it
    await inside.get(f"/messages/{message}/frame")
    noted = [each for each in await shown.running.spool.audit.read(None, 100) if each.record.action == "read"]
    assert len(noted) == 2  # the frame alone
    file = await inside.get(f"/messages/{message}/download")
    assert file.headers["content-disposition"] == f'attachment; filename="{message}.eml"'
    assert file.headers["content-type"] == "application/octet-stream"
    entry = await shown.running.spool.show(message)
    assert entry is not None
    assert b"".join((await shown.running.spool.content(entry.message)).blocks()) == file.content


async def test_hostile_mail_shows_as_text_everywhere(inside: Person) -> None:
    shown = inside.shown
    octets = (
        f'From: "{SCRIPT}" <x@example.org>\r\nTo: mallory@example.org\r\n'
        f"Subject: {SCRIPT} \u202egpj.exe\r\nMessage-ID: <{SCRIPT}@example.org>\r\n"
        'X-Evil: <img src="https://example.org/x" onerror="x()">\r\n'
        f'Content-Type: text/plain; name="../../{SCRIPT}"\r\n'
        "\r\nHello\r\n"
    ).encode()
    await shown.raw("alerts@example.org", ["mallory@example.org", "ops@example.org"], octets)
    await shown.settled(7)
    [message] = await ids(shown, address="mallory")
    for path in ("/", "/queue", "/queue?q=mallory", f"/messages/{message}", f"/messages/{message}/read"):
        page = await inside.page(path)
        assert "<script>document" not in page, path
        assert "<img" not in page, path
        assert EVIL not in page, path
    assert "onerror" in text(
        await inside.page(f"/messages/{message}")
    )  # it is shown, as what the server said
    for hostile in (
        "/queue?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/messages/%3Cscript%3E",
        "/login?code=%22%3E%3Cscript%3E",
    ):
        assert "<script>" not in (await inside.get(hostile)).text


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"no header at all\r\n",
        b"Content-Type: text/html; charset=no-such\r\n\r\n<b>x</b>\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 3000,
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n",
        b"Subject: =?utf-8?q?=ff=fe?=\r\nContent-Type: text/plain; charset=utf-16\r\n\r\nabc\r\n",
        b"Content-Type: message/rfc822\r\n\r\nSubject: within\r\n\r\nx\r\n",
        b"Content-Disposition: attachment; filename*=utf-8''..%2f..%2fetc%2fpasswd\r\n\r\nx\r\n",
    ],
)
def test_any_octets_can_be_looked_at(octets: bytes) -> None:
    from postbearer.console.preview import preview

    assert preview(octets, whole=True).document.startswith("<!doctype html>")


async def test_a_store_that_fails_is_told_and_nothing_hangs(
    inside: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = inside.shown
    [waits, _] = await ids(shown, account="news")
    page = await inside.page(f"/messages/{waits}")
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found

    async def broken(*given: object, **more: object) -> int:
        raise StoreError("The disk is full.", hint="Free some.")

    monkeypatch.setattr(shown.running.spool, "change", broken)
    for form in ({"act": "hold"}, {"act": "retry"}, {"act": "cancel", "confirmed": "1"}):
        answer = await inside.post(f"/messages/{waits}/act", {"csrf": found[1], **form})
        assert answer.status_code == 503
        assert "The disk is full. Free some." in text(answer.text)
    many = await inside.post(
        "/queue/act", {"csrf": found[1], "act": "hold", "confirmed": "1", "message": [waits]}
    )
    assert "The disk is full." in text(await inside.told(many))
    for name in ("statistics", "search", "traffic"):
        monkeypatch.setattr(shown.running.spool, name, broken)
    inside.shown.running._http._state.looks.forget()  # type: ignore[union-attr]
    for path in ("/", "/queue", "/accounts"):
        answer = await inside.get(path)
        assert answer.status_code == 503
        assert "The disk is full." in text(answer.text)


async def test_a_message_for_many_shows_a_part_of_them_at_a_time(inside: Person) -> None:
    shown = inside.shown
    many = [f"r{number}@example.org" for number in range(250)]
    await shown.raw("billing@example.org", many, b"Subject: To all\r\n\r\nHello\r\n")
    [message] = await ids(shown, address="r249@")
    first = text(await inside.page(f"/messages/{message}"))
    assert "r99@" in first
    assert "r100@" not in first
    assert "100 of 250" in first
    seen: list[str] = []
    place = f"/messages/{message}"
    while True:
        page = await inside.page(place)
        seen += re.findall(r"<strong>(r\d+@example\.org)</strong>", page)
        following = re.search(r'rel="next" href="([^"]+)#recipients"', page)
        if not following:
            break
        place = f"/messages/{message}{unescape(following[1])}"
    assert seen == many
    for odd in ("-1", "99999999999999999999", "x", "²", "0", "%00"):
        page = await inside.page(f"/messages/{message}?after={odd}")
        assert "these are the first again" in text(page)
        assert "r0@" in page
    await inside.send(f"/messages/{message}/act", {"act": "hold", "address": "r200@example.org"})
    held = await inside.page(f"/messages/{message}?state=held")
    assert re.findall(r"<strong>(r\d+@example\.org)</strong>", held) == ["r200@example.org"]
    assert "1 of 1" not in text(held)  # there is one page
    assert "Recipients: held" in text(held)
    assert "?state=held#recipients" in await inside.page(f"/messages/{message}")
    assert "r0@" in await inside.page(f"/messages/{message}?state=odd<script>")


async def test_open_pages_cost_as_much_as_one(inside: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, asked = inside.shown.running.spool, 0

    def counted(name: str) -> None:
        real = getattr(spool, name)

        async def ask(*given: object) -> object:
            nonlocal asked
            asked += 1
            return await real(*given)

        monkeypatch.setattr(spool, name, ask)

    for name in ("statistics", "waiting", "traffic", "pauses", "search"):
        counted(name)
    monkeypatch.setattr("postbearer.console.visit.SOONEST", 3600.0)
    inside.shown.running._http._state.looks.forget()  # type: ignore[union-attr]
    await inside.page("/")
    once = asked
    for _ in range(19):
        await inside.page("/")
    assert asked == once


@pytest.mark.parametrize("file", sorted((PAGES / "templates").glob("*.html")), ids=lambda path: path.name)
def test_no_page_has_scripts_or_styles_within(file: Path) -> None:
    source = file.read_text()
    assert not re.search(
        r"\son\w+\s*=|\sstyle\s*=|javascript:|<style|<script(?![^>]*\ssrc=)|\|\s*safe", source
    )


async def test_states_are_all_known(shown: ShownRelay) -> None:
    from postbearer.console.wording import ACCOUNTS, STATES

    assert set(STATES) == {str(each) for each in Status}
    assert set(ACCOUNTS) >= {"ready", "paused", "not-signed-in"}
