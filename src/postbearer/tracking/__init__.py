"""What becomes of each message, as events for those who follow it from outside."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.tracking.event import EventInfo as EventInfo
    from postbearer.tracking.event import event_of as event_of
    from postbearer.tracking.feed import ChangeSource as ChangeSource
    from postbearer.tracking.feed import Feed as Feed

_EXPORTS = {
    "event": ["EventInfo", "event_of"],
    "feed": ["ChangeSource", "Feed"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
