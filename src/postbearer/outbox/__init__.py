"""Mail that is sent if, and only if, a transaction of one's own in PostgreSQL is committed.

One module for each library: `asyncpg`, `psycopg`, `sqlalchemy`, `django`. Import the one you use by its name.
"""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.outbox.call import OutboxOptions as OutboxOptions

_EXPORTS = {"call": ["OutboxOptions"]}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
