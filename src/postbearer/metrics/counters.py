"""Events as counters and histograms. What they are called is a promise: docs/reference/metrics.md."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from postbearer import errors
from postbearer.events import (
    Accepted,
    ClientConnected,
    ClientDisconnected,
    CommandRejected,
    Committed,
    Defect,
    DeliveryEnded,
    Event,
    LoginFailed,
    PossibleDuplicate,
    TokenRequested,
    TurnedAway,
    WebhookAttempted,
)
from postbearer.metrics.codes import OTHER, code_of

MOST_CODES: Final = 8  # outcomes with a code that one account has series for; others are counted as `OTHER`
WINDOWS: Final = ("DUP-REPLY", "DUP-MARK", "DUP-LEASE")
_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)  # seconds
_SLOW: Final = (1, 5, 30, 300, 1800, 14_400, 86_400)
_PASSING: Final = (errors.TokenUnavailable, errors.NetworkError, errors.SecretUnavailable)


class EventCounters:
    """An observer that counts. Labels are names that the configuration gives, or words of closed lists."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._codes: dict[str, set[tuple[str, str]]] = {}  # by account

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"postbearer_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = _FAST) -> Histogram:
            return Histogram(f"postbearer_{name}", text, labels, registry=registry, buckets=buckets)

        self._accepted = counter("messages_accepted_total", "Messages accepted, by client.", "client")
        self._accept = histogram("accept_seconds", "From the end of a message until it is on the disk.")
        self._attempts = counter(
            "attempt_total",
            "Recipients attempted, by what became of them and the code of the server's reply.",
            *("account", "outcome", "code"),
        )
        self._delivered = histogram(
            "deliver_seconds",
            "From the acceptance of a message until the provider has taken it.",
            "account",
            buckets=_SLOW,
        )
        self._duplicates = counter(
            "duplicates_possible_total", "Deliveries whose outcome is not known, by window.", "window"
        )
        self._tokens = counter(
            "token_requests_total", "Requests for an access token, by result.", "account", "result"
        )
        self._commits = histogram("fsync_seconds", "Commits of the queue, their sync included.")
        self._failed_commits = counter("commit_failures_total", "Commits of the queue that failed.")
        self._connections = Gauge(
            "postbearer_client_connections", "Connections of clients that are open.", registry=registry
        )
        self._turned_away = counter(
            "clients_turned_away_total", "Clients not let in, told once a minute each."
        )
        self._logins = counter("client_logins_failed_total", "Clients that did not know their password.")
        self._rejected = counter(
            "commands_rejected_total", "Commands of clients that were refused.", "command", "code"
        )
        self._webhooks = counter(
            "webhook_attempts_total",
            "Calls of webhooks: taken, refused by the answer, or failed without one.",
            *("webhook", "result"),
        )
        self._defects = counter("defects_total", "Faults in postbearer itself; the log has them.")
        for window in WINDOWS:
            self._duplicates.labels(window)
        # Looking a series up takes longer than counting in it.
        self._accepted_of = cache(self._accepted.labels)
        self._attempts_of = cache(self._attempts.labels)
        self._delivered_of = cache(self._delivered.labels)

    def hears(self, kind: type[Event]) -> bool:
        return kind in _HEARD

    def notice(self, event: Event) -> None:
        match event:
            case Committed():
                self._commits.observe(event.seconds)
                if event.failed:
                    self._failed_commits.inc()
            case Accepted():
                self._accepted_of(event.client).inc()
                self._accept.observe(event.seconds)
            case DeliveryEnded():
                self._ended(event)
            case PossibleDuplicate():
                self._duplicates.labels(event.window).inc()
            case TokenRequested():
                self._tokens.labels(event.account, _result(event.error)).inc()
            case WebhookAttempted():
                result = "taken" if event.arrived else "refused" if event.status else "failed"
                self._webhooks.labels(event.webhook, result).inc()
            case CommandRejected():
                self._rejected.labels(event.command, str(event.code)).inc()
            case _:
                self._of_client(event)

    def expect(self, account: str) -> None:
        """An account is configured: that nothing happened to it yet is a series that says 0, not none."""
        self._delivered_of(account)

    def forget(self, account: str) -> None:
        """An account is not configured any more: its series end."""
        self._codes.pop(account, None)
        for family in (self._attempts, self._delivered, self._tokens):
            family.remove_by_labels({"account": account})
        self._attempts_of.cache_clear()
        self._delivered_of.cache_clear()

    def _of_client(self, event: Event) -> None:
        match event:
            case ClientConnected() if not event.refused:
                self._connections.inc()
            case ClientDisconnected():
                self._connections.dec()
            case TurnedAway():
                self._turned_away.inc()
            case LoginFailed():
                self._logins.inc()
            case Defect():
                self._defects.inc()
            case _:
                pass

    def _ended(self, event: DeliveryEnded) -> None:
        if not event.counted:
            return
        delivered = False
        for fate in event.fates:
            delivered = delivered or fate.status == "delivered"
            code = self._known(event.account, fate.status, code_of(fate.reply))
            self._attempts_of(event.account, fate.status, code).inc()
        if delivered:
            self._delivered_of(event.account).observe(event.age)

    def _known(self, account: str, outcome: str, code: str) -> str:
        """`code`, unless the account has series enough already."""
        codes = self._codes.setdefault(account, set())
        if (outcome, code) in codes:
            return code
        if len(codes) >= MOST_CODES:
            return OTHER
        codes.add((outcome, code))
        return code


_HEARD: Final = frozenset(
    {
        *(Accepted, ClientConnected, ClientDisconnected, CommandRejected, Committed, Defect, DeliveryEnded),
        *(LoginFailed, PossibleDuplicate, TokenRequested, TurnedAway, WebhookAttempted),
    }
)


def _result(error: str) -> str:
    """What became of a request for a token: it may work later by itself, or somebody has to act."""
    if not error:
        return "ok"
    kind = getattr(errors, error, None)
    return "unavailable" if kind is not None and issubclass(kind, _PASSING) else "refused"
