"""The log: events as sentences or JSON, for people and for programs."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.log.capture import capture_everything as capture_everything
    from postbearer.log.destinations import KEPT as KEPT
    from postbearer.log.destinations import LARGEST as LARGEST
    from postbearer.log.destinations import LogDestination as LogDestination
    from postbearer.log.handlers import LOGGER as LOGGER
    from postbearer.log.handlers import EventLog as EventLog
    from postbearer.log.handlers import JsonFormatter as JsonFormatter
    from postbearer.log.handlers import TextFormatter as TextFormatter
    from postbearer.log.handlers import level_of as level_of
    from postbearer.log.handlers import set_up as set_up
    from postbearer.log.sentences import sentence as sentence

_EXPORTS = {
    "capture": ["capture_everything"],
    "destinations": ["KEPT", "LARGEST", "LogDestination"],
    "handlers": ["LOGGER", "EventLog", "JsonFormatter", "TextFormatter", "level_of", "set_up"],
    "sentences": ["sentence"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
