"""A server that does not take a message as it is gets the same message as it does take it."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import pytest

from postbearer.errors import UsageError
from postbearer.message import BytesContent
from postbearer.outcome import State
from postbearer.testing import Expect, conversation, lines
from postbearer.transport.conversion import fitted
from postbearer.wire import Extensions
from support.provider import envelope, opened, with_provider

LONG = b"Subject: x\r\n\r\n" + b"word " * 400 + b"\r\n"
LATIN = b"Content-Type: text/plain; charset=latin-1\r\n\r\nGr\xfc\xdfe\r\n"
UTF8 = "Subject: Grüße\r\nTo: Jörg <anna@bücher.example>\r\n\r\nHello.\r\n".encode()
LOCAL = "To: jörg@example.net\r\n\r\nHello.\r\n".encode()
BARE = b"Subject: x\r\n\r\na\nb\0\rc"
SIGNED = b"DKIM-Signature: v=1; b=abc\r\n"
PARTS = b'Content-Type: multipart/signed; boundary="b"\r\n\r\n--b\r\n\r\n%s\r\n--b--\r\n'


def offering(text: str) -> Extensions:
    return Extensions.parse([line.encode() for line in text.split("|") if line])


@pytest.mark.parametrize(
    ("offer", "content", "asked"),
    [
        ("", b"Subject: x\r\n\r\nHello.\r\n", {}),
        ("8BITMIME", LATIN, {}),
        ("8BITMIME|SMTPUTF8", UTF8, {"smtputf8": True}),
        ("8BITMIME|SMTPUTF8", UTF8, {"reverse_path": "jörg@example.org"}),
        ("8BITMIME|BINARYMIME|CHUNKING", LONG, {"body": "BINARYMIME"}),
        ("8BITMIME|BINARYMIME|CHUNKING", BARE, {"body": "BINARYMIME"}),
    ],
)
async def test_what_a_server_takes_goes_as_it_is(offer: str, content: bytes, asked: dict[str, Any]) -> None:
    given = BytesContent(content)
    sent = replace(envelope(), **asked)
    assert await fitted(sent, given, offering(offer)) == (sent, given)


@pytest.mark.parametrize(
    ("offer", "content", "asked"),
    [
        ("8BITMIME|BINARYMIME|CHUNKING", LONG, {}),  # text with long lines is not binary
        ("", LONG, {}),
        ("8BITMIME", BARE, {"body": "BINARYMIME"}),
        ("BINARYMIME|CHUNKING", BARE, {"body": "BINARYMIME"}),  # BODY= comes with 8BITMIME
        ("", LATIN, {}),
        ("SMTPUTF8|8BITMIME", UTF8, {}),  # nobody asked for it
        ("8BITMIME", UTF8, {"smtputf8": True}),
        ("", UTF8, {}),
    ],
)
async def test_what_it_does_not_take_is_encoded(offer: str, content: bytes, asked: dict[str, Any]) -> None:
    sent = replace(envelope(), **asked)
    kept, fit = await fitted(sent, BytesContent(content), offering(offer))
    octets = b"".join(fit.blocks())
    assert kept == sent
    assert (fit.size, fit.binary, fit.eight_bit) == (len(octets), False, not octets.isascii())
    assert octets.isascii()
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
    before, after = (message_from_bytes(each, policy=policy.default) for each in (content, octets))
    assert after["subject"] == before["subject"]
    assert after.get_content().replace("\r\n", "\n") == before.get_content().replace("\r\n", "\n")


async def test_an_address_that_only_smtputf8_can_carry_declares_it_where_it_is_offered() -> None:
    content = BytesContent(LOCAL)
    sent, fit = await fitted(envelope(), content, offering("8BITMIME|SMTPUTF8"))
    assert (sent.needs_smtputf8, fit) == (True, content)
    with pytest.raises(UsageError) as caught:
        await fitted(envelope(), content, offering("8BITMIME"))
    assert caught.value.status == "5.6.7"


@pytest.mark.parametrize("content", [SIGNED + LONG, PARTS % (b"x" * 999), SIGNED + LATIN, PARTS % b"\xe4"])
async def test_what_is_signed_is_never_changed(content: bytes) -> None:
    with pytest.raises(UsageError, match="signed") as caught:
        await fitted(envelope(), BytesContent(content), offering(""))
    assert caught.value.status == "5.6.3"
    intact = BytesContent(SIGNED + UTF8)
    sent, fit = await fitted(envelope(), intact, offering("8BITMIME|SMTPUTF8"))
    assert (sent.needs_smtputf8, fit) == (True, intact)


async def test_a_refusal_of_ours_is_not_told_as_the_servers() -> None:
    provider = with_provider(conversation(opened("PIPELINING")))
    receipt = await provider.deliver(envelope(), BytesContent(SIGNED + LATIN))
    (outcome,) = receipt.outcomes
    assert (outcome.state, outcome.reply) == (State.FAILED, None)
    assert "signed" in outcome.cause
    assert "RFC 6376" in outcome.remedy
    assert "554" not in str(outcome)


async def test_a_fitted_message_is_announced_with_its_own_size() -> None:
    provider = with_provider(
        conversation(
            opened("PIPELINING", "SIZE 100000"),
            [Expect("MAIL FROM:<alerts@example.org> SIZE=122"), Expect("RCPT"), Expect("DATA")],
            lines("250 ok", "250 ok", "354 go"),
            [Expect("Content-Type"), Expect("Content-Transfer-Encoding: quoted-printable")],
            [Expect("MIME-Version"), Expect(""), Expect("Gr=FC=DFe"), Expect(""), Expect(".")],
            lines("250 ok"),
        )
    )
    receipt = await provider.deliver(envelope(), BytesContent(LATIN + b"\r\n"))
    assert receipt.delivered
