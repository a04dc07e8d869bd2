"""What is said about a message depends on what the server offers; nobody is lost or asked twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbearer.envelope import Envelope, Recipient
from postbearer.events import Attempted
from postbearer.message import BytesContent
from postbearer.outcome import State
from postbearer.testing import Close, Expect, conversation, lines
from postbearer.transport.transaction_plan import groups, make_plan
from postbearer.wire import Extensions, Rcpt
from support.provider import CONTENT, envelope, one_flight, opened, with_provider

EIGHT_BIT = BytesContent("Subject: x\r\n\r\nGrüße\r\n".encode())
EVERYTHING = "SIZE 100000|8BITMIME|BINARYMIME|CHUNKING|SMTPUTF8|DSN|REQUIRETLS|MT-PRIORITY"


def offering(text: str) -> Extensions:
    return Extensions.parse([line.encode() for line in text.split("|") if line])


@pytest.mark.parametrize(
    ("offer", "content", "changes", "status"),
    [
        ("SIZE 10", CONTENT, {}, "5.3.4"),
        ("SIZE 0", CONTENT, {}, ""),
        ("8BITMIME", CONTENT, {"require_tls": True}, "5.7.30"),
        ("REQUIRETLS", CONTENT, {"require_tls": True}, ""),
        ("8BITMIME", CONTENT, {"reverse_path": "grüße@example.org"}, "5.6.7"),
        ("8BITMIME", CONTENT, {"smtputf8": True}, ""),  # asked for without need
    ],
)
def test_what_a_server_cannot_take_is_refused_here(
    offer: str, content: BytesContent, changes: dict[str, object], status: str
) -> None:
    plan = make_plan(replace(envelope(), **changes), content, offering(offer), tls=True)  # type: ignore[arg-type]
    assert (plan.refusal.status if plan.refusal else "") == status


def test_parameters_are_given_only_when_offered() -> None:
    asked = Envelope(
        "alerts@example.org",
        (Recipient("anna@example.net", ("SUCCESS",), "rfc822;anna@example.net"),),
        ret="HDRS",
        envid="id1",
        priority=3,
    )
    rich = make_plan(asked, EIGHT_BIT, offering(EVERYTHING), tls=True)
    assert rich.mail.parameters.size == EIGHT_BIT.size
    assert (rich.mail.parameters.body, rich.mail.parameters.ret) == ("8BITMIME", "HDRS")
    assert (rich.mail.parameters.envid, rich.mail.parameters.priority) == ("id1", 3)
    assert rich.rcpts[0][1].parameters.notify == ("SUCCESS",)
    poor = make_plan(asked, CONTENT, offering(""), tls=True)
    assert poor.mail.parameters == type(poor.mail.parameters)()
    assert poor.rcpts[0][1] == Rcpt("anna@example.net")


def test_a_domain_goes_in_a_labels_where_that_helps() -> None:
    plain = envelope("anna@bücher.example")
    assert make_plan(plain, CONTENT, offering("8BITMIME"), tls=True).rcpts[0][1].forward_path == (
        "anna@xn--bcher-kva.example"
    )
    assert not make_plan(plain, CONTENT, offering(EVERYTHING), tls=True).mail.parameters.smtputf8


def test_a_local_part_that_is_not_ascii_needs_smtputf8() -> None:
    mixed = envelope("grüße@bücher.example", "anna@example.net")
    without = make_plan(mixed, CONTENT, offering("8BITMIME"), tls=True)
    assert [(place, error.status) for place, error in without.refused] == [(0, "5.6.7")]
    assert [place for place, _ in without.rcpts] == [1]
    with_it = make_plan(mixed, CONTENT, offering(EVERYTHING), tls=True)
    assert with_it.mail.parameters.smtputf8
    assert with_it.rcpts[0][1].forward_path == "grüße@bücher.example"


@pytest.mark.parametrize(
    ("offer", "most", "sizes"),
    [
        ("", None, [5]),
        ("", 2, [2, 2, 1]),
        ("LIMITS RCPTMAX=3", None, [3, 2]),
        ("LIMITS RCPTMAX=3", 2, [2, 2, 1]),
        ("LIMITS RCPTDOMAINMAX=1", None, [1, 1, 1, 2]),
    ],
)
def test_recipients_go_in_groups(offer: str, most: int | None, sizes: list[int]) -> None:
    domains = ("a.example", "b.example", "a.example", "c.example", "C.example")
    rcpts = [(place, Rcpt(f"u@{domain}")) for place, domain in enumerate(domains)]
    grouped = list(groups(rcpts, offering(offer), most))
    assert [len(group) for group in grouped] == sizes
    assert [each for group in grouped for each in group] == rcpts


async def test_more_recipients_than_one_message_may_have() -> None:
    provider = with_provider(
        conversation(opened(), one_flight("250 ok", "250 ok"), one_flight()), recipients_per_message=2
    )
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net", "c@example.net"), CONTENT)
    assert [outcome.recipient for outcome in receipt.delivered] == [
        "a@example.net",
        "b@example.net",
        "c@example.net",
    ]
    assert len([event for event in provider.events if isinstance(event, Attempted)]) == 2


@pytest.mark.parametrize("reply", ["452 4.5.3 Too many recipients", "452 too many", "552 5.5.3 too many"])
async def test_those_beyond_the_servers_maximum_go_in_another_transaction(reply: str) -> None:
    provider = with_provider(conversation(opened(), one_flight("250 ok", "250 ok", reply), one_flight()))
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net", "c@example.net"), CONTENT)
    assert [outcome.state for outcome in receipt.outcomes] == [State.DELIVERED] * 3
    last = provider.tap.writes[-1]
    assert b"<c@example.net>" in last
    assert b"<a@example.net>" not in last  # never to those who have it


@pytest.mark.parametrize("reply", ["452 4.2.2 mailbox full", "452 4.3.1 no room"])
async def test_a_452_about_something_else_is_the_recipients_own(reply: str) -> None:
    provider = with_provider(conversation(opened(), one_flight("250 ok", reply)))
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net"), CONTENT)
    assert [outcome.state for outcome in receipt.outcomes] == [State.DELIVERED, State.DEFERRED]


async def test_the_first_recipient_is_never_one_too_many() -> None:
    provider = with_provider(conversation(opened(), one_flight("452 4.5.3 too many", final="503 nobody")))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DEFERRED


async def test_a_refused_message_is_refused_for_all_of_its_groups() -> None:
    provider = with_provider(
        conversation(opened(), one_flight("250 ok", final="554 5.2.252 SendAsDenied")),
        recipients_per_message=1,
    )
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net"), CONTENT)
    assert [str(outcome.reply) for outcome in receipt.outcomes] == ["554 5.2.252 SendAsDenied"] * 2
    assert provider.tap.sent.count(b"MAIL FROM") == 1


async def test_a_connection_carries_no_more_messages_than_the_server_allows() -> None:
    limited = ("PIPELINING", "CHUNKING", "LIMITS MAILMAX=1 RCPTMAX=1")
    provider = with_provider(*(conversation(opened(*limited), one_flight()) for _ in range(3)))
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net"), CONTENT)
    assert len(receipt.delivered) == 2
    await provider.deliver(envelope(), CONTENT)
    assert len(provider.dialled) == 3


async def test_a_promise_behind_a_421_counts_and_the_rest_goes_elsewhere() -> None:
    provider = with_provider(
        conversation(opened(), one_flight("250 ok", "421 4.3.2 closing"), Close()),
        conversation(opened(), one_flight()),
        recipients_per_message=2,
    )
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net", "c@example.net"), CONTENT)
    assert [outcome.state for outcome in receipt.outcomes] == [
        State.DELIVERED,
        State.DEFERRED,
        State.DELIVERED,
    ]


async def test_binary_content_goes_as_it_is() -> None:
    data = b"Subject: x\r\n\r\n\0\n"
    provider = with_provider(
        conversation(
            opened("PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"),
            [
                Expect("MAIL FROM:<alerts@example.org> BODY=BINARYMIME"),
                Expect("RCPT"),
                Expect("BDAT 16 LAST"),
            ],
            lines("250 ok", "250 ok", "250 ok"),
        )
    )
    asked = replace(envelope(), body="BINARYMIME")
    receipt = await provider.deliver(asked, BytesContent(data))
    assert receipt.delivered
    assert provider.tap.writes[-1].endswith(data)


async def test_dots_are_stuffed_for_data() -> None:
    provider = with_provider(
        conversation(
            opened("PIPELINING"),
            [Expect("MAIL"), Expect("RCPT"), Expect("DATA"), lines("250 ok", "250 ok", "354 go")],
            [Expect("Subject"), Expect(""), Expect("..hidden"), Expect("."), lines("250 ok")],
        )
    )
    receipt = await provider.deliver(envelope(), BytesContent(b"Subject: x\r\n\r\n.hidden\r\n"))
    assert receipt.delivered


async def test_content_without_a_last_line_end_gets_one_from_data_only() -> None:
    provider = with_provider(
        conversation(
            opened("PIPELINING"),
            [Expect("MAIL"), Expect("RCPT"), Expect("DATA"), lines("250 ok", "250 ok", "354 go")],
            [Expect("Subject"), Expect("."), lines("250 ok")],
        )
    )
    receipt = await provider.deliver(envelope(), BytesContent(b"Subject: x"))
    assert receipt.delivered
