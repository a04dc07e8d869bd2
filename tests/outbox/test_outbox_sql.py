"""The functions that any language can call: what they take, what they refuse, and who may call them."""

from __future__ import annotations

import asyncio
import json
import time
from email.header import decode_header, make_header
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox.conftest import ROLE, Picking, ended, picking
from postbearer.engine import Submitter
from postbearer.events import Accepted, Defect, Warned
from postbearer.submission import Admission
from servers.postgresql import Postgresql

pytestmark = pytest.mark.servers

TO = ["you@example.org"]
ANY = Submitter(name="any")
WHOLE = b"From: shop@example.org\r\nSubject: raw\r\n\r\nraw\r\n"


async def call(connection: Any, relay: Picking, **values: Any) -> str:
    """`send`, by names, as any language can."""
    given = {"sender": "shop@example.org", "recipients": TO, "subject": "Hello", "text": "It works."} | values
    kinds = {"recipients": "text[]", "options": "jsonb", "content": "bytea"}
    places = ", ".join(
        f"{name} => ${number}::{kinds.get(name, 'text')}" for number, name in enumerate(given, 1)
    )
    return str(await connection.fetchval(f"SELECT {relay.schema}.send({places})", *given.values()))


async def test_a_message_of_parts_and_a_whole_one(relay: Picking) -> None:
    connection = await asyncpg.connect(relay.dsn)
    made = await call(connection, relay, subject="Grüße", text="Größer.\nMore.", html="<p>Größer.</p>")
    raw = await connection.fetchval(
        f"SELECT {relay.schema}.send_raw('', $1::text[], $2)", TO, WHOLE.replace(b"\r\n", b"\n")
    )
    await connection.close()
    assert await relay.collector.collect() == 2
    first, second = sorted(await relay.messages(), key=lambda each: each.message.subject)
    assert (first.message.id, second.message.id) == (made, raw)
    assert str(make_header(decode_header(first.message.subject))) == "Grüße"
    assert first.message.envelope.addresses == ("you@example.org",)
    assert b"Content-Type: text/html" in await relay.content(first)
    assert second.message.envelope.reverse_path == ""
    assert await relay.content(second) == WHOLE
    assert relay.waiting() == 0
    assert [event.client for event in relay.events if isinstance(event, Accepted)] == ["outbox"] * 2


async def test_what_is_rolled_back_is_never_sent(relay: Picking) -> None:
    """Among others at the same time, whichever of them ends first."""
    running = asyncio.create_task(relay.collector.run())

    async def program(number: int) -> set[str]:
        connection, kept = await asyncpg.connect(relay.dsn), set[str]()
        for turn in range(12):
            transaction = connection.transaction()
            await transaction.start()
            made = await call(connection, relay, subject=f"{number}-{turn}")
            await asyncio.sleep(0.001 * ((number * 7 + turn * 3) % 11))
            if (number + turn) % 3:
                await transaction.commit()
                kept.add(made)
            else:
                await transaction.rollback()
        await connection.close()
        return kept

    kept = set[str]().union(*await asyncio.gather(*map(program, range(8))))
    async with asyncio.timeout(20.0):
        while relay.waiting() or len(await relay.messages()) < len(kept):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await ended(running)
    assert {entry.message.id for entry in await relay.messages()} == kept


