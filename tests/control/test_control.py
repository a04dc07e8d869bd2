"""``control.sock``: the relay's own user and root ask and command; nobody else does."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from postbearer import errors
from postbearer.cli.exit_codes import exit_code
from postbearer.control import METHODS, ControlClient, ControlServer, Right
from postbearer.control.client import _raised
from postbearer.control.server import _told
from postbearer.errors import ConfigError, ConfigErrors, PostbearerError, StoreError, UsageError
from postbearer.events import OperatorAction
from postbearer.log import sentence
from postbearer.state import StateFolder
from support.local import NOBODY, LocalRelay, local_relay, running
from support.spooling import accept

T = TypeVar("T")


async def asked(folder: Path, work: Callable[[ControlClient], T]) -> T:
    def run() -> T:
        client = ControlClient.find(StateFolder(folder), {})
        assert client is not None
        with client:
            return work(client)

    return await asyncio.to_thread(run)


async def raw(relay: LocalRelay, octets: bytes) -> list[Any]:
    reader, writer = await asyncio.open_unix_connection(str(relay.control.path))
    writer.write(octets)
    writer.write_eof()
    try:
        lines = (await asyncio.wait_for(reader.read(), 10)).splitlines()
    except ConnectionResetError:  # it was not read to its end
        lines = []
    writer.close()
    return [json.loads(line) for line in lines]


async def test_the_queue_is_seen_and_changed_through_the_socket(folder: Path) -> None:
    async with local_relay(folder) as relay:
        await accept(relay.spool, "m1", account="alerts")

        def work(client: ControlClient) -> None:
            (message,) = client.call("queue.list", account="alerts").messages
            assert message.id == "m1"
            assert client.call("queue.list", statuses=["held"]).messages == ()
            assert client.call("queue.hold", message="m1").changed == 1
            shown = client.call("queue.show", message="m1")
            assert shown.recipients[0].state == "held"
            assert client.call("queue.release", message="m1", address="you@example.org").changed == 1
            assert client.call("queue.stats").counts == {"ready": 1}
            assert client.call("accounts.pause", name="alerts").state == "paused"
            assert client.call("accounts.resume", name="alerts").state == "ready"
            assert client.call("queue.cancel", message="m1").changed == 1

        await asked(folder, work)


async def test_an_export_comes_back_by_import(folder: Path) -> None:
    async with local_relay(folder) as relay:
        await accept(relay.spool, "m1", account="alerts", text=b"x: y\r\n\r\n" + b"z" * 200_000 + b"\r\n")
        records = await asked(folder, lambda client: list(client.export()))
        lines = [b"\n", *(json.dumps(record).encode() + b"\r\n" for record in records), b" \n"]
        assert await asked(folder, lambda client: client.import_(lines)) == 0
    (folder / "other").mkdir()
    async with local_relay(folder / "other") as other:
        assert await asked(folder / "other", lambda client: client.import_(lines)) == 1
        assert (await other.one())[1].endswith(b"zzz\r\n")
        with pytest.raises(UsageError, match="ends within"):
            await asked(folder / "other", lambda client: client.import_(lines[:-2]))
        with pytest.raises(UsageError, match="no export"):
            await asked(folder / "other", lambda client: client.import_([b"{not json"]))


async def test_errors_arrive_as_what_they_are(folder: Path) -> None:
    async with local_relay(folder):
        with pytest.raises(UsageError, match="no message 'nothing'") as caught:
            await asked(folder, lambda client: client.call("queue.show", message="nothing"))
        assert "queue list" in caught.value.hint


async def test_the_socket_is_the_owners(folder: Path) -> None:
    async with local_relay(folder) as relay:
        assert stat.S_IMODE(relay.control.path.stat().st_mode) == 0o600


async def test_another_user_is_turned_away_whatever_the_mode(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with local_relay(folder) as relay:
        if os.geteuid() == 0:
            relay.control.path.chmod(0o666)
            os.chmod(folder, 0o711)
            script = (
                f"import os, socket; os.setuid({NOBODY}); s = socket.socket(socket.AF_UNIX);"
                f"s.connect({str(relay.control.path)!r});"
                "print(s.recv(9999).decode())"
            )
            ran = await running([sys.executable, "-c", script], b"", relay.environ)
            assert ran.err == ""
            answer = json.loads(ran.out)
        else:
            monkeypatch.setattr("os.geteuid", lambda: 4242)
            (answer,) = await raw(relay, b'{"act":"queue.stats"}\n')
        assert "own user and root" in answer["error"]["message"]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"{}",
        b'{"act": 1}',
        b'{"act": "queue.shrink"}',
        b'{"act": "__class__"}',
        b'{"act": "close"}',
        b'{"act": "queue.show"}',
        b'{"act": "queue.show", "with": {"message": "m", "extra": 1}}',
        b'{"act": "queue.show", "with": {"message": ["m"]}}',
        b'{"act": "queue.list", "with": {"limit": 1000000}}',
        b'{"act": "queue.list", "with": {"statuses": ["lost"]}}',
        b'{"act": "queue.stats", "more": true}',
        b"[" * 60_000,
        b'{"act": "\xff"}',
        b'{"act": "queue.show", "with": {"message": ' + b"[" * 30_000 + b"]" * 30_000 + b"}}",
    ],
)
async def test_what_is_no_request_is_answered_and_the_connection_lives(folder: Path, line: bytes) -> None:
    async with local_relay(folder) as relay:
        first, second = await raw(relay, line + b'\n{"act": "queue.stats"}\n')
        assert first["error"]["type"] == "UsageError"
        assert second["ok"]["counts"] == {}
        assert relay.warnings == []


async def test_a_request_without_end_is_cut(folder: Path) -> None:
    async with local_relay(folder) as relay:
        (told,) = await raw(relay, b"x" * 1_000_000)
        assert told["error"]["message"] == "A request to the relay may have 64 KiB."
        assert (await raw(relay, b'{"act": "queue.stats"}\n'))[0]["ok"]


def test_nothing_but_the_table_can_be_asked() -> None:
    assert set(METHODS) == {
        *(f"queue.{act}" for act in ("list", "show", "hold", "release", "retry", "cancel", "move", "resend")),
        *("queue.stats", "queue.waiting", "queue.news"),
        *(f"jobs.{act}" for act in ("start", "list", "show", "wait", "cancel")),
        *(f"accounts.{act}" for act in ("list", "show", "pause", "resume", "changed", "token", "check")),
        *(f"accounts.{act}" for act in ("file", "add", "change", "rename", "remove", "course")),
        *(f"accounts.{act}" for act in ("settings", "preview", "put-back")),
        *(f"relay.{act}" for act in ("reload", "stop", "configuration", "explained", "log", "staging")),
        "alerts.show",
        *("tokens.list", "tokens.revoke"),
        *("nodes.list", "audit.list", "audit.verify", "console.open"),
        *(f"webhooks.{act}" for act in ("list", "test", "replay", "enable")),
    }


async def test_without_a_relay_there_is_nobody_to_ask(folder: Path) -> None:
    assert ControlClient.find(StateFolder(folder), {}) is None
    async with local_relay(folder) as relay:
        path = relay.control.path
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))  # left by a relay that was killed
    assert ControlClient.find(StateFolder(folder), {}) is None


async def test_a_relay_that_goes_away_is_told_from_an_answer(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "control.sock"))
        listening.listen()

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(100)
            connection.close()

        leaving = asyncio.create_task(asyncio.to_thread(hang_up))
        with pytest.raises(StoreError, match="went away"):
            await asked(folder, lambda client: client.call("queue.stats"))
        await leaving


async def test_the_log_names_the_user_who_changed_something(folder: Path) -> None:
    async with local_relay(folder) as relay:
        await accept(relay.spool, "m1", account="alerts")
        await asked(folder, lambda client: client.call("queue.show", message="m1"))
        await asked(folder, lambda client: client.call("queue.hold", message="m1"))
        (told,) = [event for event in relay.ears.events if isinstance(event, OperatorAction)]
        me = pwd.getpwuid(os.geteuid()).pw_name
        assert sentence(told) == f"m1: hold by {me} (uid {os.geteuid()}), 1 recipient"


async def test_a_relay_of_another_version_is_named_where_its_answer_does_not_fit(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "control.sock"))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            connection.recv(100)
            connection.sendall(b'{"ok": [{"number": 1}]}\n')
            connection.close()

        answering = asyncio.create_task(asyncio.to_thread(answer))
        with pytest.raises(StoreError, match="another version") as caught:
            await asked(folder, lambda client: client.call("queue.stats"))
        assert "Restart the relay" in caught.value.hint
        await answering


ASKED = (
    *("queue.stats", "queue.list", "accounts.list"),
    *("queue.hold", "accounts.token", "queue.export", "queue.import", "relay.stop"),
)


def as_nobody(path: Path, request: str) -> str:
    """What the socket answers to a user who is nobody to the relay."""
    command = [sys.executable, "-c", ASK, str(path), request, str(NOBODY)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return ran.stdout + ran.stderr


async def test_operators_may_look_and_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        return  # nobody else to be
    os.chmod(folder, 0o711)
    group = pwd.getpwuid(NOBODY).pw_gid
    async with local_relay(folder) as relay:
        await relay.control.stop()
        control = ControlServer(
            folder, relay.control._operations, relay.listener_context.clock, relay.ears, operators=group
        )
        await control.start()
        try:
            assert stat.S_IMODE(control.path.stat().st_mode) == 0o660
            assert control.path.stat().st_gid == group
            for act in (
                "queue.stats",
                "queue.list",
                "accounts.list",
                "queue.hold",
                "accounts.token",
                "queue.export",
            ):
                answer = await asyncio.to_thread(as_nobody, control.path, json.dumps({"act": act}))
                assert ("ok" in json.loads(answer)) is (
                    act in METHODS and METHODS[act].needs is Right.LOOK
                ), answer
                assert ("Operators may look" in answer) is not (
                    act in METHODS and METHODS[act].needs is Right.LOOK
                )
            monkeypatch.setattr(control, "_operators", group + 1)
            answer = await asyncio.to_thread(as_nobody, control.path, '{"act": "queue.stats"}')
            assert "Only the relay" in answer
        finally:
            await control.stop()


def test_what_operators_may_do_tells_no_secret_and_changes_nothing() -> None:
    assert {name for name, act in METHODS.items() if act.needs is Right.LOOK} == {
        *("queue.list", "queue.show", "queue.stats", "queue.waiting", "queue.news"),
        *("accounts.list", "accounts.show"),
        "accounts.course",
        *("jobs.list", "jobs.show", "nodes.list", "audit.list", "webhooks.list", "tokens.list"),
        *("relay.log", "relay.staging", "alerts.show"),
    }


ASK = """
import os, pwd, socket, sys
user = pwd.getpwuid(int(sys.argv[3]))
os.setgroups([]), os.setgid(user.pw_gid), os.setuid(user.pw_uid)
with socket.socket(socket.AF_UNIX) as end:
    end.settimeout(20)
    end.connect(sys.argv[1])
    end.sendall(sys.argv[2].encode() + b"\\n")
    end.shutdown(1)
    print(end.makefile().readline())
