"""What is told about a token that the mail server does not take."""

from __future__ import annotations

import pytest

from postbearer.errors import CredentialRefused, GrantRefused
from postbearer.oauth import Token
from postbearer.testing import Expect, StartTls, conversation, lines
from support.provider import CANARY, CONTENT, Tokens, ehlo, envelope, refused_login, with_provider

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