async def test_a_savepoint_that_is_rolled_back_takes_its_message_along(relay: Picking) -> None:
    connection = await asyncpg.connect(relay.dsn)
    async with connection.transaction():
        kept = await call(connection, relay)
        inner = connection.transaction()
        await inner.start()
        await call(connection, relay)
        await inner.rollback()
    await connection.close()
    await relay.collector.collect()
    assert [entry.message.id for entry in await relay.messages()] == [kept]


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"sender": None}, "sender", "sender: an address is missing"),
        ({"sender": "you"}, "sender", "sender: 'you' is no address"),
        ({"sender": "Shop <a@b>"}, "sender", "sender: 'Shop <a@b>' is no address"),
        ({"recipients": []}, "recipients", "recipients: there are 0"),
        ({"recipients": None}, "recipients", "recipients: there are 0"),
        ({"recipients": ["a@example.org", None]}, "recipients", "recipients: an address is missing"),
        ({"recipients": ["a@example.org\r\nDATA"]}, "recipients", "is no address"),
        ({"recipients": ["a@example.org"] * 1001}, "recipients", "recipients: there are 1001"),
        ({"subject": "x\r\nBcc: all@example.org"}, "subject", "subject: it holds a control character"),
        ({"text": " \n"}, "text", "text: the message is empty"),
        ({"options": "[]"}, "options", "options: it is no object"),
        ({"options": '{"colour": "red"}'}, "options", "options: there is no 'colour'"),
        ({"options": '{"key": "ä"}'}, "key", "key: it holds what is no visible ASCII character"),
        ({"options": '{"key": 7}'}, "key", "key: it is no text"),
        ({"options": json.dumps({"key": "x" * 256})}, "key", "key: it is no text, or too long"),
        ({"options": '{"priority": "high"}'}, "priority", "priority: there is no such one"),
        ({"options": '{"send_at": "tomorrow"}'}, "send_at", "send_at: it is no time with a zone"),
        (
            {"options": '{"send_at": "2999-01-01T00:00Z"}'},
            "send_at",
            "send_at: a message is held",
        ),
        ({"options": '{"tags": {"a": 1}}'}, "tags", "tags: they are texts by name"),
    ],
)
async def test_what_is_wrong_is_told_at_once_with_its_field(
    relay: Picking, wrong: dict[str, Any], field: str, told: str
) -> None:
    connection = await asyncpg.connect(relay.dsn)
    with pytest.raises(asyncpg.InvalidParameterValueError) as error:
        await call(connection, relay, **wrong)
    await connection.close()
    assert told in str(error.value)
    assert error.value.column_name == field
    assert error.value.hint
    assert relay.waiting() == 0


async def test_what_is_said_beside_a_message_reaches_it(relay: Picking) -> None:
    connection = await asyncpg.connect(relay.dsn)
    options = {
        "send_at": time.time() + 3600,
        "tags": {"order": "4711", "part": ["a", "b"]},
        "priority": "urgent",
        "account": "alerts",
    }
    await call(connection, relay, options=json.dumps(options))
    await relay.collector.collect()
    await connection.close()
    [entry] = await relay.messages()
    assert entry.message.send_at == pytest.approx(options["send_at"], abs=0.01)
    assert entry.message.tags == (("order", "4711"), ("part", "a"), ("part", "b"))
    assert entry.message.envelope.priority == 4


async def test_a_key_makes_one_message_of_two(relay: Picking) -> None:
    connection = await asyncpg.connect(relay.dsn)
    first = await call(connection, relay, options='{"key": "order-1"}')
    await call(connection, relay, options='{"key": "order-1"}')
    await relay.collector.collect()
    await call(connection, relay, options='{"key": "order-1"}', text="another text")
    await relay.collector.collect()
    await connection.close()
    [entry] = await relay.messages()
    assert entry.message.subject == "Hello"
    assert first
    assert "order-1" in relay.refused()


