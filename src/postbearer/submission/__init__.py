"""The ways in, by SMTP, by hand-over socket and by drop folder: who may submit, and how much. And control."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.submission.access import API_CLIENT as API_CLIENT
    from postbearer.submission.access import LOCAL as LOCAL
    from postbearer.submission.access import Access as Access
    from postbearer.submission.access import Admission as Admission
    from postbearer.submission.access import Network as Network
    from postbearer.submission.access import is_loopback as is_loopback
    from postbearer.submission.access import neighbourhood as neighbourhood
    from postbearer.submission.access import networks as networks
    from postbearer.submission.drop import DropFolder as DropFolder
    from postbearer.submission.enqueue import take as take
    from postbearer.submission.handed_over import unanswered as unanswered
    from postbearer.submission.listener import INHERITED as INHERITED
    from postbearer.submission.listener import Listener as Listener
    from postbearer.submission.listener import address_of as address_of
    from postbearer.submission.listener import host_port as host_port
    from postbearer.submission.listener import is_local as is_local
    from postbearer.submission.listener import listening_sockets as listening_sockets
    from postbearer.submission.local_submission import LocalSubmission as LocalSubmission
    from postbearer.submission.login import Logins as Logins
    from postbearer.submission.login import hash_password as hash_password
    from postbearer.submission.login import is_password_hash as is_password_hash
    from postbearer.submission.outbox import OutboxCollector as OutboxCollector
    from postbearer.submission.rate_limit import ConnectionLimit as ConnectionLimit
    from postbearer.submission.rate_limit import RateLimit as RateLimit
    from postbearer.submission.rate_limit import RejectLog as RejectLog
    from postbearer.submission.rate_limit import SessionLimits as SessionLimits
    from postbearer.submission.rate_limit import Window as Window
    from postbearer.submission.session import ListenerContext as ListenerContext
    from postbearer.submission.session import SmtpSession as SmtpSession
    from postbearer.submission.submit_protocol import SubmitRequest as SubmitRequest
    from postbearer.submission.submit_protocol import parse_line as parse_line
    from postbearer.submission.submit_protocol import parse_slip as parse_slip

_EXPORTS = {
    "access": [
        "LOCAL",
        "API_CLIENT",
        "Access",
        "Admission",
        "Network",
        "is_loopback",
        "neighbourhood",
        "networks",
    ],
    "drop": ["DropFolder"],
    "enqueue": ["take"],
    "handed_over": ["unanswered"],
    "listener": ["INHERITED", "Listener", "address_of", "host_port", "is_local", "listening_sockets"],
    "local_submission": ["LocalSubmission"],
    "login": ["Logins", "hash_password", "is_password_hash"],
    "outbox": ["OutboxCollector"],
    "rate_limit": ["ConnectionLimit", "RateLimit", "RejectLog", "SessionLimits", "Window"],
    "session": ["ListenerContext", "SmtpSession"],
    "submit_protocol": ["SubmitRequest", "parse_line", "parse_slip"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
