"""Events in words: one sentence each, for a log line or a terminal."""

from __future__ import annotations

from postbearer.observer import (
    Attempted,
    Authenticated,
    Connected,
    Event,
    ServerFailed,
    TlsStarted,
    TokenFetched,
    TokenRefused,
    Warned,
)


def sentence(event: Event) -> str:
    """An event in words, without the account's name."""
    match event:
        case TokenFetched():
            return f"token fetched by {event.grant}, good for {event.lifetime:.0f} s"
        case TokenRefused():
            return f"{event.server} refused the token: {event.reply}"
        case Connected():
            return f"connected to {event.server}"
        case TlsStarted():
            return f"{event.version} with {event.cipher}"
        case Authenticated():
            return f"AUTH {event.mechanism} {event.reply}"
        case ServerFailed():
            return f"{event.server} cannot be used: {event.error}"
        case Attempted():
            told = "; ".join(map(str, event.outcomes))
            return f"{event.server} answered in {event.seconds * 1000:.0f} ms: {told}"
        case Warned():
            return event.text
        case _:
            return type(event).__name__
