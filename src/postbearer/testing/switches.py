"""Faults with a name and a word on what they do, as the sandbox's page offers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import msgspec

from postbearer.errors import UsageError
from postbearer.testing.faults import Faults, SmtpFault, TokenFault

_NONE = Faults()
_LISTS = ("token", "smtp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One fault, on or off. `does` says what then happens, `faults` is what is put in force."""

    name: str
    label: str
    does: str
    faults: Faults
    at: str  # which part of the provider it is a fault of

    @property
    def _given(self) -> Mapping[str, Any]:
        """The keys that it sets."""
        return {
            key: value
            for key in self.faults.__struct_fields__
            if (value := getattr(self.faults, key)) != getattr(_NONE, key)
        }

    def is_on(self, faults: Faults) -> bool:
        """Whether all of it is in force."""
        return all(
            all(_find(getattr(faults, key), each) is not None for each in value)
            if key in _LISTS
            else getattr(faults, key) == value
            for key, value in self._given.items()
        )

    def on(self, faults: Faults) -> Faults:
        """`faults`, and this one, which strikes before others at its place."""
        mine = self.off(faults)
        for key, value in deepcopy(self._given).items():
            setattr(mine, key, [*value, *getattr(mine, key)] if key in _LISTS else value)
        return mine

    def off(self, faults: Faults) -> Faults:
        """`faults` without it, and without those that are spent."""
        mine = msgspec.structs.replace(faults)
        for key in _LISTS:
            gone = self._given.get(key, [])
            left = [each for each in getattr(faults, key) if each.times and not _find(gone, each)]
            setattr(mine, key, left)
        for key in self._given.keys() - set(_LISTS):
            setattr(mine, key, getattr(_NONE, key))
        return mine


def _find(faults: Sequence[Any], wanted: Any) -> Any | None:
    """What of `faults` is as `wanted`, however often it may strike, and can still strike."""
    for each in faults:
        if each.times and msgspec.structs.replace(each, times=wanted.times) == wanted:
            return each
    return None


def _refused(description: str, error: str = "invalid_client") -> Faults:
    return Faults(token=[TokenFault(kind="refused", error=error, description=description)])


def _smtp(at: Any, reply: str, **more: Any) -> Faults:
    return Faults(smtp=[SmtpFault(at=at, reply=reply, **more)])


PARTS = LOGIN, TOKENS, MAIL = "Logging in by SMTP", "Authorization server", "Taking mail"
_OFF_MICROSOFT = (
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. "
    "Visit https://aka.ms/smtp_auth_disabled for more information."
)
_OFF_GOOGLE = "535 5.7.1 Username and Password not accepted"
_OFF = "502 5.7.0 Authentication is switched off"
_UNKNOWN = "550 5.1.1 The email account that you tried to reach does not exist"
_UNKNOWN_MICROSOFT = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
_BUSY = "421 4.3.2 Service not available, closing transmission channel"


def switches(provider: str) -> Sequence[Switch]:
    """All that the sandbox of `provider` offers; its replies are those of that provider."""
    microsoft = provider == "microsoft"
    switched_off = {"microsoft": _OFF_MICROSOFT, "google": _OFF_GOOGLE}.get(provider, _OFF)
    return (*_of_logins(switched_off), *_of_tokens(microsoft), *_of_mail(microsoft))


def _of_logins(switched_off: str) -> Iterator[Switch]:
    yield Switch(
        name="switch-day",
        label="Switch day",
        does=f"Logging in by SMTP is switched off, from one moment to the next: “{switched_off}”.",
        faults=_smtp("auth", switched_off),
        at=LOGIN,
    )
    yield Switch(
        name="logins-refused",
        label="A good token is refused five times",
        does="The next five logins are refused, whatever they show.",
        faults=Faults(refuse_tokens=5),
        at=LOGIN,
    )


def _of_tokens(microsoft: bool) -> Iterator[Switch]:
    yield Switch(
        name="secret-wrong",
        label="The client secret is wrong",
        does="Each request for a token is refused: invalid_client.",
        faults=_refused("AADSTS7000215: Invalid client secret provided." if microsoft else ""),
        at=TOKENS,
    )
    yield Switch(
        name="secret-over",
        label="The client secret is over",
        does="Each request for a token is refused: the secret's time has ended.",
        faults=_refused(
            "AADSTS7000222: The provided client secret keys are expired."
            if microsoft
            else "The client secret has expired."
        ),
        at=TOKENS,
    )
    yield Switch(
        name="consent-withdrawn",
        label="Consent is withdrawn",
        does="Each request for a token is refused: invalid_grant. Who had signed in has to do so again.",
        faults=_refused(
            "AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is "
            "needed. The user might have changed or reset their password."
            if microsoft
            else "Token has been expired or revoked.",
            "invalid_grant",
        ),
        at=TOKENS,
    )
    yield Switch(
        name="tokens-down",
        label="It is down",
        does="Each request for a token is answered 503.",
        faults=Faults(token=[TokenFault(kind="down")]),
        at=TOKENS,
    )
    yield Switch(
        name="tokens-throttled",
        label="It is asked too often",
        does="Each request for a token is answered 429, with a minute to wait.",
        faults=Faults(token=[TokenFault(kind="throttled")]),
        at=TOKENS,
    )
    yield Switch(
        name="portal",
        label="Something else answers",
        does="A web page comes in place of a token, as from the portal of a hotel's network.",
        faults=Faults(token=[TokenFault(kind="not-json")]),
        at=TOKENS,
    )
    yield Switch(
        name="audience",
        label="Tokens are for something else",
        does="Tokens name another audience, and the mail server refuses them.",
        faults=Faults(audience="https://graph.example.org"),
        at=TOKENS,
    )


def _of_mail(microsoft: bool) -> Iterator[Switch]:
    yield Switch(
        name="busy",
        label="It is busy",
        does="Each connection is answered 421, and closed.",
        faults=_smtp("greeting", _BUSY),
        at=MAIL,
    )
    yield Switch(
        name="hangs-up",
        label="It hangs up",
        does="Each connection ends before a word was said.",
        faults=_smtp("greeting", ""),
        at=MAIL,
    )
    yield Switch(
        name="recipients-unknown",
        label="No recipient is known",
        does="Each recipient is refused for good.",
        faults=_smtp("rcpt", _UNKNOWN_MICROSOFT if microsoft else _UNKNOWN),
        at=MAIL,
    )
    yield Switch(
        name="greylisting",
        label="Recipients are put off",
        does="Each recipient is refused for now, as greylisting does.",
        faults=_smtp("rcpt", "450 4.2.0 Greylisted, please try again in a few minutes"),
        at=MAIL,
    )
    yield Switch(
        name="day-full",
        label="The day's limit is reached",
        does="Each message is refused after its content: the mailbox has sent what it may in a day.",
        faults=_smtp(
            "content",
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process "
            "message due to a permanent exception"
            if microsoft
            else "550 5.4.5 Daily user sending limit exceeded.",
        ),
        at=MAIL,
    )
    yield Switch(
        name="lost-answer",
        label="The next answer is lost",
        does="The next message is kept, and the connection ends before that is said: "
        "nobody can know whether it arrived.",
        faults=_smtp("content", "", times=1, after_commit=True),
        at=MAIL,
    )


def switch(name: str, provider: str) -> Switch:
    """The one of that name. Raises `UsageError` if there is none."""
    for each in switches(provider):
        if each.name == name:
            return each
    raise UsageError(f"There is no fault {name!r:.80}.", hint="The page of faults shows all.")
