"""How a message reaches the next hop: verified connections, few of them, and one outcome per recipient."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.transport.authentication import LoginRefused as LoginRefused
    from postbearer.transport.authentication import RetryAuthentication as RetryAuthentication
    from postbearer.transport.authentication import dialogue as dialogue
    from postbearer.transport.authentication import fits as fits
    from postbearer.transport.authentication import refusal as refusal
    from postbearer.transport.capture import Capture as Capture
    from postbearer.transport.capture import Transcript as Transcript
    from postbearer.transport.capture import scrubbed as scrubbed
    from postbearer.transport.conversation import Conversation as Conversation
    from postbearer.transport.login import Login as Login
    from postbearer.transport.login import Source as Source
    from postbearer.transport.opening import Dial as Dial
    from postbearer.transport.opening import Opener as Opener
    from postbearer.transport.opening import dial as dial
    from postbearer.transport.outcomes import dealt_with as dealt_with
    from postbearer.transport.pool import CONNECTIONS as CONNECTIONS
    from postbearer.transport.pool import PoolLimits as PoolLimits
    from postbearer.transport.proxy import Proxy as Proxy
    from postbearer.transport.recorded import OpenRecording as OpenRecording
    from postbearer.transport.recorded import recording as recording
    from postbearer.transport.server_address import ServerAddress as ServerAddress
    from postbearer.transport.session import ClientSession as ClientSession
    from postbearer.transport.session import Transmission as Transmission
    from postbearer.transport.settings import TransportSettings as TransportSettings
    from postbearer.transport.smarthost import Smarthost as Smarthost
    from postbearer.transport.smarthost import default_ehlo_name as default_ehlo_name
    from postbearer.transport.smtp import SmtpTransport as SmtpTransport
    from postbearer.transport.stream import Stream as Stream
    from postbearer.transport.stream import TlsInfo as TlsInfo
    from postbearer.transport.stream import connect as connect
    from postbearer.transport.timeouts import Deadline as Deadline
    from postbearer.transport.timeouts import Timeouts as Timeouts
    from postbearer.transport.tls import Certificate as Certificate
    from postbearer.transport.tls import ClientCertificate as ClientCertificate
    from postbearer.transport.tls import tls_context as tls_context
    from postbearer.transport.transport import Transport as Transport

_EXPORTS = {
    "authentication": ["LoginRefused", "RetryAuthentication", "dialogue", "fits", "refusal"],
    "capture": ["Capture", "Transcript", "scrubbed"],
    "conversation": ["Conversation"],
    "login": ["Login", "Source"],
    "opening": ["Dial", "Opener", "dial"],
    "outcomes": ["dealt_with"],
    "pool": ["CONNECTIONS", "PoolLimits"],
    "proxy": ["Proxy"],
    "recorded": ["OpenRecording", "recording"],
    "server_address": ["ServerAddress"],
    "session": ["ClientSession", "Transmission"],
    "settings": ["TransportSettings"],
    "smarthost": ["Smarthost", "default_ehlo_name"],
    "smtp": ["SmtpTransport"],
    "stream": ["Stream", "TlsInfo", "connect"],
    "timeouts": ["Deadline", "Timeouts"],
    "tls": ["Certificate", "ClientCertificate", "tls_context"],
    "transport": ["Transport"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
