"""Handing a message to the relay of this machine: where it is, what it is told, what it answers.

The command ``sendmail`` and the library do it by this; what it costs to load is felt by each ``sendmail``.
"""

from postbearer._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer.handover.exchange import RelayDown as RelayDown
    from postbearer.handover.exchange import drop as drop
    from postbearer.handover.exchange import hand_over as hand_over
    from postbearer.handover.local_domain import MAILNAME as MAILNAME
    from postbearer.handover.local_domain import mail_domain as mail_domain
    from postbearer.handover.local_domain import mailname as mailname
    from postbearer.handover.local_domain import named_in as named_in
    from postbearer.handover.protocol import MOST_RECIPIENTS as MOST_RECIPIENTS
    from postbearer.handover.protocol import SMTP as SMTP
    from postbearer.handover.protocol import opening as opening
    from postbearer.handover.relay_location import RelayLocation as RelayLocation
    from postbearer.handover.relay_location import drops as drops
    from postbearer.handover.relay_location import places as places
    from postbearer.handover.relay_location import reached as reached

_EXPORTS = {
    "exchange": ["RelayDown", "drop", "hand_over"],
    "local_domain": ["MAILNAME", "mail_domain", "mailname", "named_in"],
    "protocol": ["MOST_RECIPIENTS", "SMTP", "opening"],
    "relay_location": ["RelayLocation", "drops", "places", "reached"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
