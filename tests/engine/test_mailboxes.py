"""The provider counts by mailbox: whatever its accounts are called, and whenever they were read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbearer.account import Account
from postbearer.engine import Channel, Submitter
from postbearer.envelope import Envelope
from postbearer.errors import ConnectFailed, PostbearerError, TokenUnavailable
from postbearer.message import Content
from postbearer.outcome import Receipt
from postbearer.providers import preset
from postbearer.settings import Limits
from support.relay import Provider, Relay, account, relaying, rules


def sisters() -> tuple[Account, Account]:
    """Two accounts of one mailbox; Microsoft allows two connections."""
    first = account("alerts")
    return first, replace(first, name="reports")


class Together:
    """Counts what is under way by several providers."""

    def __init__(self, relay: Relay, *providers: Provider) -> None:
        self.most = 0
        for provider in providers:
            self._count(relay, provider, providers)

    def _count(self, relay: Relay, provider: Provider, providers: tuple[Provider, ...]) -> None:
        deliver = provider.deliver

        async def counting(envelope: Envelope, content: Content) -> Receipt:
            self.most = max(self.most, 1 + sum(each.at_once for each in providers))
            return await deliver(envelope, content)

        provider.deliver = counting  # type: ignore[method-assign]


async def test_two_accounts_of_one_mailbox_share_its_connections() -> None:
    first, second = sisters()
    async with relaying(first, second) as relay:
        providers = [relay.providers[name] for name in ("alerts", "reports")]
        together = Together(relay, *providers)
        for provider in providers:
            provider.delay = 5.0
        lane = relay.dispatcher.account_states
        assert lane["alerts"].mailbox is lane["reports"].mailbox
        for name in ("alerts", "reports") * 2:
            await relay.submit(client=Submitter(name=name, account=name))
        await relay.pass_time(30)
        assert [len(each.sent) for each in providers] == [2, 2]
        assert together.most == 2


async def test_a_reload_that_changes_an_account_opens_no_more_connections_than_it_has() -> None:
    async with relaying() as relay:
        old, fresh = relay.providers["alerts"], Provider(relay.clock)
        old.delay = fresh.delay = 10.0
        together = Together(relay, old, fresh)
        for name in "abcd":
            await relay.submit(f"{name}@example.net")
        await relay.settle()
        assert old.at_once == 2
        changed = replace(relay.accounts["alerts"], limits=Limits(messages_per_day=500))
        await relay.dispatcher.reload({"alerts": Channel(changed, fresh)}, rules())
        await relay.pass_time(60)
        assert (len(old.sent), len(fresh.sent)) == (2, 2)
        assert together.most == 2


@pytest.mark.parametrize(
    "error", [ConnectFailed("Nobody there."), TokenUnavailable("The token endpoint does not answer.")]
)
async def test_what_reached_nobody_is_not_counted(error: PostbearerError) -> None:
    limited = account(limits=Limits(messages_per_day=3))
    async with relaying(limited) as relay:
        provider = relay.providers["alerts"]
        deliver, tries = provider.deliver, 0

        async def unreachable(envelope: Envelope, content: Content) -> Receipt:
            nonlocal tries
            tries += 1
            raise error

        provider.deliver = unreachable  # type: ignore[method-assign]
        message = await relay.submit()
        await relay.pass_time(3600)
        assert tries > 3
        assert (await relay.dispatcher.account_states["alerts"].budget.left()).messages_today == 3
        provider.deliver = deliver  # type: ignore[method-assign]
        await relay.pass_time(3600)
        assert await relay.statuses(message) == ["delivered"]
        assert (await relay.dispatcher.account_states["alerts"].budget.left()).messages_today == 2


@pytest.mark.parametrize(
    ("answer", "left"), [("451 4.7.0 later", 2), ("550 5.1.1 no such user", 1), ("lost", 2)]
)
async def test_what_the_provider_saw_is_counted(answer: str, left: int) -> None:
    """A refusal for good makes a report, which is a message, too."""
    async with relaying(account(limits=Limits(messages_per_day=3))) as relay:
        relay.providers["alerts"].answers = [answer]
        await relay.submit()
        await relay.settle()
        assert (await relay.dispatcher.account_states["alerts"].budget.left()).messages_today == left


def named(provider: str, username: str, server: str = "mail.example.org:587", name: str = "a") -> Account:
    return Account.of(
        preset(provider).in_cloud(),
        "alerts@example.org",
        name=name,
        username=username,
        servers=[server],
        authentication="password",
        password="env:X",
        limits=Limits(messages_per_minute=30),
    )


def test_a_mailbox_is_the_login_at_a_provider() -> None:
    one = named("microsoft", "alerts@example.org")
    assert one.mailbox == named("microsoft", "Alerts@Example.org", "other.example.org:25", "b").mailbox
    assert one.mailbox != named("microsoft", "reports@example.org").mailbox
    assert one.mailbox != named("google", "alerts@example.org").mailbox
    ours = named("smtp", "alerts")
    assert ours.mailbox != named("smtp", "alerts", "mail.example.net:587").mailbox
