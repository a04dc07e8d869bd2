"""Send mail through servers that accept OAuth 2.0 and nothing else.

::

    from postbearer import Account, ClientCredentials, Mailer

    account = Account.microsoft("alerts@example.org", tenant="example.org",
                                grant=ClientCredentials("client-id", "env:ALERTS_SECRET"))
    with Mailer(account) as mailer:
        mailer.send(to="you@example.org", subject="Hello", text="It works.")
"""

from postbearer._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer._version import __version__ as __version__
    from postbearer.account import Account as Account
    from postbearer.blocking import Mailer as Mailer
    from postbearer.envelope import Envelope as Envelope
    from postbearer.envelope import Recipient as Recipient
    from postbearer.errors import BudgetSpent as BudgetSpent
    from postbearer.errors import ConfigError as ConfigError
    from postbearer.errors import ConnectFailed as ConnectFailed
    from postbearer.errors import CredentialError as CredentialError
    from postbearer.errors import CredentialRefused as CredentialRefused
    from postbearer.errors import Disconnected as Disconnected
    from postbearer.errors import GrantRefused as GrantRefused
    from postbearer.errors import LocalProtocolError as LocalProtocolError
    from postbearer.errors import MechanismMissing as MechanismMissing
    from postbearer.errors import NetworkError as NetworkError
    from postbearer.errors import OutcomeUnknown as OutcomeUnknown
    from postbearer.errors import PostbearerError as PostbearerError
    from postbearer.errors import ProtocolError as ProtocolError
    from postbearer.errors import Rejected as Rejected
    from postbearer.errors import RelayNotRunning as RelayNotRunning
    from postbearer.errors import RemoteProtocolError as RemoteProtocolError
    from postbearer.errors import SecretError as SecretError
    from postbearer.errors import SecretUnavailable as SecretUnavailable
    from postbearer.errors import SenderNotAllowed as SenderNotAllowed
    from postbearer.errors import ServerRefused as ServerRefused
    from postbearer.errors import StoreError as StoreError
    from postbearer.errors import SubmissionRefused as SubmissionRefused
    from postbearer.errors import TimedOut as TimedOut
    from postbearer.errors import TlsFailed as TlsFailed
    from postbearer.errors import TokenUnavailable as TokenUnavailable
    from postbearer.errors import UsageError as UsageError
    from postbearer.mailer import AsyncMailer as AsyncMailer
    from postbearer.oauth import CachedSource as CachedSource
    from postbearer.oauth import ClientCredentials as ClientCredentials
    from postbearer.oauth import ClientKey as ClientKey
    from postbearer.oauth import CommandToken as CommandToken
    from postbearer.oauth import JwtBearer as JwtBearer
    from postbearer.oauth import ManagedIdentity as ManagedIdentity
    from postbearer.oauth import Password as Password
    from postbearer.oauth import RefreshToken as RefreshToken
    from postbearer.oauth import StaticToken as StaticToken
    from postbearer.oauth import Token as Token
    from postbearer.oauth import TokenSource as TokenSource
    from postbearer.oauth import WorkloadIdentity as WorkloadIdentity
    from postbearer.outcome import Outcome as Outcome
    from postbearer.outcome import Receipt as Receipt
    from postbearer.outcome import State as State
    from postbearer.reply import Reply as Reply
    from postbearer.secret import Secret as Secret
    from postbearer.sending import Retry as Retry
    from postbearer.sending import SendResult as SendResult
    from postbearer.sending import submit as submit
    from postbearer.settings import Limits as Limits
    from postbearer.state import StateFolder as StateFolder
    from postbearer.tokens import token_source as token_source

_EXPORTS = {
    "_version": ["__version__"],
    "account": ["Account"],
    "blocking": ["Mailer"],
    "envelope": ["Envelope", "Recipient"],
    "errors": [
        "BudgetSpent",
        "ConfigError",
        "ConnectFailed",
        "CredentialError",
        "CredentialRefused",
        "Disconnected",
        "GrantRefused",
        "LocalProtocolError",
        "MechanismMissing",
        "NetworkError",
        "OutcomeUnknown",
        "PostbearerError",
        "ProtocolError",
        "Rejected",
        "RelayNotRunning",
        "RemoteProtocolError",
        "SecretError",
        "SecretUnavailable",
        "SenderNotAllowed",
        "ServerRefused",
        "StoreError",
        "SubmissionRefused",
        "TimedOut",
        "TlsFailed",
        "TokenUnavailable",
        "UsageError",
    ],
    "mailer": ["AsyncMailer"],
    "oauth": [
        "CachedSource",
        "ClientCredentials",
        "ClientKey",
        "CommandToken",
        "JwtBearer",
        "ManagedIdentity",
        "Password",
        "RefreshToken",
        "StaticToken",
        "Token",
        "TokenSource",
        "WorkloadIdentity",
    ],
    "outcome": ["Outcome", "Receipt", "State"],
    "reply": ["Reply"],
    "secret": ["Secret"],
    "sending": ["Retry", "SendResult", "submit"],
    "settings": ["Limits"],
    "state": ["StateFolder"],
    "tokens": ["token_source"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
