"""Durable state. So far: the ledger of what accounts have sent."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.store.ledger import Charge as Charge
    from postbearer.store.ledger import FileLedger as FileLedger
    from postbearer.store.ledger import Ledger as Ledger
    from postbearer.store.ledger import MemoryLedger as MemoryLedger

_EXPORTS = {"ledger": ["Charge", "FileLedger", "Ledger", "MemoryLedger"]}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
