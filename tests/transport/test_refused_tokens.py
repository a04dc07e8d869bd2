"""What is told about a token that the mail server does not take."""

from __future__ import annotations

import pytest

from postbearer.errors import CredentialRefused, GrantRefused, NetworkError
from postbearer.oauth import Token
from postbearer.testing import Close, Expect, StartTls, conversation, lines
from postbearer.testing.stream import Step
from support.provider import (
    ALL,
    CANARY,
    CONTENT,
    RENEWED,
    Tokens,
    accepted_login,
    ehlo,
    envelope,
    one_flight,
    refused_login,
    with_provider,
)

ENDED = [Expect("")]  # whatever answers a challenge
JSON = "334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0="  # {"status":"invalid_token"}
HELLO = lines("220 hello")


class Static(Tokens):
    """A source that can only give the same token again, and says so."""

    async def token(self) -> Token:
        if self.invalidated:
            raise GrantRefused("the same one again", code="same_token", hint="Choose another grant.")
        return await super().token()


async def test_a_token_that_cannot_be_renewed_is_told_in_the_servers_words() -> None:
    refused = conversation(StartTls(), HELLO, ehlo(), refused_login())
    provider = with_provider(refused, tokens=Static(CANARY))
    with pytest.raises(CredentialRefused, match=r"535 5\.7\.3") as caught:
        await provider.deliver(envelope(), CONTENT)
    assert caught.value.hint == "Choose another grant."
    assert provider.authentications() == 1


async def test_a_token_too_long_for_the_server_is_for_a_person_to_shorten() -> None:
    """In two steps already, so there is nothing shorter to say."""
    refused = [Expect("AUTH XOAUTH2"), lines("334 "), Expect(""), lines("500 5.5.2 Line too long")]
    provider = with_provider(conversation(StartTls(), HELLO, ehlo(), refused), tokens=Tokens("c" * 6000))
    with pytest.raises(CredentialRefused, match="Line too long") as caught:
        await provider.deliver(envelope(), CONTENT)
    assert "fewer claims" in caught.value.hint
    assert provider.authentications() == 1


@pytest.mark.parametrize("reply", ["500 5.5.2 Line too long", "500 Line too long"])
async def test_a_server_that_takes_no_initial_response_gets_it_in_two_steps_from_then_on(reply: str) -> None:
    in_two_steps = [Expect("AUTH XOAUTH2"), lines("334 "), Expect(""), lines("235 2.7.0 Accepted")]
    refused = conversation(StartTls(), HELLO, ehlo(*ALL), refused_login(reply))
    taken = conversation(StartTls(), HELLO, ehlo(*ALL), in_two_steps, one_flight(), Expect("QUIT"))
    provider = with_provider(refused, [*taken, lines("221 bye")], [*taken, lines("221 bye")])
    for _ in range(2):
        assert (await provider.deliver(envelope(), CONTENT)).delivered
        provider.clock.advance(60)  # long enough for the connection to be given up
    await provider.transport.close()
    assert provider.authentications() == 3
    assert "TokenRefused" not in provider.noticed
    assert provider.tokens.invalidated == []


TOLD = [
    "5.7.8 token expired",
    "The access token is invalid",
    "5.7.0 Invalid OAuth token",
    "invalid_token",
    "Bearer token has been revoked",
    "expired access token",
]


