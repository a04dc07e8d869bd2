"""How often the authorization server is asked: counted by itself, over messages, mailers and processes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer import RefreshToken
from postbearer.events import Connected, TokenFetched
from postbearer.mailer import AsyncMailer
from postbearer.secret import Secret
from postbearer.state import FileLock, StateFolder
from postbearer.testing import ManualClock

from .authorization import AuthorizationServer
from .dovecot import Dovecot
from .postfix import Postfix
from .sending import (
    ENVELOPE,
    MESSAGE,
    RECIPIENT,
    SENDER,
    Command,
    Recorder,
    Visit,
    Watched,
    account,
    client_credentials,
    command,
    ended,
    keep,
    kept,
    kept_tokens,
    visits,
)
from .sink import Sink

pytestmark = pytest.mark.servers

HOUR = 3600.0
SEND = ("send", "--account", "alerts", "--raw", "message", "--to", RECIPIENT)


def refresh_grant(authorization: AuthorizationServer) -> RefreshToken:
    secret = Secret(authorization.clients["post"].secret)
    return RefreshToken("post", Secret(authorization.refresh_token(SENDER)), secret)


def send_at_once(
    command: Command, server: Postfix, count: int, ready: str = "TLS connection established"
) -> None:
    """Send by that many processes, each of which wants the token file at the same time; all must succeed.

    Nobody gets at the file before the server's log has said `ready` for each of them.
    """
    (command.folder / "message").write_bytes(MESSAGE)
    with FileLock(command.state.ensure().token("alerts") + ".lock"):
        processes = [command.start(*SEND) for _ in range(count)]
        deadline = time.monotonic() + 30
        while server.log.text().count(ready) < count and time.monotonic() < deadline:
            time.sleep(0.05)
    results = [ended(process) for process in processes]
    assert [(result.returncode, result.stderr) for result in results] == [(0, b"")] * count


async def test_ten_messages_one_connection_one_token(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder, seen: Recorder
) -> None:
    before = authorization_server.token_requests()
    async with AsyncMailer(account(server, authorization_server), state=state, observer=seen) as mailer:
        for _ in range(10):
            await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(10)) == 10
    assert authorization_server.token_requests() - before == 1
    assert visits(server, 1) == [Visit(logged_in=1, messages=10)]


async def test_twenty_messages_at_once_two_connections_one_token(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder, seen: Recorder
) -> None:
    before = authorization_server.token_requests()
    async with AsyncMailer(account(server, authorization_server), state=state, observer=seen) as mailer:
        await asyncio.gather(*(mailer.send(MESSAGE, ENVELOPE) for _ in range(20)))
    assert len(sink.wait_for(20)) == 20
    assert authorization_server.token_requests() - before == 1
    assert sum(visit.messages for visit in visits(server, 2)) == 20
    assert len(seen.all(Connected)) == 2


async def test_a_token_outlives_its_mailer(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    before = authorization_server.token_requests()
    for _ in range(3):
        async with AsyncMailer(account(server, authorization_server), state=state) as mailer:
            await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(3)) == 3
    assert authorization_server.token_requests() - before == 1


def test_ten_processes_at_once_one_token(
    tmp_path: Path, mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    before = authorization_server.token_requests()
    send_at_once(command(tmp_path, mail_servers, authorization_server), mail_servers, 10)
    assert len(sink.wait_for(10)) == 10
    assert authorization_server.token_requests() - before == 1
    assert visits(mail_servers, 10) == [Visit(logged_in=1, messages=1)] * 10


# --- rotating refresh tokens ----------------------------------------------------------------------


async def test_each_mailer_goes_on_where_the_last_one_rotated_to(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder, seen: Recorder
) -> None:
    """The server revokes the whole family as soon as one old refresh token is used again."""
    clock, before = ManualClock(), authorization_server.token_requests()
    alerts = account(server, authorization_server, refresh_grant(authorization_server))
    used = set()
    for _ in range(4):
        async with AsyncMailer(alerts, state=state, clock=clock, observer=seen) as mailer:
            await mailer.send(MESSAGE, ENVELOPE)
            await mailer.send(MESSAGE, ENVELOPE)
        used.add((await kept(alerts, state)).refresh)
        clock.advance(2 * HOUR)
    assert len(sink.wait_for(8)) == 8
    assert authorization_server.token_requests() - before == 4
    assert len(seen.all(TokenFetched)) == 4
    assert len(used) == 4
    assert "grant refused" not in authorization_server.log.text()


def refreshing_command(tmp_path: Path, server: Watched, authorization: AuthorizationServer) -> Command:
    return command(
        tmp_path,
        server,
        authorization,
        'refresh-token = "env:ALERTS_REFRESH"',
        grant="refresh-token",
        secrets={"ALERTS_REFRESH": authorization.refresh_token(SENDER)},
    )


async def test_each_process_goes_on_where_the_last_one_rotated_to(
    tmp_path: Path, dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    postbearer = refreshing_command(tmp_path, dovecot_submission, authorization_server)
    before = authorization_server.token_requests()
    for _ in range(3):
        result = await asyncio.to_thread(postbearer.send)
        assert (result.returncode, result.stderr) == (0, b"")
        await forget_access_token(postbearer)
    assert len(sink.messages()) == 3
    assert authorization_server.token_requests() - before == 3
    assert "grant refused" not in authorization_server.log.text()


async def forget_access_token(postbearer: Command) -> None:
    """As if it had expired: what is left is the refresh token."""
    from postbearer.assembly import Assembly

    environment = {"POSTBEARER_STATE": postbearer.state.path, **postbearer.secrets}
    alerts = Assembly.load(postbearer.folder / "config.toml", environment).account("alerts")
    tokens = kept_tokens(alerts, postbearer.state)
    assert await tokens.save(replace(await tokens.load(), access=None))


def test_processes_at_once_do_not_use_a_refresh_token_twice(
    tmp_path: Path, mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    before = authorization_server.token_requests()
    postbearer = refreshing_command(tmp_path, mail_servers, authorization_server)
    send_at_once(postbearer, mail_servers, 6)
    assert len(sink.wait_for(6)) == 6
    assert authorization_server.token_requests() - before == 1
    assert "grant refused" not in authorization_server.log.text()


async def test_processes_that_find_the_same_dead_token_renew_it_once(
    tmp_path: Path, mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    from postbearer.assembly import Assembly

    postbearer = command(tmp_path, mail_servers, authorization_server)
    environment = {"POSTBEARER_STATE": postbearer.state.path, **postbearer.secrets}
    alerts = Assembly.load(tmp_path / "config.toml", environment).account("alerts")
    await keep(alerts, postbearer.state, authorization_server.access_token(SENDER, lifetime=-60))
    before = authorization_server.token_requests()
    await asyncio.to_thread(send_at_once, postbearer, mail_servers, 5, "authentication failed")
    assert len(sink.wait_for(5)) == 5
    assert authorization_server.token_requests() - before == 1


# --- brief tokens ---------------------------------------------------------------------------------


async def test_tokens_of_two_seconds(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder, seen: Recorder
) -> None:
    """Used while half of their life is left, and renewed then."""
    clock, before = ManualClock(), authorization_server.token_requests()
    alerts = account(server, authorization_server, client_credentials(authorization_server, "brief"))
    for _ in range(3):
        for _ in range(2):
            async with AsyncMailer(alerts, state=state, clock=clock, observer=seen) as mailer:
                await mailer.send(MESSAGE, ENVELOPE)
        clock.advance(1.5)
    assert len(sink.wait_for(6)) == 6
    assert authorization_server.token_requests() - before == 3
    assert [event.lifetime for event in seen.all(TokenFetched)] == [2.0, 2.0, 2.0]


async def test_a_maximum_token_lifetime_means_a_new_token_for_each_connection(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder, seen: Recorder
) -> None:
    clock, before = ManualClock(), authorization_server.token_requests()
    alerts = account(server, authorization_server, maximum_token_lifetime=1)
    async with AsyncMailer(alerts, state=state, clock=clock, observer=seen) as mailer:
        for _ in range(3):
            await mailer.send(MESSAGE, ENVELOPE)
            await mailer.send(MESSAGE, ENVELOPE)
            clock.advance(1)
    assert len(sink.wait_for(6)) == 6
    assert authorization_server.token_requests() - before == 3
    assert visits(server, 3) == [Visit(logged_in=1, messages=2)] * 3
