"""What of a message comes back with the report that it failed: all of it, if its sender asked (RET=FULL)."""

from __future__ import annotations

import tracemalloc
from base64 import b64decode
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import Message
from pathlib import Path

import pytest

from postbearer.envelope import Recipient, Ret
from postbearer.errors import StoreError, UsageError
from postbearer.message import BytesContent, Content, DeliveryReport, FileContent, ReportedRecipient
from postbearer.store import Message as Queued
from support.relay import Answer, Relay, account, relaying

PLAIN = b"From: app@example.org\r\nSubject: Order 17\r\n\r\nThank you.\r\n.\r\n--report\r\n"
LATIN = b"From: app@example.org\r\nSubject: Order 17\r\n\r\nDanke sch\xf6n.\r\n"
INTERNATIONAL = "From: app@example.org\r\nSubject: Größe 17\r\n\r\nDanke schön.\r\n".encode()
SCRAP = b"From: app@example.org\r\nSubject: Gr\xf6\xdfe\r\n\r\nHello.\r\n"
NO = "554 5.6.0 No"


async def returned(relay: Relay, content: bytes, ret: Ret | None = "FULL", answer: str = NO) -> Message:
    """The last part of the report about `content`."""
    provider = relay.providers["alerts"]
    provider.answers = [answer]
    await relay.submit(content=content, ret=ret)
    await relay.settle()
    report = message_from_bytes(provider.sent[-1].content, policy=policy.SMTP)
    assert report.get_content_type() == "multipart/report"
    words, status, last = report.get_payload()
    assert isinstance(last, Message)
    assert status.get_content_type() == "message/delivery-status"
    last["X-Words"] = " ".join(words.get_payload(decode=True).decode().split())
    return last


async def octets(relay: Relay) -> bytes:
    """The last report as it is in the queue, which is what the provider gets."""
    entry = (await relay.reports())[-1]
    octets = b"".join((await relay.spool.content(entry.message)).blocks())
    assert entry.message.eight_bit is not octets.isascii()
    return relay.providers["alerts"].sent[-1].content


async def test_whoever_asked_for_it_gets_the_message_back_octet_by_octet() -> None:
    async with relaying() as relay:
        last = await returned(relay, PLAIN)
        assert last.get_content_type() == "message/rfc822"
        assert (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + PLAIN
            in await octets(relay)
        )


@pytest.mark.parametrize("ret", [None, "HDRS"])
async def test_whoever_did_not_gets_the_header(ret: Ret | None) -> None:
    async with relaying() as relay:
        last = await returned(relay, PLAIN, ret)
        assert last.get_content_type() == "text/rfc822-headers"
        assert last.get_payload() == "From: app@example.org\r\nSubject: Order 17\r\n"
        assert "Only the header" not in last["X-Words"]


async def test_a_report_of_no_failure_brings_the_header_only() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].dsn = False
        await relay.submit(Recipient("anna@example.net", notify=("SUCCESS",)), content=PLAIN, ret="FULL")
        await relay.settle()
        report = relay.providers["alerts"].sent[-1].content
        assert b"Action: relayed" in report
        assert b"Thank you" not in report


async def test_eight_bit_content_comes_back_as_it_is() -> None:
    async with relaying() as relay:
        last = await returned(relay, LATIN)
        assert (last.get_content_type(), last["Content-Transfer-Encoding"]) == ("message/rfc822", "8bit")
        content = await octets(relay)
        assert LATIN in content
        assert b"Content-Transfer-Encoding: 8bit" in content.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        pytest.param(INTERNATIONAL, NO, id="internationalised mail, which not every server takes"),
        pytest.param(LATIN, "554 5.6.3 8-bit content is not taken here", id="a provider without 8BITMIME"),
    ],
)
async def test_what_could_not_pass_by_itself_is_encoded(content: bytes, answer: str) -> None:
    async with relaying() as relay:
        last = await returned(relay, content, answer=answer)
        assert (last.get_content_type(), last["Content-Transfer-Encoding"]) == ("message/global", "base64")
        assert (await octets(relay)).isascii()
        (inner,) = last.get_payload()  # Python takes it for a message that is not encoded
        assert isinstance(inner, Message)
        assert b64decode(str(inner.get_payload())) == content


