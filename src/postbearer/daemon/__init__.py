"""The relay process: what the configuration says, put together, run, reloaded and stopped."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.daemon.checks import examination as examination
    from postbearer.daemon.checks import relay_findings as relay_findings
    from postbearer.daemon.embedded_process import embedded as embedded
    from postbearer.daemon.plan import RelayPlan as RelayPlan
    from postbearer.daemon.plan import spool_url as spool_url
    from postbearer.daemon.process import run as run
    from postbearer.daemon.relay import Relay as Relay
    from postbearer.daemon.service_manager import ServiceManager as ServiceManager
    from postbearer.daemon.workers import Worker as Worker
    from postbearer.daemon.workers import run_workers as run_workers

_EXPORTS = {
    "checks": ["examination", "relay_findings"],
    "embedded_process": ["embedded"],
    "plan": ["RelayPlan", "spool_url"],
    "process": ["run"],
    "relay": ["Relay"],
    "service_manager": ["ServiceManager"],
    "workers": ["Worker", "run_workers"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
