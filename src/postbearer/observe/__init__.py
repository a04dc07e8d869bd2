"""Those who only listen: the log, and the service manager."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.observe.log import JsonFormatter as JsonFormatter
    from postbearer.observe.log import Log as Log
    from postbearer.observe.log import TextFormatter as TextFormatter
    from postbearer.observe.log import set_up as set_up
    from postbearer.observe.supervisor import Supervisor as Supervisor
    from postbearer.observe.words import sentence as sentence

_EXPORTS = {
    "log": ["JsonFormatter", "Log", "TextFormatter", "set_up"],
    "supervisor": ["Supervisor"],
    "words": ["sentence"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
