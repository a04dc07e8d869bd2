"""``postbearer queue`` and ``accounts``: through a running relay, and on the database of a stopped one."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from cli.conftest import Home, Ran
from postbearer.clock import SystemClock
from postbearer.errors import StoreError
from postbearer.store import Spool, SqliteSpool, Status
from support.local import local_relay, short_folder
from support.spooling import accept, claim, ending

SMALL = """
[accounts.alerts]
provider = "microsoft"
address = "alerts@example.org"
tenant = "example.org"
client-id = "00000000-0000-0000-0000-000000000000"
grant = "client-credentials"
client-secret = "env:ALERTS_SECRET"

[relay]
account = "alerts"
"""


@pytest.fixture
def state(home: Home) -> Iterator[Path]:
    """A state folder short enough for sockets, known to the command."""
    with short_folder() as folder:
        home.write(SMALL)
        home.environ["POSTBEARER_STATE"] = str(folder)
        yield folder


Filler = Callable[[Spool, float], Coroutine[Any, Any, None]]


async def some(spool: Spool, now: float) -> None:
    """One message that waits, one that was delivered, one refused for now."""
    await accept(spool, "m1", account="alerts", accepted=now - 7200, due=now)
    await accept(spool, "m2", account="alerts", client="shop", accepted=now - 60, due=now - 10)
    await accept(spool, "m3", account="alerts", client="cron", accepted=now - 30, due=now - 10)
    for client, status, reply in (
        ("shop", Status.DELIVERED, "250 2.0.0 Ok"),
        ("cron", Status.DEFERRED, "451 4.7.0 later\x1b[31m"),
    ):
        (claimed,) = await claim(spool, now, account="alerts", client=client)
        await spool.settle(claimed, ending(claimed, status, at=now, reply=reply, due=now + 300))


def stopped(folder: Path, fill: Filler = some) -> None:
    """Leave a database behind, as a relay that was stopped does."""

    async def make() -> None:
        spool = SqliteSpool(folder / "spool.db", clock=SystemClock(), reserve=0, allow_ephemeral=True)
        await spool.open()
        await fill(spool, SystemClock().now())
        await spool.close()

    asyncio.run(make())


def asked(home: Home, folder: Path, runs: bool, *commands: tuple[str, ...], fill: Filler = some) -> list[Ran]:
    """What the commands print, with a relay that runs or with what it left."""
    if not runs:
        stopped(folder, fill)
        return [home.run(*command) for command in commands]

    async def within() -> list[Ran]:
        async with local_relay(folder) as relay:
            await fill(relay.spool, SystemClock().now())
            return [await asyncio.to_thread(home.run, *command) for command in commands]

    return asyncio.run(within())


@pytest.mark.parametrize("runs", [True, False])
def test_the_list_shows_what_is_open_and_why(home: Home, state: Path, runs: bool) -> None:
    plain, everything, held, old, none = asked(
        home,
        state,
        runs,
        ("queue",),
        ("queue", "list", "--all", "--json"),
        ("queue", "list", "--state", "held"),
        ("queue", "list", "--older-than", "1h", "--json"),
        ("queue", "list", "--address", "nobody"),
    )
    assert plain.code == 0, plain.err
    lines = plain.out.splitlines()
    assert lines[0].split()[:4] == ["id", "age", "state", "from"]
    assert [line.split()[0] for line in lines[1:]] == ["m1", "m3"]
    assert "2 h" in lines[1]
    assert "again in" in lines[2]
    assert "451 4.7.0 later\\x1b[31m" in lines[2]
    assert [each["id"] for each in json.loads(everything.out)["messages"]] == ["m1", "m2", "m3"]
    assert held.out == "Nothing.\n"
    assert [each["id"] for each in json.loads(old.out)["messages"]] == ["m1"]
    assert none.out == "Nothing.\n" or none.out == "The queue is empty.\n"


@pytest.mark.parametrize("runs", [True, False])
def test_of_a_message_for_many_the_list_tells_a_few_and_counts_the_others(
    home: Home, state: Path, runs: bool
) -> None:
    people = tuple(f"r{number}@example.org" for number in range(1_500))

    async def fill(spool: Spool, now: float) -> None:
        await accept(spool, "big", account="alerts", recipients=people, accepted=now, due=now + 3600)
        await spool.change("big", Status.HELD, now, "r9@example.org")
        await spool.change("big", Status.HELD, now, "r1499@example.org")

    plain, held, listed, shown = asked(
        home,
        state,
        runs,
        ("queue", "list", "--address", "r7@"),
        ("queue", "list", "--state", "held"),
        ("queue", "list", "--address", "r7@", "--json"),
        ("queue", "show", "big", "--json"),
        fill=fill,
    )
    lines = plain.out.splitlines()
    assert len(lines) == 12
    assert lines[-1].split() == ["and", "1,490", "others", "1,489", "ready,", "1", "held"]
    assert ["r1499@example.org" in each.out for each in (plain, held)] == [False, True]
    assert held.out.splitlines()[-1].split() == ["and", "1,490", "others", "1,490", "ready"]
    [told] = json.loads(listed.out)["messages"]
    assert [each["address"] for each in told["recipients"]] == list(people[:10])
    assert (told["others"], told["counts"]) == (1_490, {"ready": 1_498, "held": 2})
    whole = json.loads(shown.out)
    assert [each["address"] for each in whole["recipients"]] == list(people)
    assert (whole["others"], whole["counts"]) == (0, told["counts"])


@pytest.mark.parametrize("runs", [True, False])
def test_one_message_is_shown_with_its_attempts(home: Home, state: Path, runs: bool) -> None:
    shown, unknown = asked(home, state, runs, ("queue", "show", "m2"), ("queue", "show", "m9"))
    assert "accepted by the provider" in shown.out
    assert "attempt 1" in shown.out
    assert unknown.code == 64
    assert "no message 'm9'" in unknown.err


@pytest.mark.parametrize("runs", [True, False])
def test_messages_are_held_released_retried_and_cancelled(home: Home, state: Path, runs: bool) -> None:
    answers = asked(
        home,
        state,
        runs,
        ("queue", "hold", "m1"),
        ("queue", "list", "--state", "held", "--json"),
        ("queue", "release", "m1"),
        ("queue", "retry", "--message-id", "m3@", "--yes"),
        ("queue", "cancel", "m1", "--recipient", "you@example.org", "--json"),
        ("queue", "cancel", "--older-than", "1s"),
        ("queue", "cancel"),
        ("queue", "stats", "--json"),
    )
    held, listed, released, retried, cancelled, unsure, nothing, stats = answers
    assert held.out == "m1: 1 recipient held\n"
    assert [each["id"] for each in json.loads(listed.out)["messages"]] == ["m1"]
    assert released.out == "m1: 1 recipient released\n"
    assert retried.err == ""
    assert retried.out == "1 recipient of 1 message due now.\n"
    assert json.loads(cancelled.out) == {"messages": [{"id": "m1", "changed": 1, "states": {"cancelled": 1}}]}
    assert (unsure.code, nothing.code) == (64, 64)
    assert "--yes" in unsure.err
    assert json.loads(stats.out)["counts"]["cancelled"] == 1


@pytest.mark.parametrize("runs", [True, False])
def test_one_mistyped_id_leaves_all_messages_as_they_are(home: Home, state: Path, runs: bool) -> None:
    refused, shown = asked(home, state, runs, ("queue", "cancel", "m1", "m9"), ("queue", "show", "m1"))
    assert (refused.code, refused.out) == (64, "")
    assert "no message 'm9'" in refused.err
    assert "cancelled" not in shown.out


@pytest.mark.parametrize("runs", [True, False])
def test_what_waits_for_a_paused_account_is_not_called_due(home: Home, state: Path, runs: bool) -> None:
    _, retried, told, _, again = asked(
        home,
        state,
        runs,
        ("accounts", "pause", "alerts"),
        ("queue", "retry", "m1", "m3"),
        ("queue", "retry", "m1", "--json"),
        ("accounts", "resume", "alerts"),
        ("queue", "retry", "m1", "--json"),
    )
    assert retried.code == 0
    assert retried.out == (
        "m1: 1 recipient waits for the paused account alerts\n"
        "m3: 1 recipient waits for the paused account alerts\n"
    )
    assert retried.err == (
        "warning: The account alerts is paused: Paused by hand.\n"
        "  → Let it send again: postbearer accounts resume alerts\n"
    )
    (message,) = json.loads(told.out)["messages"]
    assert message["changed"] == 1
    (pause,) = message["paused"]
    assert (pause["account"], pause["recipients"], pause["tried_again"]) == ("alerts", 1, None)
    assert json.loads(again.out) == {
        "messages": [{"id": "m1", "changed": 1, "states": {"ready": 1}, "paused": []}]
    }


@pytest.mark.parametrize("runs", [True, False])
def test_what_waits_for_a_paused_account_says_so_and_names_the_way_out(
    home: Home, state: Path, runs: bool
) -> None:
    _, listed, shown = asked(
        home, state, runs, ("accounts", "pause", "alerts"), ("queue",), ("queue", "show", "m1")
    )
    for told in (listed, shown):
        words = " ".join(told.out.split())
        assert "The account alerts is paused: Paused by hand." in words
        assert "postbearer accounts resume alerts" in words


def test_what_waits_for_an_account_that_was_removed_says_so_and_names_the_way_out(
    home: Home, state: Path
) -> None:
    home.write(SMALL.replace("[accounts.alerts]", "[accounts.news]").replace('= "alerts"', '= "news"'))
    listed, shown, told = asked(
        home, state, False, ("queue",), ("queue", "show", "m1"), ("queue", "show", "m1", "--json")
    )
    for each in (listed, shown):
        words = " ".join(each.out.split())
        assert "The account alerts is not configured any more." in words
        assert "postbearer queue cancel" in words
    (recipient,) = json.loads(told.out)["recipients"]
    assert "[accounts.alerts]" in recipient["way_out"]


@pytest.mark.parametrize("runs", [True, False])
def test_accounts_are_listed_paused_and_resumed(home: Home, state: Path, runs: bool) -> None:
    listed, paused, shown, resumed, unknown = asked(
        home,
        state,
        runs,
        ("accounts",),
        ("accounts", "pause", "alerts"),
        ("accounts", "show", "alerts", "--json"),
        ("accounts", "resume", "alerts", "--json"),
        ("accounts", "show", "other"),
    )
    assert listed.out.splitlines()[1].split()[:2] == ["alerts", "ready"]
    assert "paused" in paused.out
    assert json.loads(shown.out)["state"] == "paused"
    assert json.loads(resumed.out)["state"] == "ready"
    assert unknown.code == 78


def test_an_export_moves_the_open_messages_to_another_store(home: Home, state: Path) -> None:
    stopped(state)
    file = home.folder / "queue.jsonl"
    exported = home.run("queue", "export", str(file))
    assert exported.err == "2 messages written.\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # it holds other people's mail
    with short_folder() as other:
        moved = {"POSTBEARER_STATE": str(other)}
        assert home.run("queue", "import", str(file), environ=moved).out == "2 messages taken.\n"
        assert home.run("queue", "import", str(file), "--json", environ=moved).out == '{"imported": 0}\n'
        listed = home.run("queue", "list", "--json", environ=moved)
        assert [each["id"] for each in json.loads(listed.out)["messages"]] == ["m1", "m3"]
        broken = home.run("queue", "import", "-", stdin="not an export\n", environ=moved)
        assert (broken.code, "queue export" in broken.err) == (65, True)


def test_an_export_is_whole_or_not_there(home: Home, state: Path) -> None:
    stopped(state)
    nowhere = home.run("queue", "export", str(home.folder / "missing" / "queue.jsonl"))
    assert (nowhere.code, "No such file" in nowhere.err, "→" in nowhere.err) == (73, True, True)
    file = home.folder / "queue.jsonl"
    file.write_text("an earlier one")
    for each in state.glob("spool.db*"):
        each.unlink()
    assert home.run("queue", "export", str(file)).code == 78  # there is no queue
    assert file.read_text() == "an earlier one"


def test_an_export_to_a_full_disk_says_so(home: Home, state: Path) -> None:
    stopped(state)
    full = home.run("queue", "export", "/dev/full")
    assert (full.code, "No space left" in full.err, "Make room there" in full.err) == (73, True, True)


def test_an_export_goes_into_a_pipe_and_does_not_replace_it(home: Home, state: Path) -> None:
    stopped(state)
    pipe = home.folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert home.run("queue", "export", str(pipe)).code == 0
        read, _ = reader.communicate(timeout=30)
    assert len([each for each in map(json.loads, read.splitlines()) if "message" in each]) == 2


def test_an_import_of_what_is_not_there_is_66(home: Home, state: Path) -> None:
    stopped(state)
    ran = home.run("queue", "import", "/nowhere/queue.jsonl")
    assert (ran.code, "No such file" in ran.err) == (66, True)


def test_stats_are_a_table(home: Home, state: Path) -> None:
    stopped(state)
    out = home.run("queue", "stats").out
    assert out.splitlines()[0].split() == ["account", "ready", "deferred", "delivered"]
    assert "has waited 2 h" in out


def test_an_empty_queue_says_so(home: Home, state: Path) -> None:
    async def nothing(spool: Spool, now: float) -> None:
        pass

    stopped(state, nothing)
    assert home.run("queue").out == "The queue is empty.\n"


def test_options_alone_mean_the_list(home: Home, state: Path) -> None:
    stopped(state)
    everything = json.loads(home.run("queue", "--all", "--json").out)["messages"]
    assert [each["id"] for each in everything] == ["m1", "m2", "m3"]
    assert [each["name"] for each in json.loads(home.run("accounts", "--json").out)["accounts"]] == ["alerts"]
    assert "Commands:" in home.run("queue", "-h").out


def test_mail_that_waits_for_its_account_is_promised_no_time(home: Home, state: Path) -> None:
    async def paused(spool: Spool, now: float) -> None:
        await accept(spool, "m1", account="alerts", accepted=now - 60, due=now - 60)
        (claimed,) = await claim(spool, now, account="alerts")
        await spool.settle(
            claimed, ending(claimed, Status.DEFERRED, at=now, reply="535 5.7.3 No", due=now - 1)
        )

    stopped(state, paused)
    assert "again in" not in home.run("queue").out


def test_without_relay_and_queue_the_next_step_is_told(home: Home, state: Path) -> None:
    ran = home.run("queue", "list")
    assert ran.code == 78
    assert "postbearer serve" in ran.err


def test_a_spool_that_somebody_else_holds_is_left_alone(home: Home, state: Path) -> None:
    async def within() -> Ran:
        spool = SqliteSpool(state / "spool.db", clock=SystemClock(), reserve=0, allow_ephemeral=True)
        await spool.open()
        try:
            return await asyncio.to_thread(home.run, "queue", "list", "--json")
        finally:
            await spool.close()

    ran = asyncio.run(within())
    assert ran.code == 75
    assert json.loads(ran.out)["error"]["type"] == StoreError.__name__


@pytest.mark.parametrize(
    "arguments",
    [
        ("--state", "lost"),
        ("--older-than", "soon"),
        ("--limit", "0"),
        ("--nonsense",),
        ("--search", "state:lost"),
        ("--search", "older:1h", "--older-than", "1h"),
    ],
)
def test_filters_that_make_no_sense_are_refused(home: Home, arguments: tuple[str, ...]) -> None:
    assert home.run("queue", "list", *arguments).code == 64


def test_subjects_are_looked_at_in_the_last_messages(
    home: Home, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ("queue", "list", "--all", "--search", "subject:report")
    [whole] = asked(home, state, True, search)
    monkeypatch.setattr("postbearer.control.messages.SUBJECTS", 1)  # the relay runs in this process
    [some] = asked(home, state, True, search)
    assert "Subjects were looked at" not in whole.err
    assert "Subjects were looked at in what was accepted since" in some.err


def test_a_search_is_typed_as_in_the_console(home: Home, state: Path) -> None:
    stopped(state)
    found = json.loads(home.run("queue", "list", "--json", "--search", "state:deferred reply:LATER").out)
    assert [each["id"] for each in found["messages"]] == ["m3"]
    ran = home.run("queue", "hold", "--search", "state:deferred newer:1h", "--dry-run")
    assert ran.out == "1 message would be held.\n"
    wrong = home.run("queue", "list", "--search", "client:cron repyl:later")
    assert "'repyl:later' (at 13)" in wrong.err
    assert "Did you mean reply?" in wrong.err


def test_a_password_is_hashed_from_standard_input(home: Home) -> None:
    ran = home.run("secret", "hash-password", stdin="canary-password\n")
    assert ran.out.startswith("$argon2id$v=19$m=")
    assert "canary" not in ran.out + ran.err
    again = home.run("secret", "hash-password", "--json", stdin="canary-password\n")
    assert json.loads(again.out)["password_hash"] != ran.out.strip()
    assert home.run("secret", "hash-password", stdin="").code == 64


def test_a_restored_queue_is_held_whoever_opens_it_first(home: Home, state: Path) -> None:
    stopped(state)
    (state / "spool.generation").unlink()
    for _ in range(2):  # whoever looks changes nothing, also not that it has to be told
        ran = home.run("queue")
        assert "warning: The queue is an older copy of what was here" in ran.err
        assert "will be held when the relay starts" in ran.err
        assert "held" not in ran.out
    assert home.run("queue", "release", "--state", "held", "--yes").code == 0
    assert "held" not in home.run("queue").out


def test_a_bad_export_makes_no_queue(home: Home, state: Path) -> None:
    for text in ("nonsense\n", '{"message": {"id": "../x"}}\n', ""):
        before = sorted(each.name for each in state.iterdir()) if state.exists() else []
        ran = home.run("queue", "import", stdin=text)
        assert ran.code == (65 if text else 0), ran.err
        left = {each.name for each in state.iterdir()} - set(before)
        assert text == "" or left <= {"spool.lock"}, left


@pytest.mark.parametrize("command", ["show", "hold", "release", "retry", "cancel", "move"])
def test_the_beginning_of_an_id_will_do_if_it_is_of_one_message_only(
    home: Home, state: Path, command: str
) -> None:
    async def fill(spool: Spool, now: float) -> None:
        for name in ("abc1", "abc2", "abd1"):
            await accept(spool, name, account="alerts", accepted=now, due=now)

    stopped(state, fill)
    more = ("--account", "alerts") if command == "move" else ()
    ambiguous = home.run("queue", command, "abc", *more)
    assert ambiguous.code == 64
    assert "Several ids begin with 'abc'." in ambiguous.err
    assert "Name one: abc1, abc2." in ambiguous.err
    assert home.run("queue", command, "x", *more).code == 64
    one = home.run("queue", command, "abd", "--json", *more)
    assert one.code == 0
    told = json.loads(one.out)
    assert (told["id"] if command == "show" else told["messages"][0]["id"]) == "abd1"


def test_a_message_is_resent_by_a_relay_that_runs_only(home: Home, state: Path) -> None:
    stopped(state, some)
    ran = home.run("queue", "resend", "m1")
    assert ran.code == 64
    assert "No relay runs that could take it." in ran.err
    assert "postbearer serve" in ran.err
    assert home.run("queue", "resend", "x").code == 64
    assert home.run("queue", "resend").code == 64


def test_a_recipient_that_a_message_does_not_have_changes_nothing(home: Home, state: Path) -> None:
    stopped(state, some)
    for named in ("me@example.org", "no address"):
        ran = home.run("queue", "cancel", "m1", "m3", "--recipient", named)
        assert ran.code == 64
        assert f"'{named}' is no recipient of the message m1." in ran.err
        assert "Its recipients: you@example.org." in ran.err
    assert json.loads(home.run("queue", "show", "m1", "--json").out)["recipients"][0]["state"] == "ready"


def test_an_address_that_cannot_be_read_is_cancelled_by_what_is_shown_of_it(home: Home, state: Path) -> None:
    stopped(state, some)
    connection = apsw.Connection(str(state / "spool.db"))
    connection.execute("UPDATE recipient SET address = 'x y@' WHERE id = 1")
    connection.close()
    others = home.run("queue", "cancel", "m3", "--recipient", "you@example.org")
    assert (others.code, others.out) == (0, "m3: 1 recipient cancelled\n")
    assert home.run("queue", "cancel", "m1", "--recipient", "x y@").out == "m1: 1 recipient cancelled\n"