@pytest.mark.parametrize(
    "refusal",
    [
        [lines("535 5.7.8 Authentication credentials invalid")],
        [lines("535")],
        [lines("535 Authentication failed")],
        [lines("535-5.7.8 Username and Password not accepted. For more information, go to", "535 5.7.8 x")],
        [lines("535 5.7.3 401 Unauthorized")],
        [lines("401 Unauthorized")],
        [lines("401 4.7.0 Unauthorized")],
        [lines("401")],
        *([lines(f"{code} {words}")] for code in (454, 500, 501, 504, 530, 550, 554) for words in TOLD),
        [lines("HTTP/1.1 401 Unauthorized"), Close()],
        [lines("HTTP/1.1 401 Unauthorized", "Content-Length: 0", "")],
        [lines("HTTP/2 401"), Close()],
        [lines(JSON), *ENDED, lines("535 5.7.8 invalid")],
        [lines(JSON), *ENDED, lines("454 4.7.0 Temporary authentication failure")],
        [lines(JSON), *ENDED, lines("501 5.5.2 cancelled")],
        [lines(JSON), *ENDED, lines("550 5.7.1 no")],
        [lines(JSON), *ENDED, lines("421 4.7.0 bye")],
        [lines(JSON), *ENDED, Close()],
        [lines(JSON), *ENDED, lines("no reply at all")],
        [lines(JSON), *ENDED, lines("334 "), *ENDED, lines("535 5.7.8 invalid")],
        [lines(JSON), *ENDED, lines(JSON), *ENDED, lines(JSON)],
        [lines("334 invalid token"), *ENDED, lines("535 5.7.8 invalid")],
        [lines("334 invalid token"), *ENDED, lines("500 5.5.1 unknown command")],
        [lines('334 {"status":"401"}'), *ENDED, lines("535 5.7.8 invalid")],
        [lines("334 "), *ENDED, lines("535 5.7.8 invalid")],
        [lines("334-eyJzdGF0dXMi", "334 OiI0MDEifQ=="), *ENDED, lines("535 5.7.8 invalid")],
    ],
)
async def test_a_refused_token_is_renewed_once_however_the_refusal_looks(refusal: list[Step]) -> None:
    refused = conversation(StartTls(), HELLO, ehlo(*ALL), [Expect("AUTH XOAUTH2 ")], refusal)
    taken = conversation(StartTls(), HELLO, ehlo(*ALL), accepted_login(), one_flight())
    provider = with_provider(refused, taken)
    assert (await provider.deliver(envelope(), CONTENT)).delivered
    assert [token.reveal() for token in provider.tokens.invalidated] == [CANARY]
    assert provider.noticed.count("TokenRefused") == 1


@pytest.mark.parametrize("behind", ["454 4.7.0 Temporary authentication failure", "535 5.7.8 invalid"])
async def test_a_renewed_token_that_is_refused_as_well_needs_a_person(behind: str) -> None:
    refused = conversation(
        StartTls(), HELLO, ehlo(*ALL), [Expect("AUTH XOAUTH2 "), lines(JSON), *ENDED, lines(behind)]
    )
    provider = with_provider(refused, list(refused))
    with pytest.raises(CredentialRefused) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert caught.value.code == "invalid_token"
    assert provider.authentications() == 2


@pytest.mark.parametrize("reply", ["454 4.7.0 Temporary authentication failure", "421 4.7.0 Try again later"])
async def test_trouble_of_the_server_costs_no_token(reply: str) -> None:
    refused = conversation(StartTls(), HELLO, ehlo(*ALL), refused_login(reply))
    provider = with_provider(refused)
    with pytest.raises(NetworkError):
        await provider.deliver(envelope(), CONTENT)
    assert provider.tokens.invalidated == []
    assert "TokenRefused" not in provider.noticed


async def test_where_one_mechanism_is_not_known_the_other_is_tried_and_known_from_then_on() -> None:
    both = ehlo(*ALL, auth="OAUTHBEARER XOAUTH2")
    unknown = conversation(
        StartTls(),
        HELLO,
        both,
        [Expect("AUTH OAUTHBEARER "), lines("504 5.5.4 Unrecognized authentication type")],
    )
    taken = conversation(
        StartTls(), HELLO, both, accepted_login(), one_flight(), Expect("QUIT"), lines("221 bye")
    )
    provider = with_provider(unknown, taken, list(taken))
    for _ in range(2):
        assert (await provider.deliver(envelope(), CONTENT)).delivered
        provider.clock.advance(60)  # long enough for the connection to be given up
    await provider.transport.close()
    assert provider.authentications() == 3
    assert provider.tokens.invalidated == []
    assert "TokenRefused" not in provider.noticed


@pytest.mark.parametrize("mechanism", ["auto", "oauthbearer"])
async def test_where_no_other_mechanism_is_left_a_person_is_told(mechanism: str) -> None:
    offered = "OAUTHBEARER XOAUTH2"
    scripts = [
        conversation(
            StartTls(), HELLO, ehlo(*ALL, auth=offered), [Expect(f"AUTH {name} "), lines("504 5.5.4 Unknown")]
        )
        for name in offered.split()
    ]
    provider = with_provider(*scripts, mechanism=mechanism)
    with pytest.raises(CredentialRefused, match=r"504 5\.5\.4"):
        await provider.deliver(envelope(), CONTENT)
    assert provider.authentications() == (2 if mechanism == "auto" else 1)
    assert "TokenRefused" not in provider.noticed


