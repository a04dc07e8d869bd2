"""Public kit for tests: mailers that record, and a whole OAuth mail provider on loopback."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.testing.clock import ManualClock as ManualClock
    from postbearer.testing.faults import Faults as Faults
    from postbearer.testing.faults import SmtpFault as SmtpFault
    from postbearer.testing.faults import TokenFault as TokenFault
    from postbearer.testing.inbox import Received as Received
    from postbearer.testing.recording import AsyncRecordingMailer as AsyncRecordingMailer
    from postbearer.testing.recording import Recorded as Recorded
    from postbearer.testing.recording import RecordingMailer as RecordingMailer
    from postbearer.testing.sandbox import BackgroundSandbox as BackgroundSandbox
    from postbearer.testing.sandbox import Ports as Ports
    from postbearer.testing.sandbox import Sandbox as Sandbox
    from postbearer.testing.stream import Close as Close
    from postbearer.testing.stream import Delay as Delay
    from postbearer.testing.stream import Expect as Expect
    from postbearer.testing.stream import ExpectContent as ExpectContent
    from postbearer.testing.stream import ExpectOctets as ExpectOctets
    from postbearer.testing.stream import ScriptedStream as ScriptedStream
    from postbearer.testing.stream import Send as Send
    from postbearer.testing.stream import StartTls as StartTls
    from postbearer.testing.stream import Tap as Tap
    from postbearer.testing.stream import conversation as conversation
    from postbearer.testing.stream import lines as lines

_EXPORTS = {
    "clock": ["ManualClock"],
    "faults": ["Faults", "SmtpFault", "TokenFault"],
    "inbox": ["Received"],
    "recording": ["AsyncRecordingMailer", "Recorded", "RecordingMailer"],
    "sandbox": ["BackgroundSandbox", "Ports", "Sandbox"],
    "stream": [
        "Close",
        "Delay",
        "Expect",
        "ExpectContent",
        "ExpectOctets",
        "ScriptedStream",
        "Send",
        "StartTls",
        "Tap",
        "conversation",
        "lines",
    ],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
