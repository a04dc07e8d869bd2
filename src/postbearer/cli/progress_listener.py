"""What a command shows of what the engine tells."""

from __future__ import annotations

import sys

from postbearer.cli.output import printable, warn
from postbearer.cli.progress import Progress
from postbearer.events import (
    Authenticated,
    Connected,
    Event,
    ServerFailed,
    Throttled,
    TlsStarted,
    TokenRefused,
    Warned,
)


class ProgressListener:
    """An observer that shows warnings, and with ``-v`` every step, on standard error.

    `progress` is told what comes next, and so what is waited for.
    """

    def __init__(self, *, verbose: bool, progress: Progress | None = None) -> None:
        self._verbose = verbose
        self._progress = progress

    def hears(self, kind: type[Event]) -> bool:
        return not kind.for_counting

    def notice(self, event: Event) -> None:
        """Show `event`, if it is worth it."""
        if isinstance(event, Warned):
            warn(event.text)
        elif self._verbose:
            from postbearer.log import sentence  # loads what only a relay tells, too

            print(printable(sentence(event)), file=sys.stderr)
        if self._progress is not None and (awaited := _awaited(event)):
            self._progress.wait_for(printable(awaited))


def _awaited(event: Event) -> str:
    """What is waited for behind `event`; empty where that stays what it was."""
    match event:
        case Throttled():
            return f"room in the limits of the account {event.account}, in {event.seconds:.0f} s"
        case Connected():
            return f"{event.server} to greet"
        case TlsStarted():
            return f"the login at {event.server}"
        case Authenticated():
            return f"{event.server} to take the message"
        case TokenRefused():
            return f"another token, for {event.server}"
        case ServerFailed():
            return "the next server"
        case _:
            return ""
