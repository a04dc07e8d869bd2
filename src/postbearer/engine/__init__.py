"""Queue work: what is taken, which account carries it, when it may go, and what is made of the answer."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.engine.attempting import Rules as Rules
    from postbearer.engine.bounce import Reporter as Reporter
    from postbearer.engine.budget import Budget as Budget
    from postbearer.engine.budget import Left as Left
    from postbearer.engine.budget import Limits as Limits
    from postbearer.engine.budget import next_slot as next_slot
    from postbearer.engine.clients import Client as Client
    from postbearer.engine.delivery import Guarded as Guarded
    from postbearer.engine.intake import Intake as Intake
    from postbearer.engine.intake import IntakeSettings as IntakeSettings
    from postbearer.engine.intake import Intaking as Intaking
    from postbearer.engine.intake import Submission as Submission
    from postbearer.engine.outlet import Outlet as Outlet
    from postbearer.engine.pauses import BY_HAND as BY_HAND
    from postbearer.engine.places import Idle as Idle
    from postbearer.engine.queue_id import new_id as new_id
    from postbearer.engine.route import Route as Route
    from postbearer.engine.route import Router as Router
    from postbearer.engine.route import RouteRule as RouteRule
    from postbearer.engine.schedule import RetryPolicy as RetryPolicy
    from postbearer.engine.steady import FlooredClock as FlooredClock
    from postbearer.engine.terms import Road as Road
    from postbearer.engine.terms import Terms as Terms
    from postbearer.engine.worker import Worker as Worker

_EXPORTS = {
    "attempting": ["Rules"],
    "bounce": ["Reporter"],
    "budget": ["Budget", "Left", "Limits", "next_slot"],
    "clients": ["Client"],
    "delivery": ["Guarded"],
    "intake": ["Intake", "IntakeSettings", "Intaking", "Submission"],
    "outlet": ["Outlet"],
    "pauses": ["BY_HAND"],
    "places": ["Idle"],
    "queue_id": ["new_id"],
    "route": ["Route", "RouteRule", "Router"],
    "schedule": ["RetryPolicy"],
    "steady": ["FlooredClock"],
    "terms": ["Road", "Terms"],
    "worker": ["Worker"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
