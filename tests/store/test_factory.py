"""A spool is found, opened and removed by its URL, whoever asks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postbearer.errors import ConfigError
from postbearer.store import SpoolUrl, Status, open_spool, spool_place
from postbearer.testing import ManualClock
from support.spooling import START, accept, statuses


async def test_what_one_leaves_at_a_url_another_finds_there(tmp_path: Path) -> None:
    url = SpoolUrl.parse("sqlite:queue.db", tmp_path)
    assert not url.exists()
    spool = open_spool(url, clock=ManualClock(START), allow_ephemeral=True)
    await spool.open()
    await accept(spool, "m1")
    await spool.close()
    assert url.exists()
    again = open_spool(str(url), clock=ManualClock(START), allow_ephemeral=True)
    assert (await again.open(read_only=True)).clean
    assert await statuses(again, "m1") == [Status.READY]
    await again.close()
    url.remove()
    assert os.listdir(tmp_path) == ["queue.lock"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:/srv/queue.db", "/srv/queue.db"),
        ("sqlite:///srv/queue.db", "/srv/queue.db"),
        ("sqlite:queue.db", "/etc/queue.db"),
        ("sqlite:spool/a b%20c?d", "/etc/spool/a b%20c?d"),
    ],
)
def test_where_it_is(url: str, path: str) -> None:
    assert SpoolUrl.parse(url, Path("/etc")).place == path


@pytest.mark.parametrize(
    "url",
    [
        "mysql:x",
        "postgres",
        "postgresql:mail",
        "/srv/queue.db",
        "queue.db",
        "sqlite",
        "sqlite:",
        "sqlite:/",
        "sqlite://host.example.org/queue.db",
        "SQLITE\n:x",
        "",
    ],
)
def test_what_is_no_url_of_a_spool_names_the_fix(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_spool(url, clock=ManualClock(START))
    assert (refused.value.key, refused.value.hint) == (
        "relay.spool",
        'Write spool = "sqlite:/path/to/spool.db", or "postgresql://user@host/database".',
    )
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://mail@db.example.org/mail", "postgresql://db.example.org/mail, schema postbearer"),
        ("postgres:///mail?host=/run/pg&schema=two", "postgresql:///mail, schema two"),
    ],
)
def test_a_database_is_named_without_its_user(url: str, place: str) -> None:
    assert spool_place(url, Path("/etc")).place == place


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("postgresql://mail:canary-5417@db.example.org/mail", "cannot hold a password."),
        ("postgresql://db.example.org/mail?password=canary-5417", "cannot hold a password."),
        ("postgresql://db.example.org/mail?schema=Two", "has 'Two' as schema."),
        ("postgresql://db.example.org/mail?schema=a;b", "has 'a;b' as schema."),
        ("postgresql://db.example.org/mail?options=-c%20fsync", "has the unknown parameter 'options'."),
        ("postgresql://[db/mail", "is no URL of a database."),
    ],
)
def test_what_is_wrong_with_the_url_of_a_database_is_told_without_its_secret(url: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        spool_place(url, Path("/etc"))
    assert (refused.value.key, refused.value.message) == ("relay.spool", wrong)
    assert refused.value.hint
    assert "canary" not in str(refused.value)
