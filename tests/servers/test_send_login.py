"""postbearer logs in at real servers: every mechanism, grant and kind of token, and every refusal."""

from __future__ import annotations

from typing import Literal

import pytest

from postbearer import ClientCredentials, Password, RefreshToken, StaticToken
from postbearer.blocking import Mailer
from postbearer.errors import CredentialRefused, ServerRefused
from postbearer.events import Authenticated, Connected, TokenFetched, TokenRefused
from postbearer.mailer import AsyncMailer
from postbearer.oauth import ClientKey, Grant
from postbearer.secret import Secret
from postbearer.state import StateFolder
from support.canary import assert_absent

from .authorization import AuthorizationServer
from .dovecot import Dovecot
from .postfix import Postfix
from .sending import (
    ENVELOPE,
    MESSAGE,
    SENDER,
    Recorder,
    Visit,
    Watched,
    account,
    client_credentials,
    keep,
    kept,
    visits,
)
from .sink import Sink, from_first_header

pytestmark = pytest.mark.servers

Prefer = Literal["xoauth2", "oauthbearer"]
Tls = Literal["starttls", "implicit"]


# --- let in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
@pytest.mark.parametrize("client", ["post", "opaque"])
async def test_jwt_and_opaque_token_by_either_mechanism_and_tls_mode(
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    seen: Recorder,
    client: str,
    mechanism: Prefer,
    tls: Tls,
) -> None:
    before = authorization_server.token_requests()
    grant = client_credentials(authorization_server, client)
    alerts = account(server, authorization_server, grant, mechanism=mechanism, tls=tls)
    async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
        receipt = await mailer.send(MESSAGE, ENVELOPE)
    assert [str(outcome.state) for outcome in receipt.outcomes] == ["delivered"]
    [message] = sink.wait_for(1)
    assert (message.sender, message.addresses) == (SENDER, ENVELOPE.addresses)
    assert from_first_header(message.content, MESSAGE) == MESSAGE
    assert [event.mechanism.lower() for event in seen.all(Authenticated)] == [mechanism]
    assert visits(server, 1) == [Visit(logged_in=1, messages=1)]
    assert authorization_server.token_requests() - before == 1


async def test_the_client_may_prove_itself_in_the_header(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    grant = client_credentials(authorization_server, "basic", "basic")
    async with AsyncMailer(account(server, authorization_server, grant), state=state) as mailer:
        await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(1)) == 1


@pytest.mark.parametrize(
    ("key_id", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("ec", None), ("", None)]
)
async def test_the_client_may_prove_itself_by_its_key(
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    key_id: str,
    algorithm: Literal["RS256", "PS256"] | None,
) -> None:
    pem = Secret(authorization_server.client_keys[key_id or "rsa"])
    grant = ClientCredentials(
        "signed",
        authentication="private-key-jwt",
        client_key=ClientKey(private_key=pem, key_id=key_id, algorithm=algorithm),
        scopes=[authorization_server.scope],
    )
    async with AsyncMailer(account(server, authorization_server, grant), state=state) as mailer:
        await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(1)) == 1


async def test_the_endpoints_can_be_discovered(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    alerts = account(server, authorization_server, token_url="", issuer=authorization_server.issuer)
    async with AsyncMailer(alerts, state=state) as mailer:
        await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(1)) == 1


async def test_the_password_grant_of_a_public_client(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    person = authorization_server.password_user
    grant = Password(
        "public",
        person.user,
        Secret(person.password),
        authentication="none",
        scopes=[authorization_server.scope],
    )
    alerts = account(server, authorization_server, grant, address=person.user)
    async with AsyncMailer(alerts, state=state) as mailer:
        await mailer.send(MESSAGE, ENVELOPE.of(person.user, ENVELOPE.addresses))
    [message] = sink.wait_for(1)
    assert message.sender == person.user


def test_a_static_token_in_a_program_without_an_event_loop(
    server: Watched, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    token = authorization_server.access_token(SENDER)
    before = authorization_server.token_requests()
    grant = StaticToken(Secret(token))
    with Mailer(account(server, authorization_server, grant), state="memory") as mailer:
        mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(1)) == 1
    assert authorization_server.token_requests() == before


async def test_a_token_of_12_kib_goes_in_two_steps(
    mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    grant = client_credentials(authorization_server, "large")
    async with AsyncMailer(account(mail_servers, authorization_server, grant), state=state) as mailer:
        await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(1)) == 1


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nobody issued it", "expired JWT", "expired opaque"])
async def test_a_static_token_that_is_refused_is_not_tried_twice(
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    seen: Recorder,
    kind: str,
) -> None:
    token = "canary-token-nobody-issued"
    if kind.startswith("expired"):
        client = "post" if kind.endswith("JWT") else "opaque"
        token = authorization_server.access_token(SENDER, client, lifetime=-60)
    alerts = account(server, authorization_server, StaticToken(Secret(token)))
    async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
        with pytest.raises(CredentialRefused) as refused:
            await mailer.send(MESSAGE, ENVELOPE)
    assert refused.value.reply is not None
    assert refused.value.reply.code == 535
    assert "static token cannot be renewed" in refused.value.hint
    assert_absent(token, str(refused.value), repr(refused.value), repr(seen.events), server.log.text())
    assert visits(server, 1) == [Visit(refused=1)]
    assert sink.messages() == []


@pytest.mark.parametrize("client", ["post", "opaque"])
async def test_a_kept_token_that_expired_early_is_renewed_once(
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    seen: Recorder,
    client: str,
) -> None:
    alerts = account(server, authorization_server, client_credentials(authorization_server, client))
    await keep(alerts, state, authorization_server.access_token(SENDER, client, lifetime=-60))
    before = authorization_server.token_requests()
    async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
        receipt = await mailer.send(MESSAGE, ENVELOPE)
        assert receipt.delivered
        await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(2)) == 2
    assert authorization_server.token_requests() - before == 1
    assert (len(seen.all(TokenRefused)), len(seen.all(TokenFetched))) == (1, 1)
    assert sorted(visits(server, 2), key=lambda visit: visit.refused) == [
        Visit(logged_in=1, messages=2),
        Visit(refused=1),
    ]


