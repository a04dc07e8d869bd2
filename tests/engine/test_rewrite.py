"""The message as it leaves: whole header lines change, for the account that carries it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postbearer.engine import Submitter
from postbearer.errors import StoreError
from postbearer.message import BytesContent, Content
from postbearer.store import Claimed, Message
from support.relay import HOST, account, relaying

BODY = b"\r\nHello.\r\n--\r\n.\r\n\r\n"


async def left(content: bytes, sender: str = "app@example.org", **options: Any) -> tuple[str, bytes, str]:
    """Reverse-path, content and id of a message that went through an account with these options."""
    options["sender"] = options.pop("sender_rule", "force")
    async with relaying(account(**options)) as relay:
        identifier = await relay.submit(sender=sender, content=content)
        await relay.settle()
        (sent,) = relay.providers["alerts"].sent
        return sent.envelope.reverse_path, sent.content, identifier


async def test_under_force_all_leaves_as_the_account() -> None:
    content = b"From: App <app@example.org>\r\nDate: x\r\nMessage-ID: <1@x>\r\nX-Odd:  a\tb\r\n" + BODY
    path, out, identifier = await left(content)
    head, _, body = out.partition(b"\r\n\r\n")
    lines = head.replace(b"\r\n ", b" ").split(b"\r\n")
    assert path == "alerts@example.org"
    assert lines[0].startswith(b"Received: from app ([127.0.0.1]) by " + HOST.encode())
    assert identifier.encode() in lines[0]
    assert lines[1:] == [
        b"Reply-To: App <app@example.org>",
        b"From: App <alerts@example.org>",
        b"Date: x",
        b"Message-ID: <1@x>",
        b"X-Odd:  a\tb",
    ]
    assert b"\r\n\r\n" + body == b"\r\n" + BODY


async def test_under_allow_only_the_trace_is_added() -> None:
    content = b"From: App <app@example.org>\r\nDate: x\r\nMessage-ID: <1@x>\r\n" + BODY
    path, out, _ = await left(content, sender="bounce+1@example.org", sender_rule="allow")
    assert path == "bounce+1@example.org"
    assert out.endswith(content)
    assert out[: -len(content)].startswith(b"Received: ")


async def test_date_and_message_id_are_added_where_missing() -> None:
    _, out, identifier = await left(b"From: alerts@example.org\r\n" + BODY)
    assert f"Message-ID: <{identifier}@example.org>\r\n".encode() in out
    assert b"Date: Fri, 15 Jan 2027 08:00:00 -0000\r\n" in out


async def test_text_without_a_header_leaves_as_text() -> None:
    _, out, _ = await left(b"hello there\r\nno header\r\n")
    head, _, body = out.partition(b"\r\n\r\n")
    assert body == b"hello there\r\nno header\r\n"
    assert head.endswith(b"\r\nFrom: alerts@example.org")


@pytest.mark.parametrize("sender_rule", ["force", "allow"])
async def test_nobody_sees_the_hidden_recipients(sender_rule: str) -> None:
    fields = b"Return-Path: <x@example.net>\r\nFrom: App <app@example.org>\r\nBcc: c@example.net,\r\n"
    fields += b" d@example.net\r\nResent-Bcc: e@x.example\r\n"
    _, out, _ = await left(fields + BODY, sender_rule=sender_rule)
    assert b"bcc" not in out.lower()
    assert b"return-path" not in out.lower()
    assert b"example.net" not in out.replace(b"anna@example.net", b"")


@pytest.mark.parametrize(
    "value", ["root (Cron Daemon)", "[ALERT] host <app@example.org>", "MAILER-DAEMON", "a:b;"]
)
@pytest.mark.parametrize("sender_rule", ["force", "allow"])
async def test_an_odd_author_stops_no_mail_that_does_not_depend_on_it(sender_rule: str, value: str) -> None:
    _, out, _ = await left(f"From: {value}\r\n".encode() + BODY, sender_rule=sender_rule)
    assert out.endswith(BODY)


@pytest.mark.parametrize(("provider", "path"), [("microsoft", "alerts@example.org"), ("smtp", "")])
async def test_a_null_reverse_path_where_it_is_taken(provider: str, path: str) -> None:
    assert (await left(b"From: alerts@example.org\r\n" + BODY, sender="", provider=provider))[0] == path


async def test_a_damaged_message_is_held_and_not_a_word_of_it_leaves() -> None:
    class Damaged(BytesContent):
        def blocks(self, size: int = 65536) -> Any:
            yield b"From: a@example.org\r\n\r\nHel"
            raise StoreError("The content of the message is damaged.")

    async with relaying() as relay:

        async def damaged(message: Message) -> Content:
            return Damaged(b"From: a@example.org\r\n\r\nHello\r\n")

        relay.spool.content = damaged  # type: ignore
        message = await relay.submit()
        await relay.settle()
        assert await relay.statuses(message) == ["held"]
        assert relay.providers["alerts"].sent == []


async def test_a_message_with_an_endless_header_fails_with_a_report() -> None:
    async with relaying() as relay:
        await relay.dispatcher.pause("alerts")
        message = await relay.submit()
        small, claim = relay.spool.content, relay.spool.claim

        async def content(asked: Message) -> Content:
            return BytesContent(b"X: " + b"y" * 2_000_000) if asked.id == message else await small(asked)

        async def after_a_restart(*asked: Any) -> list[Claimed]:
            return [replace(each, message=replace(each.message, header=None)) for each in await claim(*asked)]

        relay.spool.content = content  # type: ignore[method-assign]
        relay.spool.claim = after_a_restart  # type: ignore[method-assign]
        await relay.dispatcher.resume("alerts")
        await relay.settle()
        assert await relay.statuses(message) == ["failed"]
        assert len(await relay.reports()) == 1


async def test_a_substitute_that_may_not_send_it_leaves_it_to_the_account() -> None:
    async with relaying(account(sender="allow", fallback="spare"), account("spare", sender="check")) as relay:
        await relay.dispatcher.pause("alerts")
        message = await relay.submit(client=Submitter(name="app"))
        await relay.settle()
        assert await relay.statuses(message) == ["deferred"]
        assert relay.providers["spare"].attempts == 0
        assert await relay.reports() == []
        await relay.dispatcher.resume("alerts")
        await relay.pass_time(3601)
        assert await relay.statuses(message) == ["delivered"]
