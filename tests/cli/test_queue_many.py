"""``postbearer queue`` on many messages at once, and ``queue move``: with a relay that runs, and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Home
from cli.test_queue import SMALL, asked, stopped
from postbearer.store import Spool
from support.local import short_folder
from support.spooling import accept

TWO = SMALL.replace(
    "[relay]",
    """[accounts.spare]
provider = "microsoft"
address = "app@example.org"
tenant = "example.org"
client-id = "00000000-0000-0000-0000-000000000000"
grant = "client-credentials"
client-secret = "env:ALERTS_SECRET"
sender = "check"

[accounts.other]
provider = "microsoft"
address = "other@example.org"
tenant = "example.org"
client-id = "00000000-0000-0000-0000-000000000000"
grant = "client-credentials"
client-secret = "env:ALERTS_SECRET"
sender = "check"

[relay]""",
)


@pytest.fixture
def state(home: Home) -> Iterator[Path]:
    with short_folder() as folder:
        home.write(TWO)
        home.environ["POSTBEARER_STATE"] = str(folder)
        yield folder


@pytest.mark.parametrize("runs", [True, False])
def test_what_matches_is_counted_asked_about_and_done(home: Home, state: Path, runs: bool) -> None:
    dry, unsure, held, listed, none, all_, stats = asked(
        home,
        state,
        runs,
        ("queue", "hold", "--account", "alerts", "--dry-run"),
        ("queue", "hold", "--account", "alerts"),
        ("queue", "hold", "--account", "alerts", "--yes", "--json"),
        ("queue", "list", "--state", "held", "--json"),
        ("queue", "hold", "--account", "nobody", "--yes"),
        ("queue", "cancel", "--all-matching", "--yes"),
        ("queue", "stats", "--json"),
    )
    assert (dry.code, dry.out, dry.err) == (0, "2 messages would be held.\n", "")
    assert (unsure.code, unsure.out) == (64, "")
    assert "This would hold 2 messages." in unsure.err
    told = json.loads(held.out)
    assert (told["state"], told["matched"], told["done"], told["changed"]) == ("done", 2, 2, 2)
    assert told["began"].endswith("+00:00")
    assert [each["id"] for each in json.loads(listed.out)["messages"]] == ["m1", "m3"]
    assert (none.code, none.out) == (0, "Nothing.\n")
    assert all_.out == "2 recipients of 2 messages cancelled.\n"
    assert json.loads(stats.out)["counts"] == {"delivered": 1, "cancelled": 2}


@pytest.mark.parametrize("runs", [True, False])
def test_what_cannot_be_meant_is_refused_before_anything_is_changed(
    home: Home, state: Path, runs: bool
) -> None:
    refused = asked(
        home,
        state,
        runs,
        ("queue", "hold"),
        ("queue", "hold", "m1", "--account", "alerts"),
        ("queue", "hold", "m1", "--dry-run"),
        ("queue", "cancel", "--recipient", "you@example.org", "--account", "alerts", "--yes"),
        ("queue", "hold", "--state", "delivered", "--yes"),
        ("queue", "release", "--state", "ready", "--yes"),
        ("queue", "move", "--all-matching", "--yes"),
        ("queue", "cancel", "--older-than", "soon", "--yes"),
        ("queue", "stats", "--json"),
    )
    *wrong, stats = refused
    assert [each.code for each in wrong] == [64] * len(wrong)
    assert [each.out for each in wrong] == [""] * len(wrong)
    assert "--all-matching" in wrong[0].err
    assert "not both" in wrong[1].err
    assert "It works on what is scheduled or ready or deferred." in wrong[4].err
    assert json.loads(stats.out)["counts"] == {"ready": 1, "deferred": 1, "delivered": 1}


def test_messages_are_moved_by_id_and_by_filter(home: Home, state: Path) -> None:
    stopped(state)
    assert home.run("queue", "move", "m1", "--account", "spare").out == "m1: 1 recipient moved to spare\n"
    row = json.loads(home.run("queue", "show", "m1", "--json").out)["recipients"][0]
    assert (row["account"], row["state"]) == ("spare", "ready")
    many = home.run("queue", "move", "--from-account", "alerts", "--account", "spare", "--yes")
    assert many.out == "1 recipient of 1 message moved to spare.\n"
    assert json.loads(home.run("queue", "stats", "--json").out)["accounts"]["spare"] == {
        "ready": 1,
        "deferred": 1,
    }


def test_where_the_account_may_not_send_it_a_message_stays(home: Home, state: Path) -> None:
    stopped(state)
    one = home.run("queue", "move", "m1", "--account", "other")
    assert one.code == 64
    assert "m1 may not leave by other: Mail may not leave this account as app@example.org" in one.err
    many = home.run("queue", "move", "--all-matching", "--account", "other", "--yes")
    assert (many.code, many.out) == (0, "0 recipients of 2 messages moved to other.\n")
    assert "2 messages stay as before, the last one for this: m3: Mail may not leave" in many.err
    unknown = home.run("queue", "move", "m1", "--account", "spar")
    assert (unknown.code, "spare" in unknown.err) == (64, True)
    assert set(json.loads(home.run("queue", "stats", "--json").out)["accounts"]) == {"alerts"}


def test_the_text_of_others_does_nothing_to_a_terminal(home: Home, state: Path) -> None:
    async def fill(spool: Spool, now: float) -> None:
        await accept(spool, "m1", account="alerts\x1b[31m", accepted=now, due=now)

    stopped(state, fill)
    for words in (
        ("hold", "--account", "alerts\x1b[31m", "--yes"),
        ("move", "m1", "--account", "\x1b[31m"),
        ("move", "--all-matching", "--account", "\u202e", "--yes"),
    ):
        ran = home.run("queue", *words)
        assert "\x1b" not in ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err


@pytest.mark.parametrize("runs", [True, False])
def test_who_did_what_is_shown_and_verified(home: Home, state: Path, runs: bool) -> None:
    _, _, shown, told, verified, as_json = asked(
        home,
        state,
        runs,
        ("queue", "hold", "m1"),
        ("accounts", "pause", "alerts"),
        ("audit",),
        ("audit", "--json", "--limit", "1"),
        ("audit", "--verify"),
        ("audit", "--verify", "--json"),
    )
    lines = shown.out.splitlines()
    assert "pause" in lines[1]
    assert "m1" in lines[2]
    newest = json.loads(told.out)
    assert (newest["more"], newest["entries"][0]["action"]) == (True, "pause")
    assert verified.out.startswith("2 entries are as they were written. The last hash is ")
    assert json.loads(as_json.out) == {"entries": 2, "wrong": None, "last": newest["entries"][0]["hash"]}
