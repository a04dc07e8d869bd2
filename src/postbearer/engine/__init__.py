"""Queue work: what is taken, which account carries it, when it may go, and what is made of the answer."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.engine.account_state import AccountState as AccountState
    from postbearer.engine.aliases import Alias as Alias
    from postbearer.engine.aliases import Aliases as Aliases
    from postbearer.engine.aliases import read_aliases as read_aliases
    from postbearer.engine.aliases import read_targets as read_targets
    from postbearer.engine.attempt import AttemptSettings as AttemptSettings
    from postbearer.engine.bounce import Reporter as Reporter
    from postbearer.engine.budget import Budget as Budget
    from postbearer.engine.budget import BudgetCourse as BudgetCourse
    from postbearer.engine.budget import BudgetRemaining as BudgetRemaining
    from postbearer.engine.budget import BudgetUsed as BudgetUsed
    from postbearer.engine.budget import next_slot as next_slot
    from postbearer.engine.channel import Channel as Channel
    from postbearer.engine.dispatcher import Dispatcher as Dispatcher
    from postbearer.engine.fastpath import NoReservations as NoReservations
    from postbearer.engine.intake import LONGEST_HOLD as LONGEST_HOLD
    from postbearer.engine.intake import Intake as Intake
    from postbearer.engine.intake import IntakeSettings as IntakeSettings
    from postbearer.engine.intake import MessageIntake as MessageIntake
    from postbearer.engine.intake import Submission as Submission
    from postbearer.engine.monitored import MonitoredContent as MonitoredContent
    from postbearer.engine.queue_id import new_id as new_id
    from postbearer.engine.recipients import RecipientRules as RecipientRules
    from postbearer.engine.refusals import refuse_for as refuse_for
    from postbearer.engine.route import Route as Route
    from postbearer.engine.route import Router as Router
    from postbearer.engine.route import RouteRule as RouteRule
    from postbearer.engine.schedule import RetryPolicy as RetryPolicy
    from postbearer.engine.steady_clock import FlooredClock as FlooredClock
    from postbearer.engine.submitter import Submitter as Submitter

_EXPORTS = {
    "account_state": ["AccountState"],
    "aliases": ["Alias", "Aliases", "read_aliases", "read_targets"],
    "attempt": ["AttemptSettings"],
    "bounce": ["Reporter"],
    "budget": ["Budget", "BudgetCourse", "BudgetRemaining", "BudgetUsed", "next_slot"],
    "channel": ["Channel"],
    "dispatcher": ["Dispatcher"],
    "fastpath": ["NoReservations"],
    "intake": ["LONGEST_HOLD", "Intake", "IntakeSettings", "MessageIntake", "Submission"],
    "monitored": ["MonitoredContent"],
    "queue_id": ["new_id"],
    "recipients": ["RecipientRules"],
    "refusals": ["refuse_for"],
    "route": ["Route", "RouteRule", "Router"],
    "schedule": ["RetryPolicy"],
    "steady_clock": ["FlooredClock"],
    "submitter": ["Submitter"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
