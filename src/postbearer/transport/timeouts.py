"""How long to wait for what (RFC 5321 4.5.3.2), and the limit over all of it."""

from __future__ import annotations

from dataclasses import dataclass

from postbearer.clock import Clock
from postbearer.errors import TimedOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds, one for each thing waited for. The defaults are the minima of RFC 5321 4.5.3.2, but for the
    greeting: behind a port that is not SMTP's nobody greets, and nothing is lost by trying again.
    """

    connect: float = 30.0  # name lookup, TCP and proxy
    tls: float = 30.0
    greeting: float = 60.0  # 4.5.3.2.1 says 300
    command: float = 300.0  # EHLO, STARTTLS, RSET: the RFC names no time, MAIL's is taken
    auth: float = 300.0
    mail: float = 300.0  # 4.5.3.2.2
    rcpt: float = 300.0  # 4.5.3.2.3
    data: float = 120.0  # 4.5.3.2.4: DATA until its 354
    block: float = 180.0  # 4.5.3.2.5: one piece of content on its way
    final: float = 600.0  # 4.5.3.2.6: the last word on the content; too short makes duplicates (RFC 1047)
    quit: float = 5.0  # nothing depends on the answer


class Deadline:
    """The overall limit for one attempt: cuts every single timeout to what is left."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._end = None if seconds is None else clock.monotonic() + seconds

    def cut(self, timeout: float, stage: str, host: str) -> float:
        """`timeout`, or what is left of the whole if that is less.

        Raises `TimedOut` when nothing is left, so that no operation starts that cannot end in time.
        """
        if self._end is None:
            return timeout
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise TimedOut(
                f"{host}: the limit of {self._seconds:g} s for one attempt was reached.",
                host=host,
                stage=stage,
            )
        return min(timeout, left)
