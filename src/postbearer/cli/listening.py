"""What a command shows of what the engine tells."""

from __future__ import annotations

import sys

from postbearer.cli.output import printable, warn
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


class Listener:
    """An observer that shows warnings, and with ``-v`` every step, on standard error."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def notice(self, event: Event) -> None:
        """Show `event`, if it is worth it."""
        if isinstance(event, Warned):
            warn(event.text)
        elif self._verbose:
            print(printable(sentence(event)), file=sys.stderr)


def sentence(event: Event) -> str:
    """An event in words."""
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