@pytest.mark.parametrize("format", ["JWT", "opaque"])
async def test_a_token_for_another_user_is_refused_after_one_renewal(
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    seen: Recorder,
    format: str,
) -> None:
    if format == "JWT":
        grant: Grant = client_credentials(authorization_server, "other")
    else:
        refresh = authorization_server.refresh_token("other@example.org", "opaque")
        secret = Secret(authorization_server.clients["opaque"].secret)
        grant = RefreshToken("opaque", Secret(refresh), secret)
    alerts = account(server, authorization_server, grant)
    before = authorization_server.token_requests()
    async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
        with pytest.raises(CredentialRefused) as refused:
            await mailer.send(MESSAGE, ENVELOPE)
    assert visits(server, 2) == [Visit(refused=1), Visit(refused=1)]
    assert authorization_server.token_requests() - before == 2
    assert SENDER in refused.value.message
    assert "check user name" in refused.value.hint
    assert not seen.all(Authenticated)
    assert sink.messages() == []


async def test_who_the_policy_forbids_reads_the_servers_own_words(
    server: Watched, authorization_server: AuthorizationServer, state: StateFolder
) -> None:
    blocked = "blocked@example.org"
    grant = client_credentials(authorization_server, "blocked")
    async with AsyncMailer(
        account(server, authorization_server, grant, address=blocked), state=state
    ) as mailer:
        with pytest.raises(CredentialRefused, match="this account may not send"):
            await mailer.send(MESSAGE, ENVELOPE.of(blocked, ENVELOPE.addresses))


# --- not now --------------------------------------------------------------------------------------


async def test_an_internal_failure_of_the_server_costs_no_token(
    dovecot_submission: Dovecot,
    authorization_server: AuthorizationServer,
    sink: Sink,
    state: StateFolder,
    seen: Recorder,
) -> None:
    alerts = account(
        dovecot_submission, authorization_server, client_credentials(authorization_server, "opaque")
    )
    before = authorization_server.token_requests()
    async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
        with authorization_server.failing("introspection"), pytest.raises(ServerRefused) as refused:
            await mailer.send(MESSAGE, ENVELOPE)
        assert refused.value.reply is not None
        assert refused.value.reply.code == 454
        assert (await kept(alerts, state)).access is not None
        await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(1)) == 1
    assert authorization_server.token_requests() - before == 1
    assert not seen.all(TokenRefused)
    assert len(seen.all(Connected)) == 2


async def test_postfix_calls_the_same_failure_a_refusal_which_costs_one_renewal(
    mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink, state: StateFolder
) -> None:
    """Its bare 535 cannot be told from a dead token; what was renewed is good once the failure is over."""
    alerts = account(mail_servers, authorization_server, client_credentials(authorization_server, "opaque"))
    before = authorization_server.token_requests()
    async with AsyncMailer(alerts, state=state) as mailer:
        with authorization_server.failing("introspection"), pytest.raises(CredentialRefused):
            await mailer.send(MESSAGE, ENVELOPE)
        await mailer.send(MESSAGE, ENVELOPE)
    assert len(sink.wait_for(1)) == 1
    assert authorization_server.token_requests() - before == 2
    assert sorted(visit.refused for visit in visits(mail_servers, 3)) == [0, 1, 1]


async def test_postfix_that_lost_its_authentication_server_costs_no_token(
    mail_servers: Postfix, authorization_server: AuthorizationServer, state: StateFolder, seen: Recorder
) -> None:
    alerts = account(mail_servers, authorization_server, client_credentials(authorization_server, "oversize"))
    before = authorization_server.token_requests()
    async with AsyncMailer(alerts, state=state, observer=seen) as mailer:
        for _ in range(2):
            with pytest.raises(ServerRefused, match="454"):
                await mailer.send(MESSAGE, ENVELOPE)
    assert authorization_server.token_requests() - before == 1
    assert visits(mail_servers, 2) == [Visit(refused=1), Visit(refused=1)]


async def test_a_token_too_long_for_the_server_is_no_passing_trouble(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer, state: StateFolder
) -> None:
    alerts = account(
        dovecot_submission, authorization_server, client_credentials(authorization_server, "large")
    )
    async with AsyncMailer(alerts, state=state) as mailer:
        with pytest.raises(CredentialRefused, match="Line too long") as refused:
            await mailer.send(MESSAGE, ENVELOPE)
    assert "fewer claims" in refused.value.hint
