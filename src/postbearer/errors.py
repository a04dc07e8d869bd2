"""Every error postbearer raises, in one drawn tree.

::

    PostbearerError
    ├─ UsageError                 the caller asked for something impossible
    │  ├─ Conflict                what is there is not what the request says, or is at work already
    │  ├─ KeyReused               an idempotency key stands for another message already
    │  └─ SenderNotAllowed        the account may not send as that address
    ├─ NotPermitted               the relay of this machine does not answer this user
    ├─ ConfigError                a key, its place, what to write instead          → operator
    │  └─ ConfigErrors            several at once, each in `problems`
    ├─ ProtocolError
    │  ├─ LocalProtocolError      we would have broken SMTP                        → a defect, or bad input
    │  └─ RemoteProtocolError     the peer broke it
    ├─ NetworkError
    │  ├─ ConnectFailed           DNS, TCP, proxy
    │  ├─ TlsFailed               no TLS where it is owed, or a certificate that does not hold
    │  ├─ TimedOut                with the stage that took too long
    │  ├─ Disconnected            with the stage it happened in
    │  ├─ ServerRefused           turned away before any message; with the server's reply
    │  └─ RelayNotRunning         nobody here to hand a message to                → host operator
    ├─ CredentialError
    │  ├─ TokenUnavailable        transient: ask again later                       → nobody
    │  ├─ GrantRefused            a person must act: consent, secret, permission   → person
    │  ├─ CredentialRefused       the mail server refused a fresh token            → person
    │  ├─ MechanismMissing        the mail server offers no way to give a token    → person
    │  └─ PlugInFailed            a grant of another package has a defect          → its author
    ├─ SecretError                which reference could not be read, and why (never the value)
    │  └─ SecretUnavailable       its store did not answer: ask again later        → nobody
    ├─ Rejected                   no recipient was accepted; one outcome each
    ├─ SubmissionRefused          the relay did not take a message; with its reply
    ├─ BudgetSpent                the account may send again at `retry_at`
    └─ StoreError
       ├─ StoreFull
       ├─ AlreadyAccepted
       ├─ LeaseLost
       ├─ SchemaMismatch
       └─ OutcomeUnknown          a commit whose fate is not known

A refusal by a server is a `Reply`, a value; only `postbearer.verdict` turns one into a meaning.
Every message says what happened and where; `hint` says what to do next. Neither ever holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from postbearer.meaning import Verdict
    from postbearer.outcome import Receipt
    from postbearer.reply import Reply


class PostbearerError(Exception):
    """Base of all errors raised on purpose.

    `hint` is the next thing a person can do, in one sentence; it may be empty. `configuration` is true when
    it stays until somebody changes what is set here: a key, a secret, a permission.
    """

    configuration = False
    verdict: Verdict | None = None  # what it means, where that was judged already

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.told} {self.hint}".rstrip()

    @property
    def told(self) -> str:
        """What happened and where, without what to do next."""
        return self.message

    @property
    def name(self) -> str:
        """What this error is called in text and JSON: its class, or the nearest one in the tree above.

        Some parts of postbearer tell cases apart by classes of their own; nobody outside need know them.
        """
        return next(kind.__name__ for kind in type(self).__mro__ if kind.__module__ == __name__)

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the constructor, whose keywords `args` lacks: worker processes hand errors over pickled."""
        return _bare, (type(self), self.args), vars(self)


def _bare(kind: type[PostbearerError], args: tuple[Any, ...]) -> PostbearerError:
    return kind.__new__(kind, *args)


