"""The settings of an account as they stand: where each comes from, what differs, and no secret in either."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from postbearer.config import parse, with_keys
from postbearer.control import AccountSettingRow
from postbearer.control.account_keys import FROM_ELSEWHERE, SECRETS, WHERE
from postbearer.control.account_settings import SharedEdits, difference, setting_rows

FILE = b"""
[accounts.news]
provider = "microsoft"
address = "news@example.org"
tenant = "example.org"
grant = "client-credentials"
client-id = "11111111-2222-3333-4444-555555555555"
client-secret = "env:NEWS_SECRET"
proxy = "socks5://me:hunter2@proxy.example.org:1080"

[accounts.news.limits]  # as agreed
connections = 2  # no more
size = "20 MB"
"""


def rows(**environ: str) -> dict[str, AccountSettingRow]:
    loaded = parse(FILE, "x.toml", environ)
    table: Mapping[str, Any] = tomllib.loads(FILE.decode())["accounts"]["news"]
    free = (FROM_ELSEWHERE | SECRETS) - WHERE
    return {each.key: each for each in setting_rows(loaded, "news", table, free)}


def test_each_key_says_where_it_is_from() -> None:
    found = rows()
    assert (found["address"].origin, found["address"].value) == ("file", "news@example.org")
    assert (found["servers"].origin, found["servers"].changeable) == ("provider", False)
    assert (found["limits.connections"].origin, found["limits.connections"].value) == ("file", 2)
    assert found["limits.messages-per-minute"].origin == "provider"
    assert (found["sender"].origin, found["sender"].value) == ("default", "force")
    assert (found["timeout"].origin, found["timeout"].value) == ("none", None)


def test_no_secret_is_in_them() -> None:
    found = rows()
    assert (found["client-secret"].value, found["client-secret"].changeable) == ("env", True)
    assert "hunter2" not in repr(found)
    assert not found["proxy"].changeable


def test_what_the_environment_says_is_not_changed_in_the_file() -> None:
    found = rows(POSTBEARER_ACCOUNTS__NEWS__TIMEOUT="2m", POSTBEARER_ACCOUNTS__NEWS__LIMITS__SIZE="1 MB")
    assert (found["timeout"].origin, found["timeout"].value) == ("environment", "2m")
    assert found["timeout"].variable == "POSTBEARER_ACCOUNTS__NEWS__TIMEOUT"
    assert not found["timeout"].changeable
    assert not found["limits.connections"].changeable  # the table is written as a whole
    assert found["sender"].changeable


def test_a_difference_has_no_secret_and_no_word_of_what_stays() -> None:
    old = {
        "client-secret": "sealed:abc",
        "proxy": "socks5://me:hunter2@a:1",
        "limits": {"size": 1},
        "tls": "x",
    }
    new = {"client-secret": "sealed:def", "limits": {"size": 1, "connections": 2}, "tls": "x"}
    lines = difference("news", old, new)
    assert lines == (
        "  [accounts.news]",
        '- client-secret = "sealed:…"',
        '+ client-secret = "sealed:…"',
        '- proxy = "socks5://me:***@a:1"',
        "+ limits.connections = 2",
    )
    assert difference("news", old, old) == ()


def test_a_version_tells_states_apart_and_nothing_of_them() -> None:
    edits, table = SharedEdits(), {"address": "a@example.org"}
    assert edits.version(table) == edits.version({**table})
    assert edits.version(table) != edits.version({**table, "timeout": "2m"})
    assert edits.version(table) != SharedEdits().version(table)


def test_comments_beside_limits_stay() -> None:
    after = with_keys(FILE, "news", {"limits": {"connections": 2, "messages-per-day": 9}}).decode()
    assert "[accounts.news.limits]  # as agreed\nconnections = 2  # no more\n" in after
    assert "size" not in after
    assert "messages-per-day = 9" in after
