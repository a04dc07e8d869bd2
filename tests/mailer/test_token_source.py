"""Tokens alone: by account or by its configured name, shared with everybody, told apart from none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.account import Account
from postbearer.blocking import Mailer
from postbearer.errors import ConfigError, TokenUnavailable, UsageError
from postbearer.state import StateFolder
from postbearer.testing import Faults, Sandbox, TokenFault
from postbearer.tokens import token_source
from support.sandboxed import RAW, TO_YOU


def test_the_token_of_an_account(sandbox: Sandbox, state: StateFolder) -> None:
    token = token_source(sandbox.account(), state=state).token_blocking()
    assert sandbox.register.known(token.access.reveal())
    assert token.scope == "smtp.send"
    assert token.lifetime == pytest.approx(3600)


def test_by_the_name_of_a_configured_account(sandbox: Sandbox, state: StateFolder) -> None:
    config = sandbox.folder / "postbearer.toml"
    token = token_source("sandbox", config=config, state=state).token_blocking()
    assert sandbox.register.known(token.access.reveal())
    with pytest.raises(ConfigError, match="nobody"):
        token_source("nobody", config=config)


def test_mailers_and_sources_share_what_is_kept(sandbox: Sandbox, state: StateFolder) -> None:
    before = sandbox.token_requests
    account = sandbox.account()
    tokens = {token_source(account, state=state).token_blocking().access for _ in range(3)}
    with Mailer(account, state=state) as mailer:
        mailer.send(RAW, TO_YOU)
    assert len(tokens) == 1
    assert sandbox.token_requests - before == 1


def test_in_memory_nothing_is_shared_nor_written(sandbox: Sandbox, tmp_path: Path) -> None:
    before = sandbox.token_requests
    for _ in range(2):
        source = token_source(sandbox.account(), state="memory")
        assert source.token_blocking().access == source.token_blocking().access
    assert sandbox.token_requests - before == 2
    assert list(tmp_path.iterdir()) == []


async def test_a_token_that_was_refused_is_not_seen_again(sandbox: Sandbox, state: StateFolder) -> None:
    source = token_source(sandbox.account(), state=state)
    token = await source.token()
    await source.invalidate(token)
    assert (await source.token()).access != token.access
    assert (await token_source(sandbox.account(), state=state).token()).access != token.access


def test_so_it_is_in_threads_without_an_event_loop(sandbox: Sandbox, state: StateFolder) -> None:
    source = token_source(sandbox.account(), state=state)
    token = source.token_blocking()
    source.invalidate_blocking(token)
    assert source.token_blocking().access != token.access


async def test_a_running_loop_is_not_stopped(sandbox: Sandbox) -> None:
    source = token_source(sandbox.account(), state="memory")
    token = await source.token()
    with pytest.raises(UsageError, match=r"await source\.token\(\)"):
        source.token_blocking()
    with pytest.raises(UsageError, match=r"await source\.invalidate\(token\)"):
        source.invalidate_blocking(token)


def test_an_account_without_tokens_is_told(sandbox: Sandbox) -> None:
    account: Account = replace(sandbox.account(), grant=None)
    with pytest.raises(ConfigError, match="does not use OAuth tokens"):
        token_source(account, state="memory")


def test_bad_luck_is_told_as_such(sandbox: Sandbox, state: StateFolder) -> None:
    sandbox.set_faults(Faults(token=[TokenFault(kind="down", times=1)]))
    source = token_source(sandbox.account(), state=state)
    with pytest.raises(TokenUnavailable):
        source.token_blocking()
    assert sandbox.register.known(source.token_blocking().access.reveal())