class UsageError(PostbearerError, ValueError):
    """The caller asked for something impossible: an address with a newline, no recipients, …

    `status` is what a report calls it, where it is about a message (RFC 3463).
    """

    def __init__(self, message: str, *, hint: str = "", status: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Conflict(UsageError):
    """What is there now is not what the request goes by, or somebody else is at work on it."""


class KeyReused(UsageError):
    """An idempotency key was used before, for something else."""


class SenderNotAllowed(UsageError):
    """The account may not send as that address."""


class NotPermitted(PostbearerError):
    """The relay answers its own user and root, and nobody else."""


class ConfigError(PostbearerError):
    """The configuration is wrong. `file`, `line` and `key` say where, as far as they are known."""

    configuration = True

    def __init__(
        self, message: str, *, key: str = "", file: str = "", line: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.file = file
        self.line = line

    @property
    def told(self) -> str:
        where = self.file + (f":{self.line}" if self.line else "")
        return ": ".join([part for part in (where, self.key, self.message) if part])

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        """Everything that is wrong; more than one only for `ConfigErrors`."""
        return (self,)


class ConfigErrors(ConfigError):
    """Several things are wrong with the configuration; `problems` holds one `ConfigError` for each."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        super().__init__(f"The configuration has {len(problems)} problems.", file=problems[0].file)
        self._problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self._problems)

    @property
    def told(self) -> str:
        return "\n".join(problem.told for problem in self._problems)

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        return self._problems


class ProtocolError(PostbearerError):
    """The SMTP conversation cannot go on."""


class LocalProtocolError(ProtocolError):
    """We would have broken SMTP: a command out of turn, a bare CR or LF, an unsafe argument.

    `stage` is ``mail`` where the message asked for it, and not the account or a defect.
    """

    stage = ""


class RemoteProtocolError(ProtocolError):
    """The peer broke SMTP: an unreadable reply, a reply to nothing, bytes in front of TLS.

    `said` is the beginning of the line that is no reply, if there is one.
    """

    said = ""


class NetworkError(PostbearerError):
    """The way to the peer failed. `host` names the peer as configured (``host:port``)."""

    def __init__(self, message: str, *, host: str = "", stage: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.host = host
        self.stage = stage


class ConnectFailed(NetworkError):
    """DNS, TCP or a proxy did not let us through."""


class TlsFailed(NetworkError):
    """TLS is owed and was not offered, did not start, or the certificate does not hold for the host.

    `configuration` is true where trying again does not help: the certificate, or how TLS is meant to begin.
    `plain` is true where the peer answered the handshake with something that is not TLS.
    """

    plain = False

    def __init__(
        self, message: str, *, host: str = "", stage: str = "", hint: str = "", configuration: bool = False
    ) -> None:
        super().__init__(message, host=host, stage=stage, hint=hint)
        self.configuration = configuration


class TimedOut(NetworkError):
    """Nothing came in time; `stage` says what was awaited, and RFC 5321 4.5.3.2 how long."""


class Disconnected(NetworkError):
    """The peer closed the connection; `stage` says what was awaited."""


class ServerRefused(NetworkError):
    """The server turned us away before any message: at the greeting, EHLO, or for now at AUTH."""

    def __init__(
        self, message: str, *, host: str = "", stage: str = "", reply: Reply | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, host=host, stage=stage, hint=hint)
        self.reply = reply


class RelayNotRunning(NetworkError):
    """No relay of this machine could be reached, so nobody has the message."""


class CredentialError(PostbearerError):
    """Something about proving who we are. `account` names whose; `code` is the server's own word for it."""

    def __init__(self, message: str, *, account: str = "", code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.account = account
        self.code = code


class TokenUnavailable(CredentialError):
    """No token now, perhaps later: network, 5xx, 429. `retry_after` is in seconds, if the server said so."""

    def __init__(
        self,
        message: str,
        *,
        account: str = "",
        code: str = "",
        hint: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, account=account, code=code, hint=hint)
        self.retry_after = retry_after


class GrantRefused(CredentialError):
    """The authorization server refused for good; a person must act.

    `who` is who can cure it (``mailbox user``, ``tenant admin``, ``app owner``, ``host operator``);
    `configuration` is true when what was asked is wrong rather than withdrawn.
    """

    def __init__(
        self,
        message: str,
        *,
        account: str = "",
        code: str = "",
        hint: str = "",
        who: str = "",
        configuration: bool = False,
    ) -> None:
        super().__init__(message, account=account, code=code, hint=hint)
        self.who = who
        self.configuration = configuration


class CredentialRefused(CredentialError):
    """The mail server refused the credential, also after one renewal. `reply` is its last word.

    `meant` is what the reply stands for, where whoever was there knows better than its code says; `remedy`
    is what to do, where that is known better than to the catalogue.
    """

    meant: Reply | None = None
    remedy = ""

    def __init__(
        self, message: str, *, account: str = "", reply: Reply | None = None, code: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, account=account, code=code, hint=hint)
        self.reply = reply


class MechanismMissing(CredentialError):
    """The mail server offers no mechanism this credential can use. `offered` is what it does offer."""

    def __init__(
        self, message: str, *, account: str = "", offered: tuple[str, ...] = (), hint: str = ""
    ) -> None:
        super().__init__(message, account=account, hint=hint)
        self.offered = offered


class PlugInFailed(CredentialError):
    """A grant of another package has a defect: an error that it does not know itself, or no token."""


class SecretError(PostbearerError):
    """A secret reference could not be read. `reference` names it; the value is never shown."""

    configuration = True

    def __init__(self, message: str, *, reference: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reference = reference

    @property
    def told(self) -> str:
        scheme, _, rest = self.reference.partition(":")
        known = (rest or scheme) in self.message
        return self.message if known else f"{self.reference}: {self.message}"


class SecretUnavailable(SecretError):
    """The store of a secret gave no answer now; later it may. `retry_after` is in seconds, if it said so."""

    configuration = False

    def __init__(
        self, message: str, *, reference: str = "", hint: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, reference=reference, hint=hint)
        self.retry_after = retry_after


class Rejected(PostbearerError):
    """No recipient was accepted. `receipt` holds one outcome for each."""

    def __init__(self, message: str, *, receipt: Receipt, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.receipt = receipt


class SubmissionRefused(PostbearerError):
    """The relay did not take the message, and said so in `reply`. Where that is 4xx, later it may."""

    def __init__(self, message: str, *, reply: Reply | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reply = reply


class BudgetSpent(PostbearerError):
    """The account has sent all it may for now; the next slot is at `retry_at` (wall clock, Unix seconds)."""

    def __init__(self, message: str, *, account: str = "", retry_at: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.account = account
        self.retry_at = retry_at


class StoreError(PostbearerError):
    """Durable state could not be read or written.

    `configuration` is true when only a person can put it right: the local key is lost, a folder may not be
    written.
    """

    def __init__(self, message: str, *, hint: str = "", configuration: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.configuration = configuration


class StoreFull(StoreError):
    """No room on the disk."""


class AlreadyAccepted(StoreError):
    """This was accepted before, under the same idempotency key; `id` is the message that was made of it."""

    def __init__(self, message: str, *, id: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.id = id


class LeaseLost(StoreError):
    """Another worker owns this delivery now."""


class SchemaMismatch(StoreError):
    """The data was written by another version."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, configuration=True)


class OutcomeUnknown(StoreError):
    """A commit failed, or went unanswered, in a way that leaves its fate open; never simply repeat it.

    Under `key`, if there is one, a message may be submitted again.
    """

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.key = key


def is_configuration(error: BaseException) -> bool:
    """Whether `error` stays until somebody changes what is set here, also where that kept a token away."""
    if isinstance(error, TokenUnavailable) and isinstance(error.__cause__, NetworkError):
        return error.__cause__.configuration
    return isinstance(error, PostbearerError) and error.configuration
