"""The token broker: whoever of this user asks, by command, library or socket, gets the one token there is."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from postbearer.control import ControlClient
from postbearer.errors import GrantRefused, TokenUnavailable, UsageError
from postbearer.state import StateFolder
from postbearer.testing import BackgroundSandbox, Faults, Sandbox, TokenFault
from postbearer.tokens import token_source
from relay.conversing import submit
from relay.running import Relay, relay_table
from support.local import NOBODY
from support.plugged import install

EACH = 8  # askers of every kind


@pytest.fixture
def sandbox(postbearer_sandbox: Sandbox) -> Sandbox:
    return postbearer_sandbox


@pytest.fixture
def relay(home: Path, sandbox: Sandbox) -> Iterator[Relay]:
    with Relay(home, sandbox.configuration("alerts") + relay_table('account = "alerts"')) as relay:
        assert relay.start()
        yield relay


def command(relay: Relay, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTBEARER")}
    return subprocess.run(
        [sys.executable, "-m", "postbearer", "token", *arguments],
        env={**clean, "POSTBEARER_STATE": relay.state.path, "POSTBEARER_CONFIG": str(relay.config)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def by_socket(relay: Relay) -> str:
    client = ControlClient.find(relay.state, {})
    assert client is not None
    with client:
        return str(client.call("accounts.token", name="alerts").access_token)


def everybody(relay: Relay) -> list[Callable[[], str]]:
    """Processes, threads with a source of their own, threads that share one, and askers at the socket."""
    shared = token_source("alerts", config=relay.config, state=relay.state)

    def own() -> str:
        source = token_source("alerts", config=relay.config, state=relay.state)
        return source.token_blocking().access.reveal()

    return [
        lambda: command(relay, "alerts").stdout.rstrip("\n"),
        lambda: command(relay, "alerts", "--relay").stdout.rstrip("\n"),
        lambda: by_socket(relay),
        own,
        lambda: shared.token_blocking().access.reveal(),
    ]


def all_at_once(relay: Relay) -> set[str]:
    askers = everybody(relay) * EACH
    together = threading.Barrier(len(askers))

    def ask(asker: Callable[[], str]) -> str:
        together.wait(60)
        return asker()

    with ThreadPoolExecutor(len(askers)) as pool:
        return set(pool.map(ask, askers))


def test_one_request_for_a_lifetime_however_many_ask(relay: Relay, sandbox: Sandbox) -> None:
    before = sandbox.token_requests
    first = all_at_once(relay)
    assert len(first) == 1
    assert submit(relay, "and the relay sends with it") == 250
    assert relay.drain()
    assert sandbox.token_requests - before == 1
    state = StateFolder(relay.state.path)
    source = token_source("alerts", config=relay.config, state=state)
    kept = source.token_blocking()
    assert {kept.access.reveal()} == first


def test_the_next_lifetime_costs_the_next_request(home: Path) -> None:
    """A token that the server no longer knows is replaced once, for everybody."""
    with BackgroundSandbox() as sandbox:
        text = sandbox.configuration("alerts") + relay_table('account = "alerts"')
        with Relay(home, text) as relay:
            assert relay.start()
            (first,) = all_at_once(relay)
            sandbox.register._access.clear()
            assert submit(relay, "this finds out") == 250
            assert relay.drain()
            (second,) = all_at_once(relay)
            assert second != first
            assert sandbox.token_requests == 2


def test_what_the_socket_says(relay: Relay, sandbox: Sandbox) -> None:
    told: dict[str, Any] = json.loads(command(relay, "alerts", "--relay", "--json").stdout)
    assert (told["account"], told["token_type"], told["scope"]) == ("alerts", "Bearer", "smtp.send")
    assert 0 < told["expires_in"] <= 3600
    assert sandbox.register.known(told["access_token"])


def test_another_program_needs_one_line(relay: Relay, sandbox: Sandbox) -> None:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(30)
        asking.connect(f"{relay.state.path}/control.sock")
        asking.sendall(b'{"act": "accounts.token", "with": {"name": "alerts"}}\n')
        told = json.loads(asking.makefile("rb").readline())
    assert sandbox.register.known(told["ok"]["access_token"])


@pytest.mark.parametrize(
    ("faults", "kind", "code"),
    [
        (Faults(token=[TokenFault(kind="down")]), TokenUnavailable, 75),
        (Faults(token=[TokenFault(kind="throttled")]), TokenUnavailable, 75),
    ],
    ids=["down", "throttled"],
)
def test_errors_are_the_same_as_without_the_relay(
    relay: Relay, sandbox: Sandbox, faults: Faults, kind: type[Exception], code: int
) -> None:
    sandbox.set_faults(Faults(token=faults.token))
    with pytest.raises(kind):
        by_socket(relay)
    told = command(relay, "alerts", "--relay")
    assert (told.returncode, told.stdout) == (code, "")


def test_a_grant_that_is_refused_is_told_with_its_cure(home: Path, sandbox: Sandbox) -> None:
    wrong = home / "wrong-secret"
    wrong.write_text("canary-that-is-wrong\n")
    text = sandbox.configuration("alerts").replace(str(sandbox.folder / "client-secret"), str(wrong))
    with Relay(home, text + relay_table('account = "alerts"')) as relay:
        assert relay.start()
        with pytest.raises(GrantRefused) as refused:
            by_socket(relay)
        assert refused.value.hint
        told = command(relay, "alerts", "--relay")
        assert "canary" not in told.stderr + relay.log
        assert told.returncode in (77, 78)


DOWN = """
[secret-stores.safe]
type = "hashicorp-vault"
address = "http://127.0.0.1:9"
token = "file:{token}"
"""


@pytest.mark.parametrize(
    ("secret", "code"), [("file:{wrong}", 78), ("file:/gone", 78), ("safe:kv/mail#secret", 75)]
)
def test_a_program_reads_the_same_of_an_error_with_the_relay_and_without(
    home: Path, sandbox: Sandbox, secret: str, code: int
) -> None:
    wrong = home / "wrong-secret"
    wrong.write_text("canary-that-is-wrong\n")
    given = f'client-secret = "{secret.format(wrong=wrong)}"'
    text = re.sub("(?m)^client-secret = .*$", given, sandbox.configuration("alerts"))
    with Relay(home, text + relay_table('account = "alerts"') + DOWN.format(token=wrong)) as relay:
        assert relay.start()
        asked, alone = command(relay, "alerts", "--relay", "--json"), command(relay, "alerts", "--json")
    assert json.loads(asked.stdout) == json.loads(alone.stdout)
    assert (asked.returncode, alone.returncode) == (code, code)
    if "wrong" in secret:
        error = json.loads(asked.stdout)["error"]
        assert (error["account"], error["code"]) == ("alerts", "invalid_client")


BROKEN = """
from postbearer.oauth import TokenGrant


