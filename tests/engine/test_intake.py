"""What may come in, and what is kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import pytest

from postbearer.account import Account
from postbearer.engine import (
    Intake,
    IntakeSettings,
    NoReservations,
    Route,
    Router,
    RouteRule,
    Submission,
    Submitter,
)
from postbearer.envelope import Envelope
from postbearer.errors import OutcomeUnknown, StoreFull
from postbearer.events import Accepted
from postbearer.reply import Reply
from postbearer.store import (
    Claimed,
    Entry,
    IdempotencyKey,
    Incoming,
    Lane,
    LaneKey,
    MemorySpool,
    Priority,
)
from support.relay import APP, HOST, Ears, WaitingClock, account

CONTENT = b"From: app@example.org\r\nSubject: hi\r\nMessage-ID: <1@example.org>\r\n\r\nHello.\r\n"


class Door(NoReservations):
    """An intake on a spool in memory."""

    def __init__(self, *accounts: Account, rules: Sequence[RouteRule] = (), size: int = 10_000) -> None:
        self.clock, self.ears = WaitingClock(), Ears()
        self.spool = MemorySpool(self.clock)
        named = {each.name: each for each in accounts or (account(),)}
        self.woken = 0
        self.spool.subscribe(self.wake, lambda: None)
        self.intake = Intake(
            self.spool,
            Router(rules, next(iter(named))),
            named,
            clock=self.clock,
            observer=self.ears,
            settings=IntakeSettings(hostname=HOST, size=size),
            starter=self,
        )

    def wake(self, lanes: Collection[LaneKey] | None) -> None:
        self.woken += 1

    async def submit(
        self,
        content: bytes = CONTENT,
        envelope: Envelope | None = None,
        client: Submitter = APP,
        *,
        piece: int = 65536,
        key: IdempotencyKey | None = None,
        **known: object,
    ) -> str | Reply:
        made = envelope or Envelope.of("app@example.org", ["anna@example.net"])
        submission = Submission(client=client, envelope=made, **known)  # type: ignore[arg-type]
        intaking = await self.intake.begin(submission)
        if isinstance(intaking, Reply):
            return intaking
        for start in range(0, len(content), piece):
            await intaking.write(content[start : start + piece])
        return await intaking.finish(key)

    async def taken(self, answer: str | Reply) -> Entry:
        assert isinstance(answer, str), str(answer)
        entry = await self.spool.show(answer)
        assert entry is not None
        return entry

    async def lanes(self) -> Sequence[Lane]:
        return await self.spool.lanes(self.clock.now())


async def test_what_is_kept() -> None:
    door = Door()
    entry = await door.taken(await door.submit(peer="127.0.0.1", helo="app.example.org", protocol="ESMTPA"))
    message = entry.message
    assert (message.size, message.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert (message.message_id, message.author, message.subject) == (
        "<1@example.org>",
        "app@example.org",
        "hi",
    )
    assert message.received.startswith(
        f"from app.example.org ([127.0.0.1]) by {HOST} (postbearer) with ESMTPA id {message.id}; "
    )
    assert b"".join((await door.spool.content(message)).blocks()) == CONTENT
    (event,) = door.ears.events
    assert isinstance(event, Accepted)
    assert (event.id, event.account, event.client, event.recipients) == (message.id, "alerts", "app", 1)
    assert door.woken == 1


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
async def test_however_it_comes_in_pieces(piece: int) -> None:
    door = Door()
    entry = await door.taken(await door.submit(piece=piece))
    assert (entry.message.subject, entry.message.size) == ("hi", len(CONTENT))


@pytest.mark.parametrize(
    ("content", "eight_bit", "binary"),
    [
        (b"A: b\r\n\r\nx\r\n", False, False),
        ("A: b\r\n\r\nü\r\n".encode(), True, False),
        (b"A: b\r\n\r\nx\n", False, True),
    ],
)
async def test_what_it_consists_of_is_noted(content: bytes, eight_bit: bool, binary: bool) -> None:
    door = Door()
    message = (await door.taken(await door.submit(content))).message
    assert (message.eight_bit, message.binary) == (eight_bit, binary)


@pytest.mark.parametrize("piece", [1, 100, 65536])
@pytest.mark.parametrize(
    ("line", "eight_bit", "binary"),
    [(b"x" * 998, False, False), (b"x" * 999, False, True), ("ü".encode(), True, False)],
)
async def test_what_is_looked_at_on_the_way_is_not_looked_at_twice(
    line: bytes, eight_bit: bool, binary: bool, piece: int
) -> None:
    door = Door()
    answer = await door.submit(CONTENT + line + b"\r\n", checked=True, piece=piece)
    message = (await door.taken(answer)).message
    assert (message.eight_bit, message.binary) == (eight_bit, binary)


async def test_too_large_when_announced_and_when_not() -> None:
    door = Door(size=100)
    announced = await door.submit(size=101)
    unannounced = await door.submit(CONTENT + b"x" * 100, piece=10)
    for answer in (announced, unannounced):
        assert isinstance(answer, Reply)
        assert (answer.code, str(answer.enhanced)) == (552, "5.3.4")
    assert await door.lanes() == []


async def test_too_large_for_the_account_that_would_carry_it() -> None:
    door = Door(account(largest=20))
    answer = await door.submit()
    assert isinstance(answer, Reply)
    assert answer.code == 552


async def test_a_message_that_goes_in_circles() -> None:
    door = Door(size=10_000)
    answer = await door.submit(b"Received: from x by y\r\n" * 51 + CONTENT)
    assert isinstance(answer, Reply)
    assert str(answer.enhanced) == "5.4.6"
    ours = f"Received: from x\r\n by {HOST} (postbearer) with ESMTP id 1\r\n".encode()
    answer = await door.submit(ours * 3 + CONTENT)
    assert isinstance(answer, Reply)
    assert str(answer.enhanced) == "5.4.6"
    await door.taken(await door.submit(ours * 2 + CONTENT))


async def test_a_client_sends_as_its_own_senders_only() -> None:
    door = Door()
    client = Submitter(name="shop", senders=("shop@example.org", "@shop.example.org"))
    assert door.intake.refuse_sender(client, "SHOP@example.org") is None
    assert door.intake.refuse_sender(client, "") is None
    refused = door.intake.refuse_sender(client, "boss@example.org")
    assert refused is not None
    assert str(refused.enhanced) == "5.7.1"
    forged = b"From: Boss <boss@example.org>\r\n\r\nHello.\r\n"
    answer = await door.submit(forged, Envelope.of("shop@example.org", ["anna@example.net"]), client)
    assert isinstance(answer, Reply)
    assert str(answer.enhanced) == "5.7.1"


SHOP = Submitter(name="shop", senders=("shop@example.org",))
FROM_SHOP = Envelope.of("shop@example.org", ["anna@example.net"])


@pytest.mark.parametrize("rule", ["force", "allow"])
@pytest.mark.parametrize(
    "header",
    [
        "From: boss@example.org",
        "From: shop@example.org\r\nSender: boss@example.org",
        "From: shop@example.org\r\nResent-From: boss@example.org",
        "From: shop@example.org\r\nResent-Sender: boss@example.org",
        "From: shop@example.org\r\nAuthor: boss@example.org",
        "From: shop@example.org\r\nFrom: boss@example.org",
        "From: [x] Boss <boss@example.org>",
        "From: shop@example.org <boss@example.org>",
    ],
)
async def test_a_client_with_senders_names_no_other_author(rule: str, header: str) -> None:
    answer = await Door(account(sender=rule)).submit(f"{header}\r\n\r\nx\r\n".encode(), FROM_SHOP, SHOP)
    assert isinstance(answer, Reply)
    assert answer.code == 550


@pytest.mark.parametrize(
    "header",
    [
        'From: "x\r\n <boss@example.org> y" <shop@example.org>',
        "From: =?utf-8?q?=3Cboss=40example.org=3E=2C?= <shop@example.org>",
        'From: "\u00fc <boss@example.org>, " <shop@example.org>',
    ],
)
async def test_an_author_that_leaves_as_it_came_is_one_that_all_read_alike(header: str) -> None:
    """The other rules write such a field anew: ``allow`` changes nothing."""
    content = f"{header}\r\n\r\nx\r\n".encode()
    answer = await Door(account(sender="allow")).submit(content, FROM_SHOP, SHOP)
    assert isinstance(answer, Reply)
    assert str(answer.enhanced) == "5.6.0"
    usual = b'From: "Shop, the"\r\n <shop@example.org>\r\n\r\nx\r\n'
    door = Door(account(sender="allow"), account("shop", sender="check"))
    await door.taken(await door.submit(usual, FROM_SHOP, SHOP))
    elsewhere = Submitter(name="shop", senders=SHOP.senders, account="shop")
    await door.taken(await door.submit(content, FROM_SHOP, elsewhere))


@pytest.mark.parametrize(
    "header", ["From: root (Cron Daemon)", "From: [x] Shop <shop@example.org>", "From: <>"]
)
async def test_an_author_that_is_written_anew_need_not_be_readable(header: str) -> None:
    content = f"{header}\r\n\r\nx\r\n".encode()
    door = Door(account(), account("other", sender="allow"))
    await door.taken(await door.submit(content, FROM_SHOP, SHOP))
    elsewhere = Submitter(name="shop", senders=SHOP.senders, account="other")
    answer = await door.submit(content, FROM_SHOP, elsewhere)
    assert isinstance(answer, Reply)
    assert str(answer.enhanced) == "5.6.0"
    anyone = Submitter(name="shop", senders=("*",), account="other")
    await door.taken(await door.submit(content, FROM_SHOP, anyone))


async def test_an_account_that_checks_senders_refuses_strangers() -> None:
    door = Door(account(sender="check"))
    refused = door.intake.refuse_recipient(APP, "app@example.org", "anna@example.net")
    assert refused is not None
    assert str(refused.enhanced) == "5.7.1"
    assert door.intake.refuse_recipient(APP, "ALERTS@example.org", "anna@example.net") is None
    answer = await door.submit(CONTENT, Envelope.of("alerts@example.org", ["anna@example.net"]))
    assert isinstance(answer, Reply)  # From: app@example.org
    assert str(answer.enhanced) == "5.7.1"


async def test_without_an_account_nothing_is_taken() -> None:
    door = Door(rules=[RouteRule(to=("example.com",), route=Route(account="gone"))])
    refused = door.intake.refuse_recipient(APP, "app@example.org", "anna@example.com")
    assert refused is not None
    assert refused.code == 550


async def test_recipients_are_grouped_by_account_and_lane_and_cut_to_size() -> None:
    rules = [
        RouteRule(to=("example.com",), route=Route(account="other", priority=Priority.BULK, expire_after=600))
    ]
    door = Door(account(), account("other"), rules=rules)
    recipients = [f"u{number}@example.net" for number in range(501)] + ["v@example.com"]
    entry = await door.taken(await door.submit(envelope=Envelope.of("app@example.org", recipients)))
    lanes = {(lane.account, lane.priority): lane.waiting for lane in await door.lanes()}
    assert lanes == {("alerts", Priority.NORMAL): 2, ("other", Priority.BULK): 1}
    assert entry.message.expires == entry.message.accepted + 600


@pytest.mark.parametrize("end", [b"\r", b"\n"])
async def test_in_the_header_a_cr_or_lf_alone_ends_no_line(end: bytes) -> None:
    door = Door()
    answer = await door.submit(b"Subject: hello" + end + b"Bcc: victim@example.org\r\n\r\nx\r\n")
    assert isinstance(answer, Reply)
    assert (answer.code, str(answer.enhanced)) == (554, "5.6.0")
    await door.taken(await door.submit(b"Subject: hello\r\n\r\nx" + end + b"y\r\n"))


async def test_too_many_fields_are_refused_when_they_come() -> None:
    door = Door(size=100_000)
    answer = await door.submit(b"a:\r\n" * 1001 + b"\r\n", piece=100)
    assert isinstance(answer, Reply)
    assert "more than 1000 fields" in str(answer)


async def test_a_text_without_a_header_has_no_fields() -> None:
    door = Door()
    message = (await door.taken(await door.submit(b"Subject: hi\r\nno field\r\nFrom: x\r\n"))).message
    assert (message.subject, message.author) == ("hi", "")


async def test_a_route_by_header() -> None:
    rules = [RouteRule(header=(("subject", "h?"),), route=Route(priority=Priority.URGENT))]
    door = Door(rules=rules)
    await door.taken(await door.submit())
    assert [lane.priority for lane in await door.lanes()] == [Priority.URGENT]


async def test_what_a_client_says_of_itself_cannot_break_our_trace() -> None:
    door = Door()
    entry = await door.taken(await door.submit(helo="x\r\nBcc: y (evil) by z;"))
    assert entry.message.received.startswith("from xBcc:yevilbyz by ")


class FullSpool(MemorySpool):
    error: Exception = StoreFull("No room.")

    async def accept_all(self, batch: Sequence[Incoming]) -> Sequence[Claimed]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"), [(StoreFull("No room."), 452), (OutcomeUnknown("Who knows."), 451)]
)
async def test_what_cannot_be_kept_is_not_taken(error: Exception, code: int) -> None:
    door = Door()
    door.intake.spool = FullSpool(door.clock)
    door.intake.spool.error = error
    answer = await door.submit()
    assert isinstance(answer, Reply)
    assert answer.code == code
    assert door.ears.events == []
    assert door.woken == 0


async def test_what_is_submitted_again_under_its_key_is_one_message() -> None:
    door = Door()
    key = IdempotencyKey(client="app", key="order-17", digest="d1")
    first = await door.submit(key=key)
    assert await door.submit(CONTENT.replace(b"<1@", b"<2@"), key=key) == first
    assert len(door.ears.events) == 1  # accepted once, and said once
    other = await door.submit(key=IdempotencyKey(client="app", key="order-17", digest="d2"))
    assert isinstance(other, Reply)
    assert other.code == 554
    assert "'order-17' was used for another message" in str(other)


async def test_no_room_is_said_before_the_content() -> None:
    door = Door()

    async def none(size: int) -> bool:
        return False

    door.spool.room = none  # type: ignore[method-assign]
    submission = Submission(client=APP, envelope=Envelope.of("a@example.org", ["b@example.net"]))
    answer = await door.intake.begin(submission)
    assert isinstance(answer, Reply)
    assert (answer.code, str(answer.enhanced)) == (452, "4.3.1")


LONG = b"x" * 3000 + b"\r\n"
SIGNED = b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n%s\r\n--b--\r\n"


@pytest.mark.parametrize("piece", [100, 300_000])
@pytest.mark.parametrize("content", [CONTENT + LONG, CONTENT + b"short\r\n" * 60_000 + LONG])
async def test_lines_that_can_be_mended_are_taken_as_they_come(content: bytes, piece: int) -> None:
    door = Door(size=1_000_000)
    entry = await door.taken(await door.submit(content, piece=piece))
    assert b"".join((await door.spool.content(entry.message)).blocks()) == content


@pytest.mark.parametrize(
    "content",
    [
        SIGNED % LONG,
        b"DKIM-Signature: v=1\r\n" + CONTENT + LONG,
        b"Content-Transfer-Encoding: x-unknown\r\n" + CONTENT + LONG,
    ],
)
async def test_lines_that_cannot_be_mended_are_refused_and_never_bounced(content: bytes) -> None:
    door = Door()
    answer = await door.submit(content)
    assert isinstance(answer, Reply)
    assert (answer.code, str(answer.enhanced)) == (554, "5.6.3")
    assert "998 octets" in answer.text
    assert await door.lanes() == []


@pytest.mark.parametrize(
    "content", [SIGNED % b"gr\xc3\xbcn", b"DKIM-Signature: v=1\r\n" + CONTENT + b"gr\xfcn\r\n"]
)
async def test_signed_octets_are_refused_where_the_account_is_known_to_take_none(content: bytes) -> None:
    door = Door(account(unused_extensions=["8bitmime"]))
    answer = await door.submit(content)
    assert isinstance(answer, Reply)
    assert (answer.code, str(answer.enhanced)) == (554, "5.6.3")
    assert "8-bit" in answer.text
    assert "signed" in answer.text
    assert await door.lanes() == []
    assert isinstance(await door.submit(CONTENT + b"gr\xc3\xbcn\r\n"), str)
    assert isinstance(await Door(account()).submit(content), str)


async def test_octets_are_as_many_as_leave_where_none_of_eight_bit_may() -> None:
    content = CONTENT + b"\xc3\xbc" * 400 + b"\r\n"
    answer = await Door(account(largest=1500, unused_extensions=["8bitmime"])).submit(content)
    assert isinstance(answer, Reply)
    assert answer.code == 552
    assert isinstance(await Door(account(largest=1500)).submit(content), str)


async def test_a_message_is_as_large_as_it_leaves() -> None:
    content = CONTENT + b"=" * 3000 + b"\r\n"  # three times as much in quoted-printable
    door = Door(account(largest=5000))
    assert await door.lanes() == []
    answer = await door.submit(content)
    assert isinstance(answer, Reply)
    assert answer.code == 552
    assert isinstance(await Door(account(largest=15_000)).submit(content), str)


async def test_what_is_only_examined_is_not_kept() -> None:
    door = Door()
    good = Submission(client=APP, envelope=Envelope.of("app@example.org", ["anna@example.net"]))
    for content, taken in ((CONTENT, True), (b"Subject: x\rBcc: y\r\n\r\n", False)):
        intaking = await door.intake.begin(good)
        assert not isinstance(intaking, Reply)
        await intaking.write(content)
        assert (await intaking.examine() is None) is taken
        assert await door.spool.show(intaking.id) is None
