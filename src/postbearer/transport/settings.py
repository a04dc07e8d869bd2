"""What everybody may know of an account's transport, whatever it speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postbearer.errors import ConfigError
from postbearer.settings import DEFAULTS, Authentication
from postbearer.transport.capture import Capture
from postbearer.transport.server_address import ServerAddress
from postbearer.transport.tls import ClientCertificate

if TYPE_CHECKING:
    from postbearer.clock import Clock
    from postbearer.events import Observer
    from postbearer.providers import Rule
    from postbearer.state import ConnectionShare
    from postbearer.transport.login import Source
    from postbearer.transport.transport import Transport


def _as_it_is(error: ConfigError) -> ConfigError:
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings(ABC):
    """How an account's mail leaves: to whom, proved how, and which envelopes it keeps. Plain data.

    This, the account's limits and the answers that come back are all that others know of a transport. One
    more is one more of these classes, with the `Transport` that it opens.
    """

    servers: tuple[ServerAddress, ...]  # that it talks to, the best first
    authentication: Authentication = DEFAULTS.authentication
    username: str = ""
    certificate: ClientCertificate | None = None  # of ours, shown to servers
    rules: Sequence[Rule] | None = None  # the provider's known answers; None: those that hold everywhere
    null_sender: bool = True  # it keeps the null reverse-path …
    any_sender: bool = True  # … and one that is not the account's own address
    # Says of a mistake in it where that stands: whoever read it from a file knows.
    placed: Callable[[ConfigError], ConfigError] = field(default=_as_it_is, compare=False, repr=False)

    @property
    def eight_bit(self) -> bool:
        """Whether content that is not ASCII can be carried as it is, as far as is known beforehand."""
        return True

    @abstractmethod
    def open(
        self,
        source: Source | None,
        *,
        account: str,
        clock: Clock,
        observer: Observer,
        capture: Callable[[], Capture] | None = None,
        share: ConnectionShare | None = None,
    ) -> Transport:
        """The transport itself, which proves itself by `source`. Nothing is connected yet.

        `share`: of the connections that the mailbox may have at one time.
        """
