"""The ways in, by SMTP, by hand-over socket and by drop folder: who may submit, and how much. And control."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.submission.access import LOCAL as LOCAL
    from postbearer.submission.access import Access as Access
    from postbearer.submission.access import Admission as Admission
    from postbearer.submission.access import Network as Network
    from postbearer.submission.access import networks as networks
    from postbearer.submission.acts import ACTS as ACTS
    from postbearer.submission.acts import perform as perform
    from postbearer.submission.asking import ControlClient as ControlClient
    from postbearer.submission.control import ControlServer as ControlServer
    from postbearer.submission.drop import DropFolder as DropFolder
    from postbearer.submission.frame import Slip as Slip
    from postbearer.submission.frame import parse_line as parse_line
    from postbearer.submission.frame import parse_slip as parse_slip
    from postbearer.submission.handover import Handover as Handover
    from postbearer.submission.limits import Bounds as Bounds
    from postbearer.submission.limits import Doors as Doors
    from postbearer.submission.limits import Pace as Pace
    from postbearer.submission.limits import Porter as Porter
    from postbearer.submission.link import Link as Link
    from postbearer.submission.listener import Listener as Listener
    from postbearer.submission.listener import is_local as is_local
    from postbearer.submission.local import LocalServer as LocalServer
    from postbearer.submission.local import runtime_folder as runtime_folder
    from postbearer.submission.local import socket_places as socket_places
    from postbearer.submission.login import Logins as Logins
    from postbearer.submission.login import hash_password as hash_password
    from postbearer.submission.login import is_password_hash as is_password_hash
    from postbearer.submission.session import House as House
    from postbearer.submission.session import SmtpSession as SmtpSession

_EXPORTS = {
    "access": ["LOCAL", "Access", "Admission", "Network", "networks"],
    "acts": ["ACTS", "perform"],
    "asking": ["ControlClient"],
    "control": ["ControlServer"],
    "drop": ["DropFolder"],
    "frame": ["Slip", "parse_line", "parse_slip"],
    "handover": ["Handover"],
    "limits": ["Bounds", "Doors", "Pace", "Porter"],
    "link": ["Link"],
    "listener": ["Listener", "is_local"],
    "local": ["LocalServer", "runtime_folder", "socket_places"],
    "login": ["Logins", "hash_password", "is_password_hash"],
    "session": ["House", "SmtpSession"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
