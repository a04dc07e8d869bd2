"""One row of the reply catalogue: what a server may say or what may go wrong, and what it means.

A rule holds when all of its criteria hold; which rule wins is decided by `postbearer.verdict`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from postbearer.meaning import Disposition, ImmediateAction, Scope, Who

__all__ = ["Disposition", "ImmediateAction", "Mark", "Phase", "Rule", "Scope", "Who"]


class Phase(StrEnum):
    """What was answered. `ANY` in a rule: wherever a reply comes; in a question: not known."""

    CONN = "conn"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # the command; what comes after the content is `EOD`
    EOD = "eod"
    NDR = "ndr"  # a report that arrives afterwards, by mail
    TOKEN = "token"  # noqa: S105 - the token endpoint
    HTTP = "http"  # a message, by an API that is spoken to by HTTP
    ANY = "any"


Mark = Literal["documented", "reported", "common", "unsure"]
"""How sure a statement is: the provider's own page, somebody's log, common knowledge, or doubtful."""

_CODE = re.compile(r"[1-9][0-9]{2}(-[1-9][0-9]{2})?")
_ENHANCED = re.compile(r"(\*|[245])\.[0-9]{1,3}\.[0-9]{1,3}(-[0-9]{1,3})?")


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A rule. An empty criterion asks for nothing; `text` and `pattern` together are alternatives.

    `code` and `enhanced` are numbers or ranges: ``"535"``, ``"550-559"``, ``"5.7.606-649"``, and ``"*.4.7"``
    for any class. `text` are substrings without regard to case, `pattern` regular expressions. The phases
    ``token`` and ``http`` have `status` (HTTP), `error` (RFC 6749 5.2, or an API's own word) and `number`
    (AADSTS) instead. `finding` names what happened without a reply. Without a `scope`, the phase decides.
    """

    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]*$")]
    phase: tuple[Phase, ...] = (Phase.ANY,)
    code: tuple[str, ...] = ()
    enhanced: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    number: tuple[int, ...] = ()
    finding: tuple[str, ...] = ()
    scope: Scope | None = None
    disposition: Disposition
    first: tuple[ImmediateAction, ...] = ()
    wait: float = 0  # seconds, at least; 0: as the schedule says
    hold_after: int = 0  # tries after which a `soon` becomes `hold`; 0: never
    tenant: bool = False  # reaches every account of the same organisation
    configuration: bool = False  # what was asked is wrong, rather than withdrawn
    cause: Annotated[str, Meta(min_length=1)]
    remedy: str = ""
    who: Who = Who.NOBODY
    mark: Mark
    sample: Annotated[str, Meta(min_length=1)]  # a text that this rule, and no other, explains
    provider: str = ""  # whose rule it is, set when loaded; empty for those that hold for every server

    def __post_init__(self) -> None:
        _all_match("code", _CODE, self.code)
        _all_match("status", _CODE, self.status)
        _all_match("enhanced", _ENHANCED, self.enhanced)
        for expression in self.pattern:
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"pattern {expression!r} is no regular expression: {error}") from None
        if not any((self.code, self.enhanced, self.text, self.pattern, *self._of_tokens(), self.finding)):
            raise ValueError(f"rule {self.id!r} has no criterion, so it would match everything")

    @property
    def name(self) -> str:
        """What to call the rule: its catalogue and its id."""
        return f"{self.provider or 'generic'}/{self.id}"

    def _of_tokens(self) -> tuple[tuple[object, ...], ...]:
        return self.status, self.error, self.number


def _all_match(key: str, expected: re.Pattern[str], values: tuple[str, ...]) -> None:
    for value in values:
        if not expected.fullmatch(value):
            raise ValueError(f"{key} {value!r} is neither a number nor a range")
