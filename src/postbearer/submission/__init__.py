"""The SMTP server face: who may submit, how much, and the conversation with each of them."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.submission.access import Access as Access
    from postbearer.submission.access import Admission as Admission
    from postbearer.submission.access import networks as networks
    from postbearer.submission.limits import Bounds as Bounds
    from postbearer.submission.limits import Doors as Doors
    from postbearer.submission.limits import Pace as Pace
    from postbearer.submission.link import Link as Link
    from postbearer.submission.listener import Listener as Listener
    from postbearer.submission.listener import Place as Place
    from postbearer.submission.login import Logins as Logins
    from postbearer.submission.login import hash_password as hash_password
    from postbearer.submission.session import House as House
    from postbearer.submission.session import SmtpSession as SmtpSession

_EXPORTS = {
    "access": ["Access", "Admission", "networks"],
    "limits": ["Bounds", "Doors", "Pace"],
    "link": ["Link"],
    "listener": ["Listener", "Place"],
    "login": ["Logins", "hash_password"],
    "session": ["House", "SmtpSession"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