class Voucher(TokenGrant):
    name = "voucher"

    def request(self, context):
        return None
"""


def test_the_defect_of_a_plug_in_is_told_the_same_too(
    home: Path, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(
        tmp_path / "site", "broken_shop", BROKEN, "[postbearer.grants]\nvoucher = broken_shop:Voucher\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    text = re.sub("(?m)^(client-id|client-secret|scopes) = .*\n", "", sandbox.configuration("alerts"))
    text = re.sub("(?m)^grant = .*$", 'grant = "voucher"', text)
    with Relay(home, text + relay_table('account = "alerts"')) as relay:
        assert relay.start()
        asked, alone = command(relay, "alerts", "--relay", "--json"), command(relay, "alerts", "--json")
    assert json.loads(asked.stdout) == json.loads(alone.stdout)
    error = json.loads(asked.stdout)["error"]
    assert (error["type"], error["account"], asked.returncode) == ("PlugInFailed", "alerts", 70)


def test_what_is_not_there_is_told(relay: Relay, tmp_path: Path) -> None:
    client = ControlClient.find(relay.state, {})
    assert client is not None
    with client, pytest.raises(UsageError, match="'nobody'"):
        client.call("accounts.token", name="nobody")
    relay.stop()
    told = command(relay, "alerts", "--relay")
    assert told.returncode == 78
    assert "postbearer serve" in told.stderr


ASK_AS = """
import os, socket, sys
if os.geteuid() == 0: os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect(sys.argv[1])
    try:
        asking.sendall(b'{"act": "accounts.token", "with": {"name": "alerts"}}\\n')
    except BrokenPipeError:
        pass  # turned away before the question; the answer is there all the same
    print(asking.makefile("rb").readline().decode())
"""


@pytest.mark.parametrize("user", [0, NOBODY] if os.geteuid() == 0 else [os.geteuid()])
def test_the_kernel_says_who_asks_whatever_the_modes_are(relay: Relay, user: int) -> None:
    path = Path(relay.state.path, "control.sock")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)
    for folder in (relay.folder, relay.state.path):
        os.chmod(folder, 0o711)
    done = subprocess.run(
        [sys.executable, "-c", ASK_AS, str(path), str(user)], capture_output=True, text=True, timeout=60
    )
    assert not done.stderr
    told = json.loads(done.stdout)
    if user == os.geteuid():
        assert told["ok"]["account"] == "alerts"
    else:
        assert "own user and root" in told["error"]["message"]
        assert "eyJ" not in done.stdout


def test_no_token_is_logged(relay: Relay) -> None:
    token = by_socket(relay)
    assert command(relay, "alerts", "--relay", "-v").stdout.rstrip("\n") == token
    assert token not in relay.log