async def test_nobody_may_call_it_who_was_not_granted_that(relay: Picking) -> None:
    relay.database.sql("DROP ROLE IF EXISTS stranger", "CREATE ROLE stranger LOGIN")
    relay.database.sql(f"GRANT USAGE ON SCHEMA {relay.schema} TO stranger")
    stranger = await asyncpg.connect(relay.dsn.replace(f"{ROLE}@", "stranger@"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await call(stranger, relay)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.fetch(f"SELECT * FROM {relay.schema}.refused()")
    await stranger.close()
    relay.database.sql(f"REVOKE USAGE ON SCHEMA {relay.schema} FROM stranger", "DROP ROLE stranger")
    shop = await asyncpg.connect(relay.dsn)
    for forbidden in (
        "SELECT * FROM {0}.outbox",
        "INSERT INTO {0}.outbox VALUES ('x', 0, 'postgres', '{{}}', NULL, NULL)",
        "SELECT {0}.outbox_add('a@b', ARRAY['a@b'], '{{}}', NULL, 'x')",
        "SELECT * FROM {0}.message",
        "SELECT nextval('{0}.outbox_awake')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await shop.execute(forbidden.format(relay.schema))
    await shop.close()


async def test_tables_and_functions_of_the_callers_own_are_not_used(relay: Picking) -> None:
    """As the functions run with the rights of their owner."""
    relay.database.sql("CREATE SCHEMA IF NOT EXISTS traps", f"GRANT ALL ON SCHEMA traps TO {ROLE}")
    shop = await asyncpg.connect(relay.dsn)
    await shop.execute("CREATE TEMP TABLE outbox (LIKE pg_class)")
    await shop.execute(
        "CREATE OR REPLACE FUNCTION traps.outbox_id() RETURNS text LANGUAGE sql AS $$ SELECT 'trap' $$;"
        f"SET search_path = traps, pg_temp, {relay.schema}"
    )
    made = await call(shop, relay)
    await shop.close()
    relay.database.sql("DROP SCHEMA traps CASCADE")
    assert made != "trap"
    assert relay.waiting() == 1
    await relay.collector.collect()
    assert [entry.message.id for entry in await relay.messages()] == [made]


async def test_a_role_has_the_rights_of_the_client_that_it_is(database: Postgresql, schema: str) -> None:
    shop = Submitter(name="webshop", senders=("shop@example.org",), account="alerts")
    async with picking(database, schema, Admission(shop, roles=(ROLE,))) as relay:
        connection = await asyncpg.connect(relay.dsn)
        await call(connection, relay)
        other = await call(connection, relay, sender="boss@example.org")
        await connection.execute(f"SELECT {relay.schema}.send_raw('shop@example.org', $1::text[], $2)", TO,
                                 b"From: boss@example.org\r\n\r\nx\r\n")  # fmt: skip
        database.sql(f"SELECT {relay.schema}.send('shop@example.org', ARRAY['a@example.org'], 'x', 'x')")
        assert await relay.collector.collect() == 4
        [entry] = await relay.messages()
        assert entry.message.client == "webshop"
        reasons = relay.refused().splitlines()
        assert sorted(each.split(" ", 2)[2] for each in reasons) == [
            "No client has the database role postgres",
            "webshop may not send as boss@example.org",
            "webshop may not send as boss@example.org",
        ]
        own = await connection.fetch(f"SELECT * FROM {relay.schema}.refused() ORDER BY at")
        assert other in {row["id"] for row in own}
        assert len(own) == 2  # of its own role
        assert len([each for each in relay.events if isinstance(each, Warned)]) == 3
        await connection.close()


async def test_who_has_had_its_share_waits_and_keeps_nobody_else_waiting(
    database: Postgresql, schema: str
) -> None:
    slow = Submitter(name="slow", messages_per_minute=2)
    async with picking(
        database,
        schema,
        Admission(slow, roles=(ROLE,)),
        Admission(ANY, roles=("postgres",)),
    ) as relay:
        connection = await asyncpg.connect(relay.dsn)
        for _ in range(5):
            await call(connection, relay)
        await connection.close()
        database.sql(f"SELECT {relay.schema}.send('a@example.org', ARRAY['a@example.org'], 'x', 'x')")
        await relay.collector.collect()
        await relay.collector.collect()
        clients = [entry.message.client for entry in await relay.messages()]
        assert sorted(clients) == ["any", "slow", "slow"]
        assert (relay.waiting(), relay.refused()) == (3, "")


async def test_what_is_too_large_or_no_message_is_put_aside_and_others_go_on(relay: Picking) -> None:
    connection = await asyncpg.connect(relay.dsn)
    for content in (b"Subject: x\r\n\r\n" + b"x" * 300_000, b"Subject: x\r\n\r\nbare\nline\r\n", b"a\0b\r\n"):
        await connection.execute(
            f"SELECT {relay.schema}.send_raw('a@example.org', $1::text[], $2)", TO, content
        )
    fine = await call(connection, relay)
    await connection.close()
    await relay.collector.collect()
    assert [entry.message.id for entry in await relay.messages()] == [fine]
    assert len(relay.refused().splitlines()) == 3
    assert relay.waiting() == 0
    assert all("put aside" in each.text for each in relay.events if isinstance(each, Warned))


async def test_rows_that_nobody_made_by_the_functions(relay: Picking) -> None:
    """A restored table, or an administrator's hand: any row has an end."""
    for number, (request, parts, content) in enumerate(
        [
            ("{}", "NULL", "'x'"),
            ("[]", "NULL", "NULL"),
            ('{"uid": 0, "to": ["a"], "from": ""}', "NULL", "'x'"),
            ('{"uid": 0, "to": ["a@example.org"], "from": "a@example.org"}', "'[1]'", "NULL"),
            ('{"uid": 0, "to": ["a@example.org"], "from": "a@example.org"}', "'{\"text\": 1}'", "NULL"),
            ('{"uid": 0, "to": ["a@example.org"], "from": "a@example.org"}', "'{\"colour\": 1}'", "NULL"),
        ]
    ):
        relay.database.sql(
            f"INSERT INTO {relay.schema}.outbox VALUES ('{number}', 0, 'x', '{request}', {parts}, {content})"
        )
    assert await relay.collector.collect() == 6
    assert len(relay.refused().splitlines()) == 6
    assert relay.waiting() == 0


async def test_a_defect_of_ours_puts_nothing_aside(relay: Picking, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await asyncpg.connect(relay.dsn)
    made = await call(connection, relay)
    await connection.close()
    monkeypatch.setattr("postbearer.submission.outbox.draft_of", None)
    await relay.collector.collect()
    monkeypatch.undo()
    assert [event.id for event in relay.events if isinstance(event, Defect)] == [made]
    assert (relay.waiting(), relay.refused()) == (1, "")
    assert await relay.collector.collect() == 0  # not at once
    relay.collector._waiting.clear()
    await relay.collector.collect()
    assert [entry.message.id for entry in await relay.messages()] == [made]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["key", "priority", "send_at", "tags", "notify", "account", "digest", "envid", "x"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_is_handed_over_is_told_or_taken_or_put_aside(
    relay: Picking, data: st.DataObject
) -> None:
    values = {
        "sender": data.draw(st.text(max_size=30) | st.just("a@example.org")),
        "recipients": data.draw(st.lists(st.text(max_size=30) | st.just("a@example.org"), max_size=3)),
        "subject": data.draw(st.text(max_size=30)),
        "text": data.draw(st.text(max_size=30)),
        "html": data.draw(st.none() | st.text(max_size=30)),
        "options": json.dumps(data.draw(st.dictionaries(NAMES, JSON, max_size=3))),
    }
    connection, handed = await asyncpg.connect(relay.dsn), 0
    before = await results(relay)
    try:
        await call(connection, relay, **values)
        handed = 1
    except asyncpg.DataError:
        pass  # it is told
    finally:
        await connection.close()
    await relay.collector.collect()
    assert relay.waiting() == 0
    assert await results(relay) - before == handed or '"key"' in values["options"]  # known by it, perhaps
    assert not [event for event in relay.events if isinstance(event, Defect)]


async def results(relay: Picking) -> int:
    """How many messages are in the queue, or put aside."""
    refused = relay.database.sql(f"SELECT count(*) FROM {relay.schema}.outbox_refused")
    return len(await relay.messages()) + int(refused)