@pytest.mark.parametrize(
    "reply", ["501 Invalid base64 data", "500 5.5.1 unrecognized command", "501 5.5.2 x"]
)
async def test_a_line_over_the_limit_is_told_as_what_it_is(reply: str) -> None:
    refused = [Expect("AUTH XOAUTH2"), lines("334 "), Expect(""), lines(reply)]
    provider = with_provider(conversation(StartTls(), HELLO, ehlo(), refused), tokens=Tokens("c" * 16_000))
    with pytest.raises(CredentialRefused) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert "fewer claims" in caught.value.hint


@pytest.mark.parametrize("end", [[Close()], []])
async def test_a_server_that_cuts_the_connection_behind_too_long_a_line_ends_the_try(end: list[Step]) -> None:
    refused = [Expect("AUTH XOAUTH2"), lines("334 "), Expect(""), lines("500 5.4.0 Too long line"), *end]
    provider = with_provider(conversation(StartTls(), HELLO, ehlo(), refused), tokens=Tokens("c" * 2500))
    with pytest.raises(CredentialRefused, match="Too long line"):
        await provider.deliver(envelope(), CONTENT)
    assert provider.authentications() == 1


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
async def test_a_challenge_that_repeats_pieces_of_the_token_shows_none(mechanism: str) -> None:
    import json
    from base64 import b64encode

    from support.canary import assert_absent

    said = b64encode(json.dumps({"status": f"bad {CANARY[:40]}", "scope": CANARY[::-1]}).encode()).decode()
    refused = conversation(
        StartTls(),
        HELLO,
        ehlo(*ALL, auth=mechanism),
        [Expect(f"AUTH {mechanism} "), lines(f"334 {said}"), *ENDED, lines(f"535 5.7.8 {CANARY[10:]}")],
    )
    provider = with_provider(refused, tokens=Static(CANARY))
    with pytest.raises(CredentialRefused) as caught:
        await provider.deliver(envelope(), CONTENT)
    shown = f"{caught.value} {caught.value.code} {provider.events} {provider.transcript}"
    for piece in (CANARY[:16], CANARY[20:36], CANARY[::-1][:16]):
        assert_absent(piece, shown)
    assert RENEWED not in shown


@pytest.mark.parametrize(
    "again", [[lines(f"554 {CANARY[:40]}")], [HELLO, [Expect("EHLO"), lines(f"550 {CANARY[::-1]}")]]]
)
async def test_what_a_server_repeats_of_a_login_before_is_hidden_as_well(again: list[list[Step]]) -> None:
    from support.canary import assert_absent

    first = conversation(StartTls(), HELLO, ehlo(), refused_login("454 4.7.0 later"))
    provider = with_provider(first, conversation(StartTls(), *again), tokens=Static(CANARY))
    told = []
    for _ in range(2):
        with pytest.raises(NetworkError) as caught:
            await provider.deliver(envelope(), CONTENT)
        told.append(str(caught.value))
    assert "***" in told[1]
    shown = f"{told} {provider.events} {provider.transcript}"
    for piece in (CANARY[:16], CANARY[20:36], CANARY[::-1][:16]):
        assert_absent(piece, shown)


async def test_what_a_server_repeats_where_it_says_yes_is_hidden_as_well() -> None:
    """The word behind the content is kept as the message's id at the provider: in receipts, log and queue."""
    from base64 import b64encode

    from support.canary import assert_absent

    twice = b64encode(b64encode(CANARY.encode())).decode()
    script = conversation(
        StartTls(),
        HELLO,
        ehlo(*ALL),
        accepted_login(f"235 2.7.0 welcome {CANARY}"),
        one_flight(
            f"250 2.1.5 Ok {CANARY[::-1]}",
            mail=f"250 2.1.0 {CANARY}",
            final=f"250 2.0.0 Ok: queued as {twice}",
        ),
    )
    provider = with_provider(script, tokens=Static(CANARY))
    receipt = await provider.deliver(envelope(), CONTENT)
    shown = f"{receipt!r} {provider.events} {provider.transcript}"
    assert receipt.outcomes[0].reply is not None
    assert receipt.outcomes[0].reply.text == "2.0.0 Ok: queued as ***"
    for piece in (CANARY[:16], CANARY[20:36], CANARY[::-1][:16], twice[:16]):
        assert_absent(piece, shown)
