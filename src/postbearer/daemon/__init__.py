"""The relay process: what the configuration says, put together, run, reloaded and stopped."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.daemon.examining import examination as examination
    from postbearer.daemon.examining import told_findings as told_findings
    from postbearer.daemon.plan import Plan as Plan
    from postbearer.daemon.plan import spool_path as spool_path
    from postbearer.daemon.process import run as run
    from postbearer.daemon.relay import Relay as Relay

_EXPORTS = {
    "examining": ["examination", "told_findings"],
    "plan": ["Plan", "spool_path"],
    "process": ["run"],
    "relay": ["Relay"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
