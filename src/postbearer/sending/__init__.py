"""What a mailer is told beside a message: its parts, when to try again, many at once."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.sending.handing_over import TIMEOUT as TIMEOUT
    from postbearer.sending.handing_over import SendAt as SendAt
    from postbearer.sending.handing_over import TagValues as TagValues
    from postbearer.sending.handing_over import ToSubmit as ToSubmit
    from postbearer.sending.handing_over import dated as dated
    from postbearer.sending.handing_over import moment_of as moment_of
    from postbearer.sending.handing_over import submit as submit
    from postbearer.sending.loop import LoopThread as LoopThread
    from postbearer.sending.loop import result_of as result_of
    from postbearer.sending.many import Many as Many
    from postbearer.sending.many import OnProgress as OnProgress
    from postbearer.sending.many import SendResult as SendResult
    from postbearer.sending.many import ToSend as ToSend
    from postbearer.sending.many import parallel as parallel
    from postbearer.sending.many import side_by_side as side_by_side
    from postbearer.sending.parts import Parts as Parts
    from postbearer.sending.parts import draft_of as draft_of
    from postbearer.sending.parts import refuse_empty as refuse_empty
    from postbearer.sending.retry import Retry as Retry
    from postbearer.sending.retry import Tries as Tries
    from postbearer.sending.retry import seconds as seconds
    from postbearer.sending.sendable import Sendable as Sendable
    from postbearer.sending.sendable import enveloped as enveloped
    from postbearer.sending.sendable import given as given
    from postbearer.sending.sendable import refuse_bare_line_ends as refuse_bare_line_ends

_EXPORTS = {
    "sendable": ["Sendable", "enveloped", "given", "refuse_bare_line_ends"],
    "loop": ["LoopThread", "result_of"],
    "many": ["Many", "OnProgress", "SendResult", "ToSend", "parallel", "side_by_side"],
    "parts": ["Parts", "draft_of", "refuse_empty"],
    "retry": ["Retry", "Tries", "seconds"],
    "handing_over": ["TIMEOUT", "SendAt", "TagValues", "ToSubmit", "dated", "moment_of", "submit"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
