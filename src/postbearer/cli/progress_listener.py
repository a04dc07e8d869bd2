"""What a command shows of what the engine tells."""

from __future__ import annotations

import sys

from postbearer.cli.output import printable, warn
from postbearer.events import Event, Warned
from postbearer.log import sentence


class ProgressListener:
    """An observer that shows warnings, and with ``-v`` every step, on standard error."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def notice(self, event: Event) -> None:
        """Show `event`, if it is worth it."""
        if isinstance(event, Warned):
            warn(event.text)
        elif self._verbose:
            print(printable(sentence(event)), file=sys.stderr)
