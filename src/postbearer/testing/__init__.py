"""Public kit for tests: a manual clock, a scripted stream, and a whole OAuth mail provider on loopback."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.testing.clock import ManualClock as ManualClock
    from postbearer.testing.faults import Faults as Faults
    from postbearer.testing.faults import SmtpFault as SmtpFault
    from postbearer.testing.faults import TokenFault as TokenFault
    from postbearer.testing.inbox import Received as Received
    from postbearer.testing.sandbox import BackgroundSandbox as BackgroundSandbox
    from postbearer.testing.sandbox import Sandbox as Sandbox

_EXPORTS = {
    "clock": ["ManualClock"],
    "faults": ["Faults", "SmtpFault", "TokenFault"],
    "inbox": ["Received"],
    "sandbox": ["BackgroundSandbox", "Sandbox"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
