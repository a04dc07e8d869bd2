"""What will run out of an account, and when. Pure: facts and a time in, endings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

DAY = 86_400.0
LEVELS = (30, 7, 1, 0)  # days before the end at which somebody hears of it; 0: it has ended
WEEKLY = 7 * DAY  # a refresh token is used at least so often, whatever is known of its end
SOONEST = 60.0  # seconds between two renewals for the sake of the sign-in alone
_SHARE = 3  # of the idle age that may pass before a renewal

_TITLES = {
    "client-secret": "the client secret",
    "password": "the password",
    "service-account": "the service account's key",
    "consent": "the consent",
    "certificate": "the certificate that signs",
    "tls-certificate": "the certificate for TLS",
    "sign-in": "the sign-in",
}
_SECRETS = ("client-secret", "password", "service-account", "certificate", "tls-certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about the ends of one account's things. Times are Unix seconds; 0 and None: not known.

    `dated` holds what somebody wrote down and what a certificate says of itself, by key. The next four are
    of the kept sign-in, and the last two of the provider, in seconds.
    """

    account: str
    dated: Mapping[str, float] = field(default_factory=dict)
    signed_in: float = 0.0
    refreshed: float = 0.0
    refresh_expires: float = 0.0
    by_login: bool = False  # a person signs in by `postbearer login`
    refresh_idle: float = 0.0
    refresh_lifetime: float = 0.0
    awaits_sign_in: bool = False  # a person has to sign in before anything can be sent
    troubles: Sequence[str] = ()  # what could not be looked at, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """One thing that runs out at `at` (Unix seconds). `began` is when its time began, if that is known."""

    account: str
    what: str  # client-secret, password, service-account, consent, certificate, tls-certificate, sign-in
    at: float
    began: float | None = None
    remedy: str = ""

    @property
    def title(self) -> str:
        """What runs out, in words."""
        return _TITLES[self.what]

    def level(self, now: float) -> int | None:
        """The number of days, of `LEVELS`, that are not left any more at `now`; None while it is early.

        A thing that never lives for so long has no such level: a sign-in for a week is no news on its first
        day.
        """
        whole = None if self.began is None else self.at - self.began
        reached = [
            days
            for days in LEVELS
            if self.at - now <= days * DAY and (days == 0 or whole is None or whole > days * DAY)
        ]
        return min(reached, default=None)


def forecast(facts: Facts) -> tuple[Expiry, ...]:
    """What will run out, the soonest first."""
    found = [
        Expiry(account=facts.account, what=key, at=at, remedy=_remedy(key, facts))
        for key, at in facts.dated.items()
    ]
    return tuple(sorted([*found, *_sign_in(facts)], key=lambda each: each.at))


def renewal_due(facts: Facts) -> float | None:
    """When the refresh token is to be used, lest it dies of idleness; None if there is none."""
    if not facts.refreshed:
        return None
    lives = [WEEKLY * _SHARE, facts.refresh_idle, facts.refresh_expires - facts.refreshed]
    return facts.refreshed + max(min(each for each in lives if each > 0) / _SHARE, SOONEST)


def _sign_in(facts: Facts) -> Iterator[Expiry]:
    """The end of the sign-in: what the server said, else its age and its idleness."""
    ends = [(facts.refresh_expires, facts.refreshed)] if facts.refresh_expires else []
    if facts.signed_in and facts.refresh_lifetime:
        ends.append((facts.signed_in + facts.refresh_lifetime, facts.signed_in))
    if facts.refreshed and facts.refresh_idle:
        ends.append((facts.refreshed + facts.refresh_idle, facts.refreshed))
    if ends:
        at, began = min(ends)
        yield Expiry(
            account=facts.account, what="sign-in", at=at, began=began, remedy=_remedy("sign-in", facts)
        )


def _remedy(key: str, facts: Facts) -> str:
    if key in _SECRETS:
        return "Make a new one at the provider, and put it where its reference points."
    if key == "consent" and not facts.signed_in:
        return "Have an administrator consent again."
    if facts.by_login:
        return f"Sign in again: postbearer login {facts.account}"
    return "Sign in again, and put the new refresh token where its reference points."
