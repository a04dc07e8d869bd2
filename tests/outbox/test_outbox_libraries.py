"""The outbox from asyncpg, psycopg, SQLAlchemy and Django, each in transactions of a real database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import asyncpg
import psycopg
import psycopg.rows
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as async_alchemy

import postbearer.outbox.asyncpg
import postbearer.outbox.psycopg
import postbearer.outbox.sqlalchemy
from outbox.conftest import Picking
from postbearer.envelope import Envelope
from postbearer.errors import UsageError

pytestmark = pytest.mark.servers

PARTS: dict[str, Any] = {
    "sender": "Shop <shop@example.org>",
    "to": ["Anna <anna@example.org>"],
    "bcc": "archive@example.org",
    "subject": "Order 4711",
    "text": "Thank you.",
    "html": "<p>Thank you.</p>",
    "attach": [("order.csv", b"a;b\r\n1;2\r\n", "text/csv")],
}

Send = Callable[..., Awaitable[str]]


@asynccontextmanager
async def by_asyncpg(relay: Picking, commit: bool) -> AsyncIterator[Send]:
    connection = await asyncpg.connect(relay.dsn)
    transaction = connection.transaction()
    await transaction.start()
    yield lambda *given, **more: postbearer.outbox.asyncpg.send(connection, *given, **more)
    await (transaction.commit() if commit else transaction.rollback())
    await connection.close()


@asynccontextmanager
async def by_psycopg(relay: Picking, commit: bool) -> AsyncIterator[Send]:
    with psycopg.connect(relay.dsn, row_factory=psycopg.rows.dict_row) as connection:

        async def send(*given: Any, **more: Any) -> str:
            return postbearer.outbox.psycopg.send(connection, *given, **more)

        yield send
        (connection.commit if commit else connection.rollback)()


@asynccontextmanager
async def by_async_psycopg(relay: Picking, commit: bool) -> AsyncIterator[Send]:
    async with (
        await psycopg.AsyncConnection.connect(relay.dsn, autocommit=True) as connection,
        connection.transaction(force_rollback=not commit),
    ):
        yield lambda *given, **more: postbearer.outbox.psycopg.send_async(connection, *given, **more)


def alchemy(relay: Picking, driver: str) -> str:
    return relay.dsn.replace("postgresql://", f"postgresql+{driver}://")


@asynccontextmanager
async def by_sqlalchemy(relay: Picking, commit: bool) -> AsyncIterator[Send]:
    engine = sqlalchemy.create_engine(alchemy(relay, "psycopg"))
    with orm.Session(engine) as session:

        async def send(*given: Any, **more: Any) -> str:
            return postbearer.outbox.sqlalchemy.send(session, *given, **more)

        yield send
        (session.commit if commit else session.rollback)()
    engine.dispose()


@asynccontextmanager
async def by_sqlalchemy_connection(relay: Picking, commit: bool) -> AsyncIterator[Send]:
    engine = sqlalchemy.create_engine(alchemy(relay, "psycopg"))
    with engine.connect() as connection:

        async def send(*given: Any, **more: Any) -> str:
            return postbearer.outbox.sqlalchemy.send(connection, *given, **more)

        yield send
        (connection.commit if commit else connection.rollback)()
    engine.dispose()


@asynccontextmanager
async def by_async_sqlalchemy(relay: Picking, commit: bool) -> AsyncIterator[Send]:
    engine = async_alchemy.create_async_engine(alchemy(relay, "asyncpg"))
    async with async_alchemy.AsyncSession(engine) as session:
        yield lambda *given, **more: postbearer.outbox.sqlalchemy.send_async(session, *given, **more)
        await (session.commit() if commit else session.rollback())
    await engine.dispose()


LIBRARIES = [
    *(by_asyncpg, by_psycopg, by_async_psycopg, by_sqlalchemy, by_sqlalchemy_connection),
    by_async_sqlalchemy,
]


@pytest.mark.parametrize("library", LIBRARIES)
async def test_what_is_committed_is_sent(relay: Picking, library: Any) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.org", "b@example.org", "Größe"
    message.set_content("Größer.\n")
    async with library(relay, True) as send:
        made = await send(**PARTS, key="order-4711", tags={"order": "4711"}, schema=relay.schema)
        whole = await send(message, send_at=timedelta(hours=1), priority="urgent", schema=relay.schema)
        raw = await send(
            b"From: a@example.org\r\n\r\nx\r\n", Envelope.of("", ["c@example.org"]), schema=relay.schema
        )
        assert await relay.collector.collect() == 0
        assert await relay.messages() == []
    assert await relay.collector.collect() == 3
    found = {entry.message.id: entry for entry in await relay.messages()}
    assert set(found) == {made, whole, raw}
    envelope = found[made].message.envelope
    assert (envelope.reverse_path, envelope.addresses) == (
        "shop@example.org",
        ("anna@example.org", "archive@example.org"),
    )
    content = await relay.content(found[made])
    assert b"Subject: Order 4711" in content
    assert b"order.csv" in content
    assert b"archive@example.org" not in content
    assert found[made].message.tags == (("order", "4711"),)
    assert found[whole].message.send_at is not None
    assert found[whole].message.envelope.priority == 4
    assert relay.refused() == ""


@pytest.mark.parametrize("library", LIBRARIES)
async def test_what_is_rolled_back_is_not(relay: Picking, library: Any) -> None:
    async with library(relay, False) as send:
        assert await send(**PARTS, schema=relay.schema)
    assert await relay.collector.collect() == 0
    assert await relay.messages() == []


@pytest.mark.parametrize("library", LIBRARIES)
async def test_the_same_message_under_one_key_is_sent_once(relay: Picking, library: Any) -> None:
    """Made anew each time, with another Date, Message-ID and boundary."""
    for _ in range(2):
        async with library(relay, True) as send:
            await send(**PARTS, key="order-4711", schema=relay.schema)
    assert await relay.collector.collect() == 2
    assert len(await relay.messages()) == 1
    assert relay.refused() == ""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"to": ["b@example.org"], "text": "x"}, "A message that is made here needs its sender."),
        ({"sender": "a@example.org", "to": ["b"], "text": "x"}, "to: "),
        ({**PARTS, "key": "ä"}, "A key cannot be 'ä'."),
        ({**PARTS, "schema": "x; DROP SCHEMA public"}, "schema cannot be 'x; DROP SCHEMA public'."),
        ({**PARTS, "send_at": "tomorrow"}, "send_at: a datetime or a timedelta is wanted, and no str."),
        ({**PARTS, "priority": "high"}, "There is no priority 'high'."),
        ({**PARTS, "tags": {"a": 1}}, "Tags are texts by name"),
        ({**PARTS, "colour": "red"}, "A message has no part 'colour'."),
        ({}, "A message is an email.message.Message, or bytes, and no NoneType."),
    ],
)
async def test_what_is_wrong_is_told_before_the_database_is_asked(
    relay: Picking, given: dict[str, Any], told: str
) -> None:
    async with by_asyncpg(relay, True) as send:
        with pytest.raises(UsageError) as error:
            await send(**{"schema": relay.schema, **given})
        assert error.value.message.startswith(told)


async def test_outside_a_transaction_it_is_refused_unless_that_is_wanted(relay: Picking) -> None:
    own = {**PARTS, "schema": relay.schema}
    connection = await asyncpg.connect(relay.dsn)
    with pytest.raises(UsageError, match="No transaction is open"):
        await postbearer.outbox.asyncpg.send(connection, **own)
    await postbearer.outbox.asyncpg.send(connection, **own, require_transaction=False)
    await connection.close()
    with psycopg.connect(relay.dsn, autocommit=True) as plain:
        with pytest.raises(UsageError, match="No transaction is open"):
            postbearer.outbox.psycopg.send(plain, **own)
        with plain.transaction():
            postbearer.outbox.psycopg.send(plain, **own)
    engine = sqlalchemy.create_engine(alchemy(relay, "psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as bare, pytest.raises(UsageError, match="No transaction is open"):
        postbearer.outbox.sqlalchemy.send(bare, **own)
    engine.dispose()
    assert relay.waiting() == 2


async def test_a_field_that_the_database_refuses_is_named_to_each_library(relay: Picking) -> None:
    content = b"Subject: x\r\n\r\n" + b"x" * 70_000_000
    envelope = Envelope.of("a@example.org", ["b@example.org"])
    with psycopg.connect(relay.dsn) as connection:
        with pytest.raises(psycopg.errors.InvalidParameterValue) as error:
            postbearer.outbox.psycopg.send(connection, content, envelope, schema=relay.schema)
        assert error.value.diag.column_name == "content"


SITE = """
import sys
import django
from django.conf import settings

