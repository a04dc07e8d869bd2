"""The relay is stopped while a token is on its way: the new refresh token is kept."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.secret import Secret
from postbearer.testing import Sandbox
from relay.conversing import submit
from relay.running import Relay, relay_table
from support.tokenserver import Slow, serving


def test_a_relay_that_is_stopped_during_a_renewal_keeps_the_new_refresh_token(
    home: Path, postbearer_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s")
    monkeypatch.setenv("REFRESH", "refresh-0")
    with serving() as server:
        slow = Slow(server)
        text = slow.account(postbearer_sandbox.configuration("alerts")) + relay_table('account = "alerts"')
        with Relay(home, text) as relay:
            assert relay.start()
            assert submit(relay, "x") == 250
            assert slow.asked.wait(30)
            threading.Timer(0.5, slow.answer.set).start()
            assert relay.stop() == 0
        chosen = Assembly.load(relay.config).account("alerts")
        kept = asyncio.run(chosen.token_store(relay.state, clock=SystemClock()).load())
        assert kept.refresh == Secret(server.good_refresh_token or "")
