"""What a reply or an error means: how far it reaches, what to do, and who can cure it. Pure."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.verdict.judging import advise as advise
    from postbearer.verdict.judging import judge as judge
    from postbearer.verdict.log_line import explain as explain
    from postbearer.verdict.queue_id import provider_queue_id as provider_queue_id
    from postbearer.verdict.token import judge_token_error as judge_token_error
    from postbearer.verdict.verdict import Disposition as Disposition
    from postbearer.verdict.verdict import ImmediateAction as ImmediateAction
    from postbearer.verdict.verdict import Phase as Phase
    from postbearer.verdict.verdict import Scope as Scope
    from postbearer.verdict.verdict import Verdict as Verdict
    from postbearer.verdict.verdict import Who as Who
    from postbearer.verdict.verdict import by_rule as by_rule

_EXPORTS = {
    "judging": ["advise", "judge"],
    "log_line": ["explain"],
    "queue_id": ["provider_queue_id"],
    "token": ["judge_token_error"],
    "verdict": ["Disposition", "ImmediateAction", "Phase", "Scope", "Verdict", "Who", "by_rule"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
