"""Other mail libraries, logged in with our tokens or sending by our mailers. Import each module by name."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.integrations.django import DjangoBackend as DjangoBackend
    from postbearer.integrations.django import NotSent as NotSent
    from postbearer.integrations.django import as_plain_parts as as_plain_parts
    from postbearer.integrations.django import envelope_for as envelope_for
    from postbearer.integrations.requirement import requires as requires

_EXPORTS = {
    "django": ["DjangoBackend", "NotSent", "as_plain_parts", "envelope_for"],
    "requirement": ["requires"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
