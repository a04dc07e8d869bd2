"""Those who only listen: the log, the service manager, and who is told when a person must act."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.observe.capture import capture_everything as capture_everything
    from postbearer.observe.channels import Channel as Channel
    from postbearer.observe.channels import Program as Program
    from postbearer.observe.channels import Webhook as Webhook
    from postbearer.observe.channels import signature as signature
    from postbearer.observe.letters import Letters as Letters
    from postbearer.observe.log import JsonFormatter as JsonFormatter
    from postbearer.observe.log import Log as Log
    from postbearer.observe.log import TextFormatter as TextFormatter
    from postbearer.observe.log import set_up as set_up
    from postbearer.observe.notebook import Notebook as Notebook
    from postbearer.observe.notice import Notice as Notice
    from postbearer.observe.supervisor import Supervisor as Supervisor
    from postbearer.observe.teller import Teller as Teller
    from postbearer.observe.watch import Sight as Sight
    from postbearer.observe.watch import Watch as Watch
    from postbearer.observe.watch import Wishes as Wishes
    from postbearer.observe.words import sentence as sentence

_EXPORTS = {
    "capture": ["capture_everything"],
    "channels": ["Channel", "Program", "Webhook", "signature"],
    "letters": ["Letters"],
    "log": ["JsonFormatter", "Log", "TextFormatter", "set_up"],
    "notebook": ["Notebook"],
    "notice": ["Notice"],
    "supervisor": ["Supervisor"],
    "teller": ["Teller"],
    "watch": ["Sight", "Watch", "Wishes"],
    "words": ["sentence"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
