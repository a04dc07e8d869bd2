"""What a reply or an error means: how far it reaches, what to do, and who can cure it. Pure."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.verdict.judging import advise as advise
    from postbearer.verdict.judging import judge as judge
    from postbearer.verdict.judging import judged as judged
    from postbearer.verdict.log_line import explain as explain
    from postbearer.verdict.queue_id import provider_queue_id as provider_queue_id
    from postbearer.verdict.token import judge_token_error as judge_token_error
    from postbearer.verdict.verdict import Verdict as Verdict
    from postbearer.verdict.verdict import by_rule as by_rule

_EXPORTS = {
    "judging": ["advise", "judge", "judged"],
    "log_line": ["explain"],
    "queue_id": ["provider_queue_id"],
    "token": ["judge_token_error"],
    "verdict": ["Verdict", "by_rule"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
