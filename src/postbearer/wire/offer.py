"""What a server offers on one connection, and how much of it one client may use."""

from __future__ import annotations

from dataclasses import dataclass, field

from postbearer.timestamps import format_timestamp
from postbearer.wire.extensions import Extensions


@dataclass(frozen=True, slots=True)
class LineLimits:
    """Bounds of one connection. Sizes are octets; 0 means unlimited where it says so."""

    max_line: int = 2048  # a command with its CRLF; RFC 5321 4.5.3.1.4 asks for 512
    max_auth_line: int = 49_152  # an AUTH command or response with its CRLF: tokens are long (RFC 4954 4)
    max_auth_blob: int = 32_768  # the same, decoded
    max_size: int = 36 * 1024 * 1024  # content of one message; 0: unlimited
    max_text_line: int = 0  # one line of content without its CRLF (RFC 5321 allows 998); 0: unlimited
    max_recipients: int = 1000  # RFC 5321 4.5.3.1.8 asks for 100
    max_messages: int = 0  # transactions of one connection; 0: unlimited
    soft_errors: int = 10  # from here on `ErrorLimit.slow` asks for a delay before each reply
    max_errors: int = 20  # refusals for good since the last message, whoever made them; then 421
    max_junk: int = 100  # other commands since then that bring no message nearer; then 421
    max_auth_failures: int = 6  # then 421

    def advertised(self) -> tuple[str, ...]:
        """The parameters of the LIMITS keyword (RFC 9422)."""
        mailmax = (f"MAILMAX={self.max_messages}",) if self.max_messages else ()
        return (*mailmax, f"RCPTMAX={self.max_recipients}")


def _usual() -> Extensions:
    names = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING")
    return Extensions(dict.fromkeys(names, ()))


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server is willing to do.

    `extensions` are the keywords that do not depend on the state of the connection; STARTTLS, AUTH,
    SIZE, LIMITS, REQUIRETLS and FUTURERELEASE are added when they apply, so that nothing is offered that
    would be refused. `mechanisms` are offered under TLS; without TLS only if `auth_in_clear` says so.

    `lenient` takes what old devices say: EHLO and HELO without a name, AUTH behind HELO, paths without angle
    brackets, commands that end in LF alone. Bare CR and LF inside DATA become CRLF. The end of data stays
    CRLF . CRLF, but for a client that has ended a command in LF alone: there LF counts as CRLF in it too.
    """

    hostname: str
    extensions: Extensions = field(default_factory=_usual)
    limits: LineLimits = LineLimits()
    starttls: bool = False
    mechanisms: tuple[str, ...] = ()
    auth_in_clear: bool = False
    require_tls: bool = False  # no AUTH and no MAIL without TLS (RFC 3207 4)
    require_auth: bool = False  # no MAIL without AUTH (RFC 4954 6)
    longest_hold: int = 0  # seconds that a message may wait for its time (RFC 4865); 0: none does
    allow_helo: bool = True
    lenient: bool = False  # for old devices, see below
    refuse_early: bool = True  # who speaks before the greeting or the 354 is turned away

    def offered(self, *, tls: bool, now: float = 0.0) -> Extensions:
        """What EHLO lists in this state of the connection. `now` (Unix seconds) dates what has a date."""
        keywords = {"SIZE": (str(self.limits.max_size),), **self.extensions.keywords}
        keywords["LIMITS"] = self.limits.advertised()
        if self.longest_hold:
            latest = format_timestamp(now + self.longest_hold)
            keywords["FUTURERELEASE"] = (str(self.longest_hold), latest)
        if not tls:
            keywords.pop("REQUIRETLS", None)  # RFC 8689 2: offered only once TLS is on
            if self.starttls:
                keywords["STARTTLS"] = ()
        if self.mechanisms and self.auth_allowed(tls=tls):
            keywords["AUTH"] = self.mechanisms
        return Extensions(keywords)

    def auth_allowed(self, *, tls: bool) -> bool:
        """Whether a credential may be shown now at all."""
        return tls or (self.auth_in_clear and not self.require_tls)
