"""The control socket of a running relay: its server, its methods, its client, and what they do."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.control.client import ControlClient as ControlClient
    from postbearer.control.methods import METHODS as METHODS
    from postbearer.control.methods import perform as perform
    from postbearer.control.operations import Operations as Operations
    from postbearer.control.operations import Process as Process
    from postbearer.control.server import ControlServer as ControlServer

_EXPORTS = {
    "client": ["ControlClient"],
    "methods": ["METHODS", "perform"],
    "operations": ["Operations", "Process"],
    "server": ["ControlServer"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
