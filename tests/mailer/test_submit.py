"""`submit` hands a message to the relay of this machine, and tells the id that means “on the disk”."""

from __future__ import annotations

import asyncio
import email
import email.utils
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from postbearer import (
    Account,
    AsyncMailer,
    Envelope,
    Mailer,
    OutcomeUnknown,
    Recipient,
    RelayNotRunning,
    SubmissionRefused,
    submit,
)
from postbearer.engine import Submitter
from postbearer.errors import KeyReused, UsageError
from postbearer.message import FileContent
from postbearer.store import Priority
from support.local import LocalRelay, local_relay, short_folder

ACCOUNT = Account.smtp(
    "alerts@example.org", servers=["mail.example.org:587"], authentication="none", name="alerts"
)
WORDS = {"to": "you@example.net", "subject": "Hello", "text": "It works."}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder that the environment names."""
    with short_folder() as folder:
        monkeypatch.setenv("POSTBEARER_STATE", str(folder))
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        yield folder


@pytest.fixture
async def relay(home: Path) -> AsyncIterator[LocalRelay]:
    async with local_relay(home) as running:
        yield running


async def submitted(*given: Any, **options: Any) -> str:
    """`submit`, in a thread, as the relay of the test runs in this loop."""
    return await asyncio.to_thread(partial(submit, *given, **options))


def letter(subject: str = "Hello") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"] = (
        "alerts@example.org",
        "you@example.net",
        "boss@example.net",
    )
    message["Subject"] = subject
    message.set_content("It works.")
    message.add_attachment(b"\0\1", maintype="application", subtype="octet-stream", filename="a.bin")
    return message


async def test_the_id_is_that_of_the_message_on_the_disk(relay: LocalRelay) -> None:
    async with AsyncMailer(ACCOUNT, state="memory") as mailer:
        told = await mailer.submit(**WORDS, priority="urgent")
    entry, content = await relay.one()
    assert told == entry.message.id
    assert entry.message.envelope.reverse_path == "alerts@example.org"
    assert entry.message.envelope.addresses == ("you@example.net",)
    assert [(row.account, row.priority) for row in entry.rows] == [("alerts", Priority.URGENT)]
    assert b"Subject: Hello\r\n" in content
    assert b"Message-ID: <" in content


async def test_a_mailer_without_a_loop_does_the_same(relay: LocalRelay) -> None:
    with Mailer(ACCOUNT, state="memory") as mailer:
        told = await asyncio.to_thread(partial(mailer.submit, letter()))
    entry, content = await relay.one()
    assert told == entry.message.id
    assert set(entry.message.envelope.addresses) == {"you@example.net", "boss@example.net"}
    assert b"boss@" not in content
    assert b"a.bin" in content


async def test_without_an_account_the_relay_says_by_which_it_goes(relay: LocalRelay) -> None:
    told = await submitted(**WORDS, sender="Shop <shop@example.org>")
    entry, _ = await relay.one()
    assert (told, entry.message.envelope.reverse_path) == (entry.message.id, "shop@example.org")


async def test_bytes_go_as_they_are_with_the_wishes_of_their_envelope(
    relay: LocalRelay, tmp_path: Path
) -> None:
    octets = b"From: a@example.org\r\nX-Own:  kept\r\n\r\n" + b"x" * 70 + b"\r\n"
    everyone = tuple(Recipient(each, ("FAILURE", "DELAY")) for each in ("b@example.net", "c@example.net"))
    envelope = Envelope("a@example.org", everyone, ret="HDRS", envid="order 7", priority=-3)
    await submitted(octets, envelope)
    entry, content = await relay.one()
    assert content == octets
    assert entry.message.envelope == envelope
    file = tmp_path / "large.eml"
    file.write_bytes(octets + b"y" * 78 + b"\r\n" * 2_000_000)
    told = await submitted(FileContent(str(file)), envelope)
    found = await relay.spool.show(told)
    assert found is not None
    assert found.message.size == file.stat().st_size


async def test_a_last_line_without_an_end_gets_one(relay: LocalRelay) -> None:
    parsed = email.message_from_bytes(b"From: a@example.org\nTo: b@example.net\n\nIt works.")
    envelope = Envelope.of("a@example.org", ["b@example.net"])
    await submitted(parsed)
    await submitted(b"From: a@example.org\r\n\r\nIt works.", envelope)
    assert [content[-13:] for _, content in await relay.accepted()] == [b"\r\nIt works.\r\n"] * 2


# — the key ————————————————————————————————————————————————————————————————————————————————————————————


async def test_what_is_submitted_again_under_its_key_is_there_once(relay: LocalRelay) -> None:
    ids = {await submitted(letter(), key="order-17") for _ in range(3)}  # each made anew
    ids |= {await submitted(letter(), Envelope.of("alerts@example.org", ["x@example.net"]), key="order-18")}
    entries = {entry.message.id for entry, _ in await relay.accepted()}
    assert entries == ids
    assert len(ids) == 2
    again = {
        await submitted(**WORDS, sender="a@example.org", key="parts", attach=[("a", b"1")]) for _ in "12"
    }
    assert len(again) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda: submitted(letter("Other"), key="order-17"),
        lambda: submitted(letter(), Envelope.of("alerts@example.org", ["x@example.net"]), key="order-17"),
    ],
)
async def test_a_key_stands_for_one_message(relay: LocalRelay, other: Callable[[], Any]) -> None:
    await submitted(letter(), key="order-17")
    with pytest.raises(KeyReused, match="'order-17' stands for another message"):
        await other()
    assert len(await relay.accepted()) == 1


async def test_parts_of_parts_are_the_same_again_whatever_parts_them(relay: LocalRelay) -> None:
    def made() -> MIMEMultipart:
        outer, inner = MIMEMultipart(), MIMEMultipart("alternative")
        outer["From"], outer["To"] = "a@example.org", "b@example.net"
        inner.attach(MIMEText("x"))
        inner.attach(MIMEText("<p>x", "html"))
        outer.attach(inner)
        return outer

    assert await submitted(made(), key="k") == await submitted(made(), key="k")


# — what can go wrong ——————————————————————————————————————————————————————————————————————————————————


def test_where_no_relay_is_set_up_nobody_waits_for_one(home: Path) -> None:
    with pytest.raises(RelayNotRunning, match="no relay on this machine") as caught:
        submit(**WORDS, sender="a@example.org", timeout=3600)
    assert "postbearer serve" in caught.value.hint


def test_one_that_does_not_run_is_waited_for_as_long_as_is_said(home: Path) -> None:
    (home / "drop").mkdir()
    with pytest.raises(RelayNotRunning, match="does not run"):
        submit(**WORDS, sender="a@example.org", timeout=0.2)


async def test_a_relay_that_starts_meanwhile_takes_it(home: Path) -> None:
    (home / "drop").mkdir()
    waiting = asyncio.create_task(submitted(**WORDS, sender="a@example.org", timeout=30))
    await asyncio.sleep(0)  # it has begun
    async with local_relay(home) as relay:
        assert await waiting == (await relay.one())[0].message.id


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Something in place of a relay: to each connection it says one of `answers`, after it has read all."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def run() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(10)
                    octets = b""
                    while b"It works.\r\n" not in octets and (more := connection.recv(65536)):
                        octets += more
                    heard.append(octets)
                    connection.sendall(answer)

        thread = threading.Thread(target=run)
        thread.start()
        yield heard
        thread.join(10)


def test_after_a_lost_answer_it_is_tried_again_under_the_same_key(home: Path) -> None:
    with answering(
        home / "submit.sock", b"", b"25", b"421 4.3.2 About to end\n", b"250 queued as 7\n"
    ) as heard:
        assert submit(**WORDS, sender="a@example.org") == "7"
    assert len(set(heard)) == 1  # not even another Date


def test_what_nobody_answered_is_unknown_and_can_be_submitted_again_by_its_key(home: Path) -> None:
    with answering(home / "submit.sock", b""), pytest.raises(OutcomeUnknown) as caught:
        submit(**WORDS, sender="a@example.org", timeout=0.01)
    key = caught.value.key
    assert key
    (home / "submit.sock").unlink()
    with answering(home / "submit.sock", b"250 queued as 7\n") as heard:
        assert submit(**WORDS, sender="a@example.org", key=key) == "7"
    assert key.encode() in heard[0]


def test_a_relay_that_has_no_room_for_a_connection_says_so_at_the_end(home: Path) -> None:
    said = b"421 4.7.0 Too many connections\n"
    with answering(home / "submit.sock", said), pytest.raises(SubmissionRefused) as caught:
        submit(**WORDS, sender="a@example.org", timeout=0.01)
    assert caught.value.reply is not None
    assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (421, "4.7.0")


async def test_a_refusal_has_the_reply(home: Path) -> None:
    async with local_relay(home, client=Submitter(name="local", senders=("@example.org",)), size=2000):
        with pytest.raises(SubmissionRefused, match=r"may not send as x@example\.com") as caught:
            await submitted(**WORDS, sender="x@example.com")
        assert caught.value.reply is not None
        assert caught.value.reply.code == 550
        with pytest.raises(SubmissionRefused, match="larger than 2000 octets"):
            await submitted(**{**WORDS, "text": "x" * 3000}, sender="x@example.org")


async def test_an_account_that_the_relay_has_not_is_refused_by_name(relay: LocalRelay) -> None:
    with pytest.raises(SubmissionRefused, match="There is no account nobody here"):
        await submitted(letter(), account="nobody")
    assert await relay.accepted() == []


async def test_the_account_that_a_client_is_given_is_not_for_it_to_choose(home: Path) -> None:
    async with local_relay(home, client=Submitter(name="local", account="alerts")) as relay:
        relay.intake.accounts = {**relay.intake.accounts, "other": ACCOUNT}
        await submitted(letter(), account="other")
        entry, _ = await relay.one()
        assert {row.account for row in entry.rows} == {"alerts"}


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ((), WORDS, "needs its sender"),
        ((b"x\r\n",), {}, "Bytes need an envelope"),
        ((b"x\ny", Envelope.of("a@e.org", ["b@e.org"])), {}, "bare CR or LF"),
        ((None,), {}, "no NoneType"),
        ((letter(),), {"priority": "high"}, "no priority 'high'"),
        ((letter(),), {"key": "a\nb"}, "A key cannot be"),
        ((letter(),), {"key": "a" * 256}, "A key cannot be"),
        ((letter(),), {"timeout": -1}, "timeout cannot be -1"),
        ((letter(),), {"account": 7}, "account cannot be 7"),
        ((EmailMessage(),), {}, "has no From"),
        ((letter(),), {"to": "b@e.org", "sender": "a@e.org"}, "and one is given"),
        ((), {**WORDS, "sender": "a@e.org", "body": "x"}, "no part 'body'"),
        ((letter(), Envelope("a@e.org", (Recipient("b@e.org", orcpt="rfc822;c@e.org"),))), {}, "ORCPT"),
    ],
)
def test_what_cannot_be_is_refused_before_anybody_is_asked(
    home: Path, given: tuple[Any, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        submit(*given, **options)


# Later, and under tags -----------------------------------------------------------------------------


async def test_it_waits_for_its_time_under_its_tags_and_is_dated_so(relay: LocalRelay) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    for mailer in (None, Mailer(ACCOUNT)):
        options = {"send_at": at, "tags": {"order": "17", "kind": ["b", "a"]}}
        if mailer is None:
            await submitted(sender="me@example.org", **WORDS, **options)
        else:
            await asyncio.to_thread(mailer.submit, **WORDS, **options)
            mailer.close()
    for entry, content in await relay.accepted():
        assert entry.message.send_at == at.timestamp()
        assert entry.message.tags == (("kind", "a"), ("kind", "b"), ("order", "17"))
        assert email.utils.parsedate_to_datetime(email.message_from_bytes(content)["date"]) == at


async def test_a_while_from_now_and_what_is_past(relay: LocalRelay) -> None:
    async with AsyncMailer(ACCOUNT) as mailer:
        await mailer.submit(**WORDS, send_at=timedelta(hours=2), key="a")
        await mailer.submit(**WORDS, send_at=timedelta(seconds=-2), key="b")
    first, second = [entry.message.send_at for entry, _ in await relay.accepted()]
    assert first == pytest.approx(time.time() + 7200, abs=60)
    assert second is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"send_at": datetime(2026, 12, 1)}, "no time zone"),  # noqa: DTZ001
        ({"send_at": 1_800_000_000}, "no int"),
        ({"send_at": "2026-12-01T08:00:00Z"}, "no str"),
        ({"tags": {"a:b": "c"}}, "name of a tag"),
        ({"tags": ["a:b"]}, "texts by name"),
        ({"tags": {"a": 1}}, "texts by name"),
        ({"tags": {"a": [None]}}, "texts by name"),
    ],
)
async def test_what_is_no_time_and_no_tag(relay: LocalRelay, options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        await submitted(sender="me@example.org", **WORDS, **options)
    assert await relay.accepted() == []


async def test_what_is_too_far_ahead_the_relay_refuses(relay: LocalRelay) -> None:
    with pytest.raises(SubmissionRefused, match="30 days at most"):
        await submitted(sender="me@example.org", **WORDS, send_at=timedelta(days=31))


async def test_a_date_of_ones_own_stays(relay: LocalRelay) -> None:
    date = "Tue, 01 Dec 2026 08:00:00 +0000"
    await submitted(sender="me@example.org", **WORDS, headers={"Date": date}, send_at=timedelta(hours=2))
    _, content = await relay.one()
    assert email.message_from_bytes(content).get_all("date") == [date]
