"""What is told about a token that the mail server does not take."""

from __future__ import annotations

import pytest

from postbearer.errors import CredentialRefused, GrantRefused
from postbearer.oauth import Token
from postbearer.testing import Expect, StartTls, conversation, lines
from support.provider import (
    ALL,
    CANARY,
    CONTENT,
    Tokens,
    ehlo,
    envelope,
    one_flight,
    refused_login,
    with_provider,
)

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
