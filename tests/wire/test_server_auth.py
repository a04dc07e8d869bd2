"""S4, S5: hostile logins. No credential in clear text, strict base64, and a limited number of tries."""

from __future__ import annotations

from base64 import b64encode

import pytest

from postbearer.wire import AuthResponse, Offer
from wire.serving import PASSWORD, ready

TLS = Offer("mx.example.org", mechanisms=("PLAIN",), starttls=True)
BLOB = b64encode(PASSWORD).decode()


def test_s4_no_login_without_tls() -> None:
    session = ready(TLS)
    assert "AUTH" not in session.server.extensions
    assert session.say(f"AUTH PLAIN {BLOB}") == ["538 5.7.11 This mechanism needs TLS first"]
    assert session.survives


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("AUTH", "501"),
        ("AUTH PLAIN dGVzdA", "501 5.5.2"),  # padding missing
        ("AUTH PLAIN dGV zdA==", "501 5.5.2"),
        ("AUTH PLAIN  dGVzdA==", "501 5.5.2"),
        ("AUTH PLAIN dGVzdA===", "501 5.5.2"),
        ("AUTH PLAIN dGVzdA==\t", "501"),
        ("AUTH PLAIN dGVzdA== x", "501 5.5.2"),
        ("AUTH PLAIN ä", "501 5.5.2"),
        ("AUTH NTLM", "504 5.5.4"),
        ("AUTH PLAIN*", "501"),
        ("AUTH PLAIN =", "535 5.7.8"),
    ],
)
def test_s5_auth_is_parsed_strictly(line: str, reply: str) -> None:
    session = ready(TLS, tls=True)
    assert session.say(line)[0].startswith(reply)
    assert session.survives


@pytest.mark.parametrize(("size", "taken"), [(32 * 1024, True), (32 * 1024 + 1, False), (33 * 1024, False)])
@pytest.mark.parametrize("inline", [True, False])
def test_s5_blobs_up_to_32_kib(size: int, taken: bool, inline: bool) -> None:
    session = ready(TLS, tls=True)
    blob = b64encode(b"x" * size).decode()
    line = f"AUTH PLAIN {blob}" if inline else f"AUTH PLAIN\n{blob}"
    assert session.say(line)[-1].startswith("535" if taken else "500 5.5.6")
    assert session.survives


def test_s5_a_response_line_without_end() -> None:
    session = ready(TLS, tls=True)
    session.say("AUTH PLAIN")
    assert session.say(b"x" * 60_000) == ["500 5.5.6 Authentication exchange line is too long"]
    assert session.events[-1] == AuthResponse(None)
    assert session.say(b"x" * 60_000 + b"\r\n") == []
    assert session.survives


def test_s5_cancelled_by_an_asterisk() -> None:
    session = ready(TLS, tls=True)
    session.say("AUTH PLAIN")
    assert session.say("*") == ["501 5.7.0 Authentication cancelled"]
    assert session.events[-1] == AuthResponse(None)
    assert session.survives


def test_s5_a_bad_response_ends_the_exchange() -> None:
    session = ready(TLS, tls=True)
    session.say("AUTH PLAIN")
    assert session.say("not base64")[0].startswith("501 5.5.2")
    assert session.events[-1] == AuthResponse(None)
    assert session.survives


def test_s5_auth_once_and_never_in_a_transaction() -> None:
    session = ready(TLS, tls=True)
    session.say("MAIL FROM:<a@example.org>")
    assert session.say(f"AUTH PLAIN {BLOB}")[0].startswith("503")
    assert session.say(f"RSET\nAUTH PLAIN {BLOB}")[-1].startswith("235")
    assert session.say(f"AUTH PLAIN {BLOB}")[0].startswith("503")


def test_s5_six_bad_attempts() -> None:
    session = ready(TLS, tls=True)
    for _ in range(5):
        assert session.say("AUTH PLAIN dGVzdA==") == ["535 5.7.8 No"]
    assert session.say("AUTH PLAIN dGVzdA==")[0].startswith("421 4.7.0")
    assert session.closed


def test_s5_cancelling_does_not_buy_attempts() -> None:
    session = ready(TLS, tls=True)
    for _ in range(6):
        replies = session.say("AUTH PLAIN\n*")
    assert replies[-1].startswith("421")
    assert session.closed


def test_s5_too_many_commands_before_auth() -> None:
    session = ready(TLS, tls=True)
    assert session.say("\n".join(["NOOP"] * 101))[-1].startswith("421")
    assert session.closed
