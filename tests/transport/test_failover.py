"""Several servers, several messages, connections that grow old: which one is used, and what is told."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from postbearer.clock import SystemClock
from postbearer.errors import (
    ConnectFailed,
    CredentialRefused,
    TimedOut,
    TlsFailed,
    TokenUnavailable,
    UsageError,
)
from postbearer.events import Connected, ConnectionClosed, ConnectionReused
from postbearer.message import FileContent
from postbearer.outcome import State
from postbearer.providers import Disposition, Rule
from postbearer.testing import Close, Expect, StartTls, conversation, lines
from postbearer.testing.stream import Step
from postbearer.transport import PoolLimits
from support.provider import (
    ALL,
    CANARY,
    CONTENT,
    RENEWED,
    Tokens,
    ehlo,
    envelope,
    one_flight,
    opened,
    refused_login,
    with_provider,
)

TWO = ("a.example.org:465", "b.example.org:465")
GOOD = conversation(opened(), one_flight())
REFUSED = conversation(StartTls(), lines("220 hello"), ehlo(*ALL), refused_login())
DISABLED = conversation(
    StartTls(),
    lines("220 hello"),
    ehlo(*ALL),
    refused_login("535 5.7.139 SmtpClientAuthentication is disabled for the Tenant"),
)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(ConnectFailed("refused"), id="connect"),
        pytest.param([StartTls(TlsFailed("expired"))], id="certificate"),
        pytest.param([StartTls(), lines("421 4.3.2 closing")], id="greeting 421"),
        pytest.param([StartTls(), lines("554 no")], id="greeting 554"),
        pytest.param([StartTls(), Close()], id="closed"),
        pytest.param([StartTls()], id="silent"),
        pytest.param(conversation(StartTls(), lines("220 hello"), ehlo(auth="PLAIN")), id="no mechanism"),
        pytest.param(
            conversation(
                StartTls(), lines("220 hello"), ehlo(), refused_login("454 4.7.0 Temporary failure")
            ),
            id="AUTH 454",
        ),
        pytest.param(conversation(opened("8BITMIME"), Expect("MAIL"), Close()), id="broken at MAIL"),
    ],
)
async def test_the_next_server_takes_over(first: list[Step]) -> None:
    provider = with_provider(first, GOOD, servers=TWO)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.delivered
    assert receipt.server == "b.example.org:465"
    assert provider.dialled == list(TWO)
    assert provider.noticed.count("ServerFailed") == 1


async def test_every_new_connection_starts_at_the_top() -> None:
    provider = with_provider(ConnectFailed("down"), GOOD, GOOD, servers=TWO)
    await provider.deliver(envelope(), CONTENT)
    provider.clock.advance(31)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.server == "a.example.org:465"
    assert provider.dialled == [TWO[0], TWO[1], TWO[0]]


async def test_a_lower_server_is_given_up_after_five_minutes() -> None:
    provider = with_provider(
        ConnectFailed("down"),
        conversation(opened(), one_flight() * 12),
        GOOD,
        servers=TWO,
        limits=PoolLimits(fresh=60),
    )
    for _ in range(12):
        await provider.deliver(envelope(), CONTENT)
        provider.clock.advance(25)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.server == "a.example.org:465"


async def test_all_servers_down_is_told_by_the_first() -> None:
    provider = with_provider(ConnectFailed("one"), ConnectFailed("two"), servers=TWO)
    with pytest.raises(ConnectFailed, match="one"):
        await provider.deliver(envelope(), CONTENT)
    assert provider.noticed == ["ServerFailed", "ServerFailed"]


async def test_one_renewal_for_all_servers() -> None:
    provider = with_provider(REFUSED, REFUSED, REFUSED, servers=TWO)
    with pytest.raises(CredentialRefused) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert provider.dialled == [TWO[0], TWO[0], TWO[1]]
    assert [secret.reveal() for secret in provider.tokens.invalidated] == [CANARY]
    assert caught.value.account == "alerts"
    assert caught.value.reply is not None


async def test_what_a_renewal_cannot_cure_costs_no_token() -> None:
    switched_off = Rule(
        id="off",
        code=("535",),
        text=("is disabled",),
        disposition=Disposition.HOLD,
        cause="Off.",
        mark="common",
        sample="x",
    )
    provider = with_provider(DISABLED, rules=(switched_off,))
    with pytest.raises(CredentialRefused):
        await provider.deliver(envelope(), CONTENT)
    assert provider.tokens.invalidated == []
    assert provider.authentications() == 1


async def test_a_server_that_is_down_keeps_the_account_from_pausing() -> None:
    provider = with_provider(REFUSED, REFUSED, ConnectFailed("down"), servers=TWO)
    with pytest.raises(ConnectFailed):
        await provider.deliver(envelope(), CONTENT)


async def test_no_token_means_no_next_server() -> None:
    provider = with_provider(
        conversation(StartTls(), lines("220 hello"), ehlo()),
        servers=TWO,
        tokens=Tokens(error=TokenUnavailable("503")),
    )
    with pytest.raises(TokenUnavailable):
        await provider.deliver(envelope(), CONTENT)
    assert provider.dialled == [TWO[0]]


@pytest.mark.parametrize(
    "old_age",
    [
        pytest.param([Close()], id="closed meanwhile"),
        pytest.param([lines("421 4.4.2 idle"), Close()], id="421 meanwhile"),
        pytest.param([Expect("MAIL"), Close()], id="closed on use"),
        pytest.param([Expect("MAIL"), lines("421 4.4.2 idle"), Close()], id="421 on use"),
    ],
)
async def test_a_warm_connection_that_died_is_replaced_silently(old_age: list[Step]) -> None:
    provider = with_provider(conversation(opened(), one_flight(), old_age), GOOD)
    await provider.deliver(envelope(), CONTENT)
    provider.clock.advance(10)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.delivered
    assert len(provider.dialled) == 2
    assert "ServerFailed" not in provider.noticed


async def test_connections_can_be_counted() -> None:
    provider = with_provider(
        [StartTls(), lines("421 4.3.2 closing")],
        conversation(opened(), one_flight(), one_flight()),
        servers=TWO,
    )
    await provider.deliver(envelope(), CONTENT)
    await provider.deliver(envelope(), CONTENT)
    await provider.transport.close()
    about = [
        each for each in provider.events if isinstance(each, Connected | ConnectionClosed | ConnectionReused)
    ]
    assert about == [
        Connected("alerts", TWO[0]),
        ConnectionClosed("alerts", TWO[0]),
        Connected("alerts", TWO[1]),
        ConnectionReused("alerts", TWO[1]),
        ConnectionClosed("alerts", TWO[1], 2),
    ]


async def test_a_warm_connection_that_dies_over_the_content_leaves_doubt() -> None:
    provider = with_provider(
        conversation(
            opened(), one_flight(), Expect("MAIL"), Expect("RCPT"), Expect("BDAT"), Expect("Subject"), Close()
        )
    )
    await provider.deliver(envelope(), CONTENT)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.UNKNOWN


async def test_not_authenticated_is_asked_for_on_a_new_connection_once() -> None:
    lost = one_flight(mail="530 5.7.57 Client not authenticated to send mail", final="503 no")
    provider = with_provider(conversation(opened(), lost), conversation(opened(), lost))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DEFERRED
    assert len(provider.dialled) == 2


async def test_messages_wait_in_line_for_the_connections_there_are() -> None:
    provider = with_provider(
        conversation(opened(), one_flight() * 5),
        conversation(opened(), one_flight() * 5),
        limits=PoolLimits(connections=1),
    )
    receipts = await asyncio.gather(
        *(provider.deliver(envelope(f"u{n}@example.net"), CONTENT) for n in range(5))
    )
    assert all(receipt.delivered for receipt in receipts)
    assert len(provider.dialled) == 1
    sent = [line for line in provider.tap.sent.split(b"\r\n") if line.startswith(b"RCPT")]
    assert sent == [b"RCPT TO:<u%d@example.net>" % n for n in range(5)]


async def test_whoever_stops_waiting_leaves_the_line() -> None:
    provider = with_provider(conversation(opened(), one_flight() * 2), limits=PoolLimits(connections=1))
    tasks = [asyncio.ensure_future(provider.deliver(envelope(), CONTENT)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert len(provider.dialled) == 1


async def test_a_capped_token_lifetime_means_a_new_connection_each_time() -> None:
    provider = with_provider(GOOD, GOOD, limits=PoolLimits(token_lifetime=1))
    for _ in range(2):
        await provider.deliver(envelope(), CONTENT)
        provider.clock.advance(1)
    assert len(provider.dialled) == 2


async def test_the_overall_limit_ends_the_search() -> None:
    provider = with_provider([StartTls()], GOOD, servers=TWO, timeout=10.0)
    with pytest.raises(TimedOut, match=r"within 10 s|limit of 10 s"):
        await provider.deliver(envelope(), CONTENT)
    assert provider.clock.monotonic() == 1010.0


async def test_content_that_changes_is_never_completed(tmp_path: Path) -> None:
    file = tmp_path / "message.eml"
    file.write_bytes(b"Subject: one\r\n\r\n")
    content = FileContent(file)
    file.write_bytes(b"Subject: two\r\n\r\n")
    provider = with_provider(opened(), GOOD)
    with pytest.raises(UsageError, match="changed"):
        await provider.deliver(envelope(), content)
    assert b"Subject" not in provider.tap.sent
    receipt = await provider.deliver(envelope(), CONTENT)  # the place in the pool is free again
    assert receipt.delivered


async def test_idle_connections_say_goodbye() -> None:
    provider = with_provider(conversation(GOOD, Expect("QUIT"), lines("221 bye")))
    await provider.deliver(envelope(), CONTENT)
    await provider.transport.close()
    assert provider.streams[0].finished
    assert provider.streams[0].closed
    assert not provider.tap.leaked(RENEWED)


async def test_idle_connections_are_closed_in_time_without_any_traffic() -> None:
    provider = with_provider(
        conversation(GOOD, Expect("QUIT"), lines("221 bye")),
        clock=SystemClock(),
        limits=PoolLimits(idle=0.01),
    )
    gone = asyncio.Event()
    await provider.deliver(envelope(), CONTENT)
    stream = provider.streams[0]
    close = stream.close

    async def closing() -> None:
        await close()
        gone.set()

    stream.close = closing  # type: ignore[method-assign]
    await asyncio.wait_for(gone.wait(), 5)
    assert stream.finished


async def test_a_forked_child_never_speaks_on_its_parents_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = with_provider(
        conversation(opened(), one_flight(), one_flight()), conversation(opened(), one_flight())
    )
    await provider.deliver(envelope(), CONTENT)
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as a child would see itself
    child = await provider.deliver(envelope(), CONTENT)
    assert child.delivered
    assert len(provider.streams) == 2
    assert not provider.streams[0].closed
