"""Queue work. So far: the budget of an account."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.engine.budget import Limits as Limits
    from postbearer.engine.budget import next_slot as next_slot

_EXPORTS = {"budget": ["Limits", "next_slot"]}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
