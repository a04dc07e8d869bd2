"""What became of messages that were lost, or sent twice: all that is known, which stays."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from postbearer.store.postgres.url import PostgresUrl
from relay.checker import Copy, Findings

if TYPE_CHECKING:
    from relay.cluster import Cluster

MOST = 5  # messages that are told of
LINES = 40  # of the logs of each
_ITS = "delivery IN (SELECT number FROM {schema}.delivery WHERE slot = $1 AND message = $2)"
ROWS = {
    "message": "slot = $1 AND number = $2",
    "delivery": "slot = $1 AND message = $2",
    "outcome": _ITS,
    "ready": _ITS,
}


async def explained(cluster: Cluster, found: Findings) -> str:
    """Of the first of them what was answered, what the nodes said, and the rows of the database."""
    kept = Path(tempfile.mkdtemp(prefix="postbearer-kept-"))
    shutil.copytree(cluster.folder, kept, dirs_exist_ok=True, ignore=_sockets)
    copies: list[Copy] = [*found.lost, *found.unexplained, *found.undrained, *found.false_final]
    names = list(dict.fromkeys(name for name, _ in copies))[:MOST]
    parts = [f"{found.bad}", f"logs and configurations: {kept}"]
    for name in names:
        parts += [f"— {name}", *_answers(cluster, name), *_logged(cluster, name)]
        parts += [each async for each in _rows(cluster.url, name)]
    text = "\n".join(parts)
    (kept / "explanation").write_text(text)
    return text


def _sockets(folder: str, names: Sequence[str]) -> Sequence[str]:
    return [name for name in names if Path(folder, name).is_socket()]


def _answers(cluster: Cluster, name: str) -> Iterator[str]:
    for each in cluster.load.submitted:
        if each.id == name:
            yield f"answered {each.code} to {', '.join(each.recipients)}"
    came = cluster.sink.messages(f"X-Load: {name}\r\n".encode())
    yield f"came {len(came)} times: {[each.addresses for each in came]}"


def _logged(cluster: Cluster, name: str) -> Sequence[str]:
    """By its Message-ID, then by the id that the relay gave it."""
    ids = {
        str(each.get("id"))
        for each in cluster.said("Accepted")
        if str(each.get("message_id", "")).startswith(f"<{name}@")
    }
    lines = [
        f"{node.folder.name}: {event}"
        for node in cluster.nodes
        for event in node.events()
        if ids & {str(event.get("id")), *str(event.get("text", "")).split()}
    ]
    return [f"ids {sorted(ids)}", *lines[:LINES]]


async def _rows(url: str, name: str) -> AsyncIterator[str]:
    there = PostgresUrl.parse(url)
    connection = await asyncpg.connect(there.dsn)
    try:
        found = await connection.fetch(
            f"SELECT slot, number FROM {there.schema}.message WHERE message_id LIKE $1", f"%{name}@%"
        )
        for row in found:
            for table, where in ROWS.items():
                text = f"SELECT row_to_json(t)::text FROM {there.schema}.{table} AS t WHERE {where}"
                for each in await connection.fetch(text.format(schema=there.schema), *row):
                    yield f"{table}: {each[0]}"
    finally:
        await connection.close()
