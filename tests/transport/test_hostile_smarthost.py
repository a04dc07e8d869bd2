"""A hostile mail server. No token for those who have not earned it."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from postbearer.errors import (
    CredentialRefused,
    MechanismMissing,
    NetworkError,
    RemoteProtocolError,
    ServerRefused,
    TimedOut,
    TlsFailed,
    TokenUnavailable,
)
from postbearer.events import TokenRefused
from postbearer.outcome import State
from postbearer.testing import Close, Delay, Expect, ExpectContent, Send, StartTls, conversation, lines
from postbearer.testing.stream import Step
from postbearer.verdict import judge
from support.provider import (
    ALL,
    CANARY,
    CONTENT,
    MESSAGE,
    RENEWED,
    Tokens,
    accepted_login,
    ehlo,
    envelope,
    one_flight,
    opened,
    refused_login,
    with_provider,
)

CODES = (220, 221, 250, 354, 421, 454, 500, 501, 502, 503, 554)
HELLO = lines("220 hello")


# C1: STARTTLS stripping -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(ehlo("PIPELINING", "8BITMIME"), id="not offered"),
        pytest.param([Expect("EHLO"), lines("502 5.5.1 what?")], id="EHLO refused: no HELO instead"),
        pytest.param(
            conversation(
                ehlo("STARTTLS"), Expect("STARTTLS"), lines("220 go"), StartTls(TlsFailed("no TLS"))
            ),
            id="no TLS behind the 220",
        ),
        pytest.param(conversation(ehlo("STARTTLS"), Expect("STARTTLS"), Close()), id="closed"),
    ],
)
async def test_c1_starttls_stripped(answers: list[Step]) -> None:
    provider = with_provider(conversation(HELLO, answers), tls="starttls")
    with pytest.raises(NetworkError) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert not provider.leaked
    assert judge(caught.value).state is State.DEFERRED
    assert all(stream.closed for stream in provider.streams)
    assert "ServerFailed" in provider.noticed


@pytest.mark.parametrize("place", ["greeting", "EHLO", "STARTTLS"])
@pytest.mark.parametrize("code", CODES)
async def test_c1_the_reply_matrix_before_tls(place: str, code: int) -> None:
    odd = lines(f"{code} odd")
    script: dict[str, list[Step]] = {
        "greeting": [odd],
        "EHLO": [HELLO, Expect("EHLO"), odd],
        "STARTTLS": conversation(HELLO, ehlo("STARTTLS"), Expect("STARTTLS"), odd),
    }
    # A 2 at the right place is no trick yet: then the peer has nothing more to say, or no TLS.
    provider = with_provider([*script[place], StartTls(TlsFailed("no TLS"))], tls="starttls")
    if (place, code) in {("greeting", 220), ("greeting", 250)}:
        provider = with_provider([odd, Close()], tls="starttls")
    with pytest.raises((NetworkError, RemoteProtocolError)) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert not provider.leaked
    assert "HELO" not in provider.tap.verbs
    assert judge(caught.value).state is State.DEFERRED


@pytest.mark.parametrize("code", CODES)
async def test_c1_the_reply_matrix_at_rset(code: int) -> None:
    """RSET is owed after a message was refused; a connection that does not take it is left."""
    failing = conversation(
        opened(), one_flight("550 5.1.1 who?", final="503 no"), Expect("RSET"), lines(f"{code} odd")
    )
    positive = code in (220, 250)
    second = one_flight() if positive else []
    provider = with_provider(failing + second, conversation(opened(), one_flight()))
    first = await provider.deliver(envelope(), CONTENT)
    assert first.outcomes[0].state is State.FAILED
    again = await provider.deliver(envelope(), CONTENT)
    assert again.outcomes[0].state is State.DELIVERED
    assert len(provider.streams) == (1 if positive else 2)


@pytest.mark.parametrize("code", CODES)
async def test_c1_the_reply_matrix_at_quit(code: int) -> None:
    provider = with_provider(conversation(opened(), one_flight(), Expect("QUIT"), lines(f"{code} odd")))
    await provider.deliver(envelope(), CONTENT)
    await provider.transport.close()
    assert provider.streams[0].closed


# C2: response injection -------------------------------------------------------------------------


@pytest.mark.parametrize("behind", ["250-x\r\n250 AUTH XOAUTH2\r\n", "2", "\r\n"])
async def test_c2_words_in_front_of_tls(behind: str) -> None:
    script = conversation(HELLO, ehlo("STARTTLS"), Expect("STARTTLS"), Send(b"220 go\r\n" + behind.encode()))
    provider = with_provider([*script, StartTls()], tls="starttls")
    with pytest.raises(RemoteProtocolError):
        await provider.deliver(envelope(), CONTENT)
    assert provider.streams[0].closed
    assert provider.tap.verbs[-1] == "STARTTLS"


async def test_c2_what_was_offered_before_tls_is_forgotten() -> None:
    script = conversation(
        HELLO,
        ehlo("STARTTLS", *ALL),
        [Expect("STARTTLS"), lines("220 go"), StartTls()],
        ehlo("8BITMIME", auth=""),
    )
    provider = with_provider(script, tls="starttls")
    with pytest.raises(MechanismMissing):
        await provider.deliver(envelope(), CONTENT)
    assert not provider.leaked


async def test_c2_the_happy_end_says_ehlo_twice() -> None:
    script = conversation(
        HELLO,
        ehlo("STARTTLS", auth=""),
        [Expect("STARTTLS"), lines("220 go"), StartTls()],
        ehlo(*ALL),
        accepted_login(),
        one_flight(),
    )
    provider = with_provider(script, tls="starttls")
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.delivered
    assert provider.noticed == ["Connected", "TlsStarted", "Authenticated", "Attempted"]


# C4: redirection --------------------------------------------------------------------------------


@pytest.mark.parametrize("greeting", ["221 elsewhere", "421 4.3.2 closing", "554 no", "451 later"])
async def test_c4_a_greeting_that_turns_us_away(greeting: str) -> None:
    provider = with_provider([StartTls(), lines(greeting)])
    with pytest.raises(NetworkError):
        await provider.deliver(envelope(), CONTENT)
    assert provider.dialled == ["mail.example.org:465"]
    assert not provider.leaked


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        ("251 will forward to <eve@evil.example>", State.DELIVERED),
        ("551 try <eve@evil.example>", State.FAILED),
    ],
)
async def test_c4_no_recipient_is_followed(reply: str, state: State) -> None:
    final = "250 ok" if state is State.DELIVERED else "503 nobody"
    provider = with_provider(conversation(opened(), one_flight(reply, final=final)))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is state
    assert b"evil" not in provider.tap.sent


# C5: unreadable replies -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"250-" + b"x" * 10_000_000, id="10 MB without a line end"),
        pytest.param(b"250-more\r\n" * 500_000, id="endless"),
        pytest.param(b"250-one\r\n251 two\r\n", id="two codes"),
        pytest.param("2５0 ok\r\n".encode(), id="full-width digit"),
        pytest.param(b"250 ok\n", id="bare line feed"),
        pytest.param(b"2\x0050 ok\r\n", id="NUL"),
        pytest.param(b"999 ok\r\n", id="999"),
        pytest.param(b"099 ok\r\n", id="099"),
        pytest.param(b"150 ok\r\n", id="1xx"),
    ],
)
async def test_c5_a_reply_that_is_none(answer: bytes) -> None:
    provider = with_provider([StartTls(), HELLO, Expect("EHLO"), Send(answer)])
    with pytest.raises(RemoteProtocolError) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert len(str(caught.value)) < 2000
    assert provider.streams[0].closed
    assert not provider.leaked


async def test_c5_a_reply_to_nothing() -> None:
    provider = with_provider([StartTls(), lines("220 hello", "250 AUTH XOAUTH2")])
    with pytest.raises(RemoteProtocolError):
        await provider.deliver(envelope(), CONTENT)
    assert not provider.leaked


async def test_c5_challenges_without_end() -> None:
    challenge = lines("334 " + b64encode(b"more").decode())
    script = conversation(StartTls(), HELLO, ehlo(), Expect("AUTH"), challenge, [Expect(""), challenge] * 20)
    provider = with_provider(script, list(script))
    with pytest.raises(CredentialRefused):
        await provider.deliver(envelope(), CONTENT)
    assert provider.authentications() == 2  # the token is renewed once: any challenge behind it is a refusal


async def test_c5_escapes_and_8_bit_are_made_harmless() -> None:
    provider = with_provider(conversation(opened(), one_flight("550 \x1b[2Jgone \x80", final="503 no")))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert str(receipt.outcomes[0].reply).isprintable()
    assert "\x1b" not in str(provider.transcript)


async def test_c5_a_late_reply_meets_a_closed_connection() -> None:
    late = conversation(opened("8BITMIME"), Expect("MAIL"), Delay(301), lines("250 late"))
    provider = with_provider(late)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DEFERRED
    assert isinstance(receipt.outcomes[0].error, TimedOut)
    await provider.transport.close()
    assert provider.streams[0].closed


# C6: the error dance of XOAUTH2 ------------------------------------------------------------------

DENIED = json.dumps({"status": "401", "schemes": "bearer", "scope": "https://mail.example.org/"}).encode()


@pytest.mark.parametrize(
    "challenge",
    [DENIED, b'{"status":"401","x":"' + b"y" * 30_000 + b'"}', b"not json", b'{"status":'],
    ids=["Google", "long", "not JSON", "half JSON"],
)
@pytest.mark.parametrize(("mechanism", "owed"), [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")])
async def test_c6_a_challenge_is_answered_and_the_token_renewed_once(
    challenge: bytes, mechanism: str, owed: str
) -> None:
    refusal = conversation(
        [StartTls(), HELLO],
        ehlo(*ALL, auth=mechanism),
        [Expect(f"AUTH {mechanism} "), lines("334 " + b64encode(challenge).decode())],
        [Expect(owed), lines("535-5.7.8 Username and Password not accepted", "535 5.7.8 gsmtp")],
    )
    provider = with_provider(refusal, refusal)
    with pytest.raises(CredentialRefused) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert provider.authentications() == 2
    assert [secret.reveal() for secret in provider.tokens.invalidated] == [CANARY]
    assert all(stream.finished and stream.closed for stream in provider.streams)
    for shown in (
        str(caught.value),
        repr(caught.value.__dict__),
        str(provider.transcript),
        repr(provider.events),
    ):
        assert CANARY not in shown
        assert RENEWED not in shown


async def test_c6_a_challenge_of_a_megabyte() -> None:
    huge = lines("334 " + b64encode(b"x" * 1_000_000).decode())
    provider = with_provider(conversation(StartTls(), HELLO, ehlo(), Expect("AUTH"), huge))
    with pytest.raises(RemoteProtocolError):
        await provider.deliver(envelope(), CONTENT)


async def test_c6_a_renewed_token_is_taken() -> None:
    refused = conversation(StartTls(), HELLO, ehlo(*ALL), refused_login())
    provider = with_provider(refused, conversation(opened(), one_flight()))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.delivered
    assert provider.authentications() == 2
    assert provider.noticed.count("TokenRefused") == 1
    assert any(isinstance(event, TokenRefused) for event in provider.events)


async def test_c6_the_same_token_again_is_not_tried_again() -> None:
    refused = conversation(StartTls(), HELLO, ehlo(*ALL), refused_login())
    provider = with_provider(refused, tokens=Tokens(CANARY))
    with pytest.raises(CredentialRefused):
        await provider.deliver(envelope(), CONTENT)
    assert provider.authentications() == 1


async def test_c6_a_token_that_cannot_be_had_is_told_as_it_is() -> None:
    provider = with_provider(
        conversation(StartTls(), HELLO, ehlo(*ALL)), tokens=Tokens(error=TokenUnavailable("503"))
    )
    with pytest.raises(TokenUnavailable):
        await provider.deliver(envelope(), CONTENT)
    assert provider.streams[0].closed


# C7: around the end of the content ---------------------------------------------------------------

SENT = [
    Expect("MAIL"),
    Expect("RCPT"),
    Expect("BDAT"),
    *(Expect(part) for part in MESSAGE.decode().split("\r\n")[:-1]),
]


@pytest.mark.parametrize(
    ("behind", "state"),
    [
        pytest.param([lines("250 ok", "250 ok"), Close()], State.UNKNOWN, id="closed before the reply"),
        pytest.param([Close()], State.UNKNOWN, id="closed before any reply"),
        pytest.param(
            [lines("250 ok", "250 ok"), Delay(540), lines("250 ok")], State.DELIVERED, id="after 9 minutes"
        ),
        pytest.param(
            [lines("250 ok", "250 ok"), Delay(601), lines("250 ok")], State.UNKNOWN, id="after 10 minutes"
        ),
        pytest.param([lines("250 ok", "250 ok")], State.UNKNOWN, id="never"),
        pytest.param([lines("250 ok", "250 ok", "250 ok"), Close()], State.DELIVERED, id="250, then closed"),
        pytest.param(
            [lines("250 ok", "250 ok"), *(Send(b"250 ok\r\n"[i : i + 1]) for i in range(8))],
            State.DELIVERED,
            id="byte by byte",
        ),
        pytest.param(
            [lines("250 ok", "250 ok", "451 later"), Close()], State.DEFERRED, id="4xx, then closed"
        ),
        pytest.param(
            [lines("250 ok", "250 ok", "554 5.6.0 no"), Close()], State.FAILED, id="5xx, then closed"
        ),
        pytest.param([lines("250 ok", "250 ok", "354 go"), Close()], State.UNKNOWN, id="354 for the content"),
        pytest.param([lines("250 ok", "250 ok", "nonsense"), Close()], State.UNKNOWN, id="nonsense"),
        pytest.param([lines("250 ok", "421 4.4.2 bye"), Close()], State.DEFERRED, id="421 to RCPT"),
        pytest.param([lines("550 5.7.1 no"), Close()], State.FAILED, id="MAIL refused, then closed"),
        pytest.param(
            [lines("250 ok", "550 5.1.1 who?"), Close()], State.FAILED, id="RCPT refused, then closed"
        ),
    ],
)
async def test_c7_the_outcome_after_the_content_was_sent(behind: list[Step], state: State) -> None:
    provider = with_provider(conversation(opened(), SENT, behind))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert [outcome.state for outcome in receipt.outcomes] == [state]
    assert len(provider.dialled) == 1  # what may have arrived is never sent again


async def test_c7_one_recipient_of_three_is_refused() -> None:
    provider = with_provider(conversation(opened(), one_flight("250 ok", "550 5.1.1 who?", "250 ok")))
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net", "c@example.net"), CONTENT)
    assert [outcome.state for outcome in receipt.outcomes] == [State.DELIVERED, State.FAILED, State.DELIVERED]
    assert provider.tap.sent.count(b"MAIL FROM") == 1


async def test_c7_the_refused_one_is_refused_though_the_rest_is_unknown() -> None:
    script = conversation(opened(), SENT[:2], SENT[1:], lines("250 ok", "250 ok", "550 5.1.1 who?"), Close())
    provider = with_provider(script)
    receipt = await provider.deliver(envelope("a@example.net", "b@example.net"), CONTENT)
    assert [outcome.state for outcome in receipt.outcomes] == [State.UNKNOWN, State.FAILED]


async def test_c7_250_to_data_is_no_354() -> None:
    provider = with_provider(
        conversation(
            opened("PIPELINING"),
            Expect("MAIL"),
            Expect("RCPT"),
            Expect("DATA"),
            lines("250 ok", "250 ok", "250 ok"),
        )
    )
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DEFERRED
    assert isinstance(receipt.outcomes[0].error, RemoteProtocolError)
    assert MESSAGE not in provider.tap.sent


async def test_c7_closed_while_the_content_of_data_leaves() -> None:
    script = conversation(
        opened("PIPELINING"),
        Expect("MAIL"),
        Expect("RCPT"),
        Expect("DATA"),
        lines("250 ok", "250 ok", "354 go"),
        ExpectContent(),
        Close(),
    )
    provider = with_provider(script)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.UNKNOWN


async def test_c7_a_last_word_is_read_though_the_peer_has_closed() -> None:
    """We find out by writing; the reason lies in front of it."""
    script = conversation(
        opened("PIPELINING"),
        Expect("MAIL"),
        Expect("RCPT"),
        Expect("DATA"),
        lines("250 ok", "250 ok", "354 go"),
        lines("421 4.3.0 disk full"),
        Close(),
    )
    provider = with_provider(script)
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DEFERRED
    assert receipt.outcomes[0].reply is not None
    assert receipt.outcomes[0].reply.code == 421


# C8: our AUTH line comes back ----------------------------------------------------------------------


@pytest.mark.parametrize("cut", [slice(None), slice(0, 60), slice(20, 90)])
async def test_c8_an_echo_of_the_credential_is_masked(cut: slice) -> None:
    initial = f"user=alerts@example.org\x01auth=Bearer {CANARY}\x01\x01".encode()
    echoes = [b64encode(initial).decode()[cut], f"Bearer {CANARY}"[cut]]
    refusals = [
        conversation(StartTls(), HELLO, ehlo(), refused_login(f"535 5.7.8 bad command: {echo} [id42]"))
        for echo in echoes
    ]
    provider = with_provider(*refusals, tokens=Tokens(CANARY, CANARY.replace("token", "other")))
    with pytest.raises(CredentialRefused) as caught:
        await provider.deliver(envelope(), CONTENT)
    shown = f"{caught.value}{caught.value.__dict__}{provider.events}{provider.transcript}"
    assert "id42" in shown  # what support asks for stays
    for length in range(0, len(CANARY) - 16, 8):
        assert CANARY[length : length + 16] not in shown
    assert b64encode(initial).decode()[40:60] not in shown


async def test_c8_nor_is_it_shown_when_it_comes_back_as_no_reply_at_all() -> None:
    initial = b64encode(f"user=alerts@example.org\x01auth=Bearer {CANARY}\x01\x01".encode()).decode()
    for echo in (initial, f"Bearer {CANARY}"):
        provider = with_provider(conversation(StartTls(), HELLO, ehlo(), refused_login(f"AUTH {echo[:60]}")))
        with pytest.raises(RemoteProtocolError, match="what is no SMTP reply") as caught:
            await provider.deliver(envelope(), CONTENT)
        assert caught.value.message.startswith("mail.example.org:465: The server sent")
        assert "***" in caught.value.message
        assert echo[40:56] not in f"{caught.value}{provider.events}{provider.transcript}"


# C9: rate replies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "421 4.4.2 rate",
        "450 4.7.0 slow down",
        "451 4.3.0 later",
        "454 4.7.0 later",
        "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
    ],
)
@pytest.mark.parametrize("place", ["mail", "rcpt", "final"])
async def test_c9_a_rate_reply_defers_and_is_not_asked_for_twice(reply: str, place: str) -> None:
    replies = {"mail": reply, "final": reply if place == "final" else "503 no"}
    script = one_flight(
        reply if place == "rcpt" else "250 ok",
        mail=replies["mail"] if place == "mail" else "250 ok",
        final=replies["final"],
    )
    provider = with_provider(conversation(opened(), script))
    receipt = await provider.deliver(envelope(), CONTENT)
    assert receipt.outcomes[0].state is State.DEFERRED
    assert provider.tap.sent.count(b"MAIL FROM") == 1


async def test_c9_a_temporary_refusal_of_auth_costs_no_token() -> None:
    provider = with_provider(
        conversation(StartTls(), HELLO, ehlo(), refused_login("454 4.7.0 Temporary failure"))
    )
    with pytest.raises(ServerRefused) as caught:
        await provider.deliver(envelope(), CONTENT)
    assert provider.tokens.invalidated == []
    assert judge(caught.value).state is State.DEFERRED
