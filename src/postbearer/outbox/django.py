"""The outbox for Django: `send` within ``transaction.atomic()``, or all of a site's mail by `EmailBackend`.

``EMAIL_BACKEND = "postbearer.outbox.django.EmailBackend"``: what `send_mail` is told within a transaction
leaves when that is committed, and never when it is rolled back. Outside of one it leaves at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from postbearer.integrations import requires

with requires("django", "Django"):
    from django.conf import settings
    from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from postbearer.envelope import Envelope
from postbearer.errors import PostbearerError, UsageError
from postbearer.integrations import DjangoBackend, NotSent, as_plain_parts, envelope_for
from postbearer.outbox.call import SCHEMA, OutboxCall, OutboxOptions
from postbearer.sending import Sendable

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

_PLACES = ("%s::text", "%s::text[]", "%s::bytea", "%s::text::jsonb")


def send(
    message: Sendable | None = None,
    envelope: Envelope | None = None,
    *,
    using: str = DEFAULT_DB_ALIAS,
    **options: Unpack[OutboxOptions],
) -> str:
    """Have the message sent once the transaction is committed; the id that it will have.

    `using` is the database. Raises `UsageError` for what is no message or no PostgreSQL, and what the
    database says: `django.db.DatabaseError`.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        raise UsageError(
            f"The database {using} is {connection.display_name}; the outbox is in PostgreSQL.",
            hint="Name another one by using=, or send by postbearer.integrations.django.",
        )
    call = OutboxCall.of(message, envelope, options, in_transaction=connection.in_atomic_block)
    with connection.cursor() as cursor:
        cursor.execute(call.statement(*_PLACES), [call.sender, call.recipients, call.content, call.options])
        return str(cursor.fetchone()[0])


class EmailBackend(DjangoBackend):
    """Hands Django's messages to the outbox.

    `using` is the database (``POSTBEARER_OUTBOX_DATABASE``, else the default one), `schema` that of the queue
    (``POSTBEARER_OUTBOX_SCHEMA``), and `account` by which mail leaves (``POSTBEARER_ACCOUNT``; empty: as the
    relay says). A message may have the attributes ``send_at``, ``tags`` and ``key``; it gets ``queue_id``.
    """

    def __init__(
        self,
        *,
        using: str | None = None,
        schema: str | None = None,
        account: str | None = None,
        fail_silently: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(fail_silently=fail_silently, **options)
        self.using = using or str(getattr(settings, "POSTBEARER_OUTBOX_DATABASE", DEFAULT_DB_ALIAS))
        self.schema = schema or str(getattr(settings, "POSTBEARER_OUTBOX_SCHEMA", SCHEMA))
        self.account = account or str(getattr(settings, "POSTBEARER_ACCOUNT", ""))

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Hand over messages; how many. Raises `NotSent`, unless that is to be silent."""
        return sum(map(self._send, email_messages))

    def _send(self, message: Any) -> bool:
        if not message.recipients():
            return False
        try:
            message.queue_id = send(
                as_plain_parts(message),
                envelope_for(None, message),
                using=self.using,
                schema=self.schema,
                account=self.account,
                key=getattr(message, "key", ""),
                send_at=getattr(message, "send_at", None),
                tags=getattr(message, "tags", None),
                require_transaction=False,
            )
        except PostbearerError as error:
            if self.fail_silently:
                return False
            raise NotSent(error) from error
        except DatabaseError:
            if self.fail_silently and not connections[self.using].in_atomic_block:  # else nothing goes on
                return False
            raise
        return True