port, schema, role = sys.argv[1:4]
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": role,
                           "HOST": "127.0.0.1", "PORT": port, "ATOMIC_REQUESTS": False},
               "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_FROM_EMAIL="Shop <shop@example.org>", SECRET_KEY="for tests", POSTBEARER_OUTBOX_SCHEMA=schema,
    **({"MAILERS": {"default": {"BACKEND": "postbearer.outbox.django.EmailBackend"}}}
       if django.VERSION >= (6, 1) else {"EMAIL_BACKEND": "postbearer.outbox.django.EmailBackend"}),
)
django.setup()
from django.core import mail
from django.db import transaction
from postbearer.errors import UsageError
from postbearer.integrations.django import NotSent
from postbearer.outbox.django import EmailBackend, send

with transaction.atomic():
    assert mail.send_mail("kept", "x", None, ["a@example.org"]) == 1
try:
    with transaction.atomic():
        mail.send_mail("rolled back", "x", None, ["a@example.org"])
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
with transaction.atomic():
    try:
        with transaction.atomic():
            mail.send_mail("inner", "x", None, ["a@example.org"])
            raise ZeroDivisionError
    except ZeroDivisionError:
        send(sender="shop@example.org", to=["a@example.org"], subject="outer", text="x", schema=schema)
mail.send_mail("at once", "x", None, ["a@example.org"])
message = mail.EmailMessage("with files", "x", None, ["a@example.org"], bcc=["b@example.org"])
message.attach("a.bin", b"0123", "application/octet-stream")
message.tags = {"order": "1"}
assert message.send() == 1
print(message.queue_id)
try:
    send(sender="shop@example.org", to=["a@example.org"], text="x", schema=schema)
except UsageError as error:
    assert "No transaction" in error.message, error
else:
    raise AssertionError
for wrong in ({"using": "other"}, {"schema": "a b"}):
    try:
        EmailBackend(**wrong).send_messages([message])
    except NotSent as error:
        print(error)
    else:
        raise AssertionError
    assert EmailBackend(**wrong, fail_silently=True).send_messages([message]) == 0
"""


async def test_a_site_of_django(relay: Picking) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", SITE, str(relay.database.port), relay.schema, "shop"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last, *errors = done.stdout.splitlines()
    assert errors[0].startswith("The database other is SQLite; the outbox is in PostgreSQL.")
    await relay.collector.collect()
    found = {entry.message.subject: entry for entry in await relay.messages()}
    assert set(found) == {"kept", "outer", "at once", "with files"}
    assert found["with files"].message.id == last
    assert found["with files"].message.envelope.addresses == ("a@example.org", "b@example.org")
    assert found["with files"].message.tags == (("order", "1"),)