@pytest.mark.parametrize(
    ("content", "kind"),
    [(INTERNATIONAL, "message/global-headers"), (SCRAP, "text/rfc822-headers")],
)
async def test_a_header_that_is_not_ascii(content: bytes, kind: str) -> None:
    async with relaying() as relay:
        last = await returned(relay, content, None)
        assert last.get_content_type() == kind
        assert (await octets(relay)).isascii()


async def test_what_is_too_large_to_be_returned_is_said() -> None:
    async with relaying(account(largest=300_000)) as relay:
        last = await returned(relay, PLAIN + (b"x" * 76 + b"\r\n") * 3000)
        assert last.get_content_type() == "text/rfc822-headers"
        assert "Only the header of the message is returned" in last["X-Words"]
        assert "it is larger than" in last["X-Words"]


WHY = " ".join(f"No, and this is line {number}: https://example.org/{'a' * 70}" for number in range(7))


@pytest.mark.parametrize("content", [PLAIN, PLAIN + b"x" * 3000 + b"\r\n", LATIN, INTERNATIONAL])
@pytest.mark.parametrize("ret", ["FULL", "HDRS"])
async def test_a_report_fits_every_server_however_long_the_words_are(content: bytes, ret: Ret) -> None:
    async with relaying() as relay:
        last = await returned(relay, content, ret, f"550 5.7.1 {WHY} {'w' * 3000}")
        made = await octets(relay)
        assert not BytesContent(made).binary
        assert max(map(len, made.split(b"wwww")[0].split(b"\r\n"))) <= 110
        assert WHY in last["X-Words"]
        code = made.partition(b"Diagnostic-Code: smtp; ")[2].replace(b"\r\n", b"").decode("latin-1")
        assert code.startswith(f"550 5.7.1 {WHY}")


@pytest.mark.parametrize(
    "answer",
    ["ours", UsageError("It is signed.", hint="Encode it.", status="5.6.3")],
    ids=["outcome", "error"],
)
async def test_a_report_about_a_refusal_of_ours_names_no_server(answer: Answer) -> None:
    async with relaying() as relay:
        relay.providers["alerts"].answers = [answer]
        await relay.submit(content=PLAIN)
        await relay.settle()
        report = relay.providers["alerts"].sent[-1].content
        assert b"Status: 5.6.3" in report
        assert b"It is signed.\r\n  Encode it." in report
        assert not any(word in report for word in (b"The server said", b"Remote-MTA", b"Diagnostic-Code"))


class Damaged(BytesContent):
    """Content that can be read once; then the disk gives something else."""

    reads = 0

    def blocks(self, size: int = 65536) -> Iterator[bytes]:
        yield from super().blocks(size)
        self.reads += 1
        if self.reads > 1:
            raise StoreError("Its hash differs.")


async def test_damaged_content_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    async with relaying() as relay:
        whole, damaged = relay.spool.content, Damaged(PLAIN)

        async def content(message: Queued) -> Content:
            return await whole(message) if message.report_of else damaged

        monkeypatch.setattr(relay.spool, "content", content)
        last = await returned(relay, PLAIN)
        assert last.get_content_type() == "text/rfc822-headers"
        assert "it could not be copied" in last["X-Words"]


@pytest.mark.parametrize("seven_bit", [False, True], ids=["8bit", "base64"])
def test_a_large_message_streams_by(tmp_path: Path, seven_bit: bool) -> None:
    (tmp_path / "large.eml").write_bytes(LATIN * 200_000)
    report = DeliveryReport(
        id="R1",
        sender="alerts@example.org",
        to="app@example.org",
        reporting="relay.example.org",
        queue_id="M1",
        arrived=1_800_000_000.0,
        now=1_800_000_001.0,
        recipients=[ReportedRecipient("anna@example.net", "failed", "5.1.1")],
        header=b"From: app@example.org\r\n",
        message=FileContent(tmp_path / "large.eml"),
        seven_bit=seven_bit,
    )
    tracemalloc.start()
    try:
        size = sum(map(len, report.blocks()))
        assert size > 200_000 * len(LATIN)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()
