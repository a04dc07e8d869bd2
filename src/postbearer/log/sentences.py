"""Events in words: one sentence each, for a log line or a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from postbearer.events import (
    Accepted,
    AccountPaused,
    AccountResumed,
    Attempted,
    Authenticated,
    Backlog,
    Connected,
    Defect,
    DeliveryEnded,
    Event,
    Expiring,
    LoginFailed,
    OperatorAction,
    PossibleDuplicate,
    Reloaded,
    Reported,
    ServerFailed,
    Started,
    Stopped,
    Throttled,
    TlsStarted,
    TokenFetched,
    TokenRefused,
    TurnedAway,
    Warned,
    WebhookDisabled,
    WebhookFailing,
    WebhookWorks,
)
from postbearer.outcome import RecipientFate

MOST = 10  # recipients that one line of the log names


def sentence(event: Event) -> str:
    """An event in words, without the account's name."""
    return _of_the_queue(event) or _of_the_way(event) or type(event).__name__


def _of_the_queue(event: Event) -> str:
    """What the relay does with messages and accounts; each line about a message begins with its id."""
    match event:
        case Accepted():
            many = f"{event.recipients} recipient" + ("s" if event.recipients != 1 else "")
            named = f" {event.message_id}" if event.message_id else ""
            return f"{event.id}: accepted from {event.client} for {many}, {event.size} octets{named}"
        case DeliveryEnded():
            told = _several(map(_fate, event.fates[:MOST]), len(event.fates))
            later = event.due is not None and event.due > event.time + 1  # else a pause decides when
            again = f"; again at {_clock(event.due)}" if later and event.due is not None else ""
            named = f" as {event.queue_id}" if event.queue_id else ""
            return f"{event.id}: attempt {event.attempt}{named}: {told or event.error}{again}"
        case Reported():
            return f"{event.id}: reported to {event.to} by {event.report}"
        case PossibleDuplicate():
            return f"{event.id}: may be delivered more than once ({event.window})"
        case AccountPaused():
            until = f" It is tried again at {_clock(event.until)}." if event.until is not None else ""
            return f"the account is paused: {event.reason}{until} {event.remedy}".rstrip()
        case AccountResumed():
            return "the account sends again"
        case Expiring():
            ends = f"has ended {_day(event.at)}" if event.level == 0 else f"ends {_day(event.at)}"
            return f"{event.what} {ends}. {event.remedy}".rstrip()
        case Backlog():
            return f"{event.messages} messages wait, the oldest since {_day(event.since)}"
        case TurnedAway():
            return f"{event.peer or 'a local program'} was turned away: {event.reason}"
        case LoginFailed():
            name = f"as {event.username}" if event.username else "under a name that nobody has"
            return f"{event.peer or 'a local program'} could not log in {name}"
        case OperatorAction():
            return _by_hand(event)
        case WebhookFailing():
            why = f"{event.error} {event.hint}".rstrip()
            return f"the webhook {event.webhook} cannot be told, and is tried again: {why}"
        case WebhookWorks():
            return f"the webhook {event.webhook} is told again"
        case WebhookDisabled():
            again = f"Once it works: postbearer hooks enable {event.webhook}"
            return f"the webhook {event.webhook} is called no more: {event.reason} {again}"
        case Started():
            return f"the relay listens on {event.addresses}"
        case Reloaded():
            return "the configuration was read anew"
        case Stopped():
            return "the relay has stopped"
        case _:
            return ""


def _by_hand(event: OperatorAction) -> str:
    about = f"{event.id}: " if event.id else ""
    to = f" to {event.recipient}" if event.recipient else ""
    what = "message" if event.action == "import" else "recipient"
    many = f", {event.count} {what}{'s' if event.count != 1 else ''}" if event.count else ""
    more = f", {event.detail}" if event.detail else ""
    return f"{about}{event.action}{to} by {event.by} ({event.known_by}){more}{many}"


def _several(told: Iterable[str], count: int) -> str:
    """The first few of `count` things, as a line of the log has to end."""
    more = f"; and {count - MOST} more" if count > MOST else ""
    return "; ".join(told) + more


def _fate(fate: RecipientFate) -> str:
    """One recipient. "Delivered" is the provider's word for "accepted": it may still report a failure."""
    status = "accepted by the provider" if fate.status == "delivered" else fate.status
    said = f" ({fate.reply})" if fate.reply else f" ({fate.cause})" if fate.cause else ""
    return f"{fate.recipient} {status}{said}"


def _clock(at: float) -> str:
    """The time of day, in the zone and the form of the lines of the log."""
    return _here(at).timetz().isoformat("seconds")


def _day(at: float) -> str:
    return _here(at).isoformat(" ", "minutes")


def _here(at: float) -> datetime:
    return datetime.fromtimestamp(int(at), UTC).astimezone()


def _of_the_way(event: Event) -> str:
    """What happens between us, the authorization server and the mail server."""
    match event:
        case TokenFetched():
            return f"token fetched by {event.grant}, good for {event.lifetime:.0f} s"
        case TokenRefused():
            return f"{event.server} refused the token: {event.reply}"
        case Connected():
            return f"connected to {event.server}"
        case TlsStarted():
            return f"{event.version} with {event.cipher}"
        case Authenticated():
            return f"AUTH {event.mechanism} {event.reply}"
        case ServerFailed():
            return f"{event.server} cannot be used: {event.error}"
        case Attempted():
            told = _several(map(str, event.outcomes[:MOST]), len(event.outcomes))
            return f"{event.server} answered in {event.seconds * 1000:.0f} ms: {told}"
        case Throttled():
            return f"all is sent that may be for now: waiting {event.seconds:.0f} s"
        case Warned():
            return event.text
        case Defect():
            whose = "".join(f", {each}" for each in (event.peer, event.id) if each)
            place = f" at {event.place}" if event.place else ""
            return f"a defect in postbearer ({event.what}{whose}): {event.error}{place}"
        case _:
            return ""
