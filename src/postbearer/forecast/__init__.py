"""What will run out: secrets, certificates, sign-ins, consents; when, and what to do before."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.forecast.expiry import DAY as DAY
    from postbearer.forecast.expiry import LEVELS as LEVELS
    from postbearer.forecast.expiry import Expiry as Expiry
    from postbearer.forecast.expiry import Facts as Facts
    from postbearer.forecast.expiry import forecast as forecast
    from postbearer.forecast.expiry import renewal_due as renewal_due
    from postbearer.forecast.facts import awaits_sign_in as awaits_sign_in
    from postbearer.forecast.facts import end_of_certificate as end_of_certificate
    from postbearer.forecast.facts import gather as gather
    from postbearer.forecast.facts import gather_all as gather_all

_EXPORTS = {
    "expiry": ["DAY", "LEVELS", "Expiry", "Facts", "forecast", "renewal_due"],
    "facts": ["awaits_sign_in", "end_of_certificate", "gather", "gather_all"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