"""


ONLY_OF_SENDING = (errors.Rejected, errors.BudgetSpent)
ASKED = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PostbearerError) and kind not in ONLY_OF_SENDING
]


def made(kind: type[PostbearerError]) -> PostbearerError:
    if kind is ConfigErrors:
        return ConfigErrors([ConfigError("a", key="k", file="f", line=3, hint="h"), ConfigError("b")])
    return kind("What happened.", hint="Do.", **({"id": "7"} if kind is errors.AlreadyAccepted else {}))


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.__name__)
def test_an_error_says_the_same_on_both_ends(kind: type[PostbearerError]) -> None:
    error = made(kind)
    told = json.loads(json.dumps(_told(error)))
    assert told["type"] in vars(errors)
    other = _raised(told)
    assert (str(other), exit_code(other)) == (str(error), exit_code(error))


async def test_an_answer_has_a_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postbearer.control.server.LONGEST_ANSWER", 2000)
    async with local_relay(folder) as relay:
        for number in range(10):
            await accept(relay.spool, f"m{number}", account="alerts")
        with pytest.raises(UsageError, match="MiB") as caught:
            await asked(folder, lambda client: client.call("queue.list"))
        assert "--limit" in caught.value.hint
        assert await asked(folder, lambda client: client.call("queue.list", limit=1))
