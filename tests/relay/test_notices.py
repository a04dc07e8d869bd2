"""A consent is withdrawn: people hear of it, somebody signs in, and the mail that waited leaves by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.testing import Faults, Received, Sandbox
from relay.conversing import TO, submit
from relay.running import Relay, eventually, relay_table
from support.hooks import Call, Hooks, receiving

KEY = base64.b64encode(b"canary-key-of-the-webhook").decode()


def revoked() -> Faults:
    """The token that is kept is refused, and so is another one."""
    return Faults(revoked=True, refuse_tokens=1)


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with receiving() as made:
        yield made


def configuration(sandbox: Sandbox, home: Path, hooks: Hooks) -> str:
    """A person's account that the mail leaves by, and an application's that tells of its trouble.

    A third is to tell first, and cannot: nobody has signed in for it.
    """
    described = sandbox.describe()
    person = re.sub(
        r"^grant = .*$",
        f'grant = "device-code"\ndevice-url = "{described["device_url"]}"',
        sandbox.configuration("person"),
        flags=re.M,
    )
    nobody = person.replace("[accounts.person]", "[accounts.nobody]").replace("alerts@", "nobody@")
    app = sandbox.configuration("app").replace("alerts@example.org", "other@example.org")
    (home / "hook-secret").write_text(f"whsec_{KEY}\n")
    (home / "told.py").write_text(
        "import sys\n"
        f"with open({str(home / 'told.jsonl')!r}, 'a') as file:\n    file.write(sys.stdin.read())\n"
    )
    notify = (
        f'[notify]\nwebhooks = [{{ url = "{hooks.url}", secret = "file:hook-secret" }}]\n'
        'mail-to = ["ops@example.net"]\naccount = "nobody"\n'
        f'command = ["{sys.executable}", "{home / "told.py"}"]\n'
    )
    return person + nobody + app + relay_table('account = "person"') + notify


def sign_in(relay: Relay, sandbox: Sandbox) -> str:
    """What `postbearer login` says, once a person has typed the code."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTBEARER")}
    with subprocess.Popen(
        [sys.executable, "-m", "postbearer", "login", "person", "--config", str(relay.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, "POSTBEARER_STATE": relay.state.path},
    ) as login:
        assert login.stderr is not None
        sandbox.authorization.approve(login.stderr.readline().split()[-1], "alerts@example.org")
        out, err = login.communicate(timeout=60)
    assert login.returncode == 0, err
    return out


def delivered(sandbox: Sandbox, to: str, text: str) -> Received:
    """The message to `to` with these words, once it has arrived."""
    return eventually(
        lambda: next(
            (
                each
                for each in sandbox.inbox.messages
                if to in each.recipients and text in each.content.decode()
            ),
            None,
        )
    )


def genuine(call: Call) -> bool:
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
    mac = hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()
    made = base64.b64encode(mac).decode()
    return (
        call.headers["webhook-signature"] == f"v1,{made}"
        and abs(time.time() - int(call.headers["webhook-timestamp"])) < 300
    )


def test_a_withdrawn_consent_is_told_everywhere_and_a_sign_in_is_enough(
    home: Path, postbearer_sandbox: Sandbox, hooks: Hooks
) -> None:
    sandbox = postbearer_sandbox
    with Relay(home, configuration(sandbox, home, hooks)) as relay:
        sign_in(relay, sandbox)
        sandbox.set_faults(revoked())
        assert relay.start()
        assert submit(relay, "meanwhile") == 250
        paused = hooks.wait_for("account.paused")
        assert genuine(paused)
        told = paused.json["data"]
        assert (told["account"], told["waiting"]) == ("person", 1)
        assert told["commands"] == ["postbearer login person", "postbearer check person"]
        letter = delivered(sandbox, "ops@example.net", "postbearer login person")
        assert letter.reverse_path == "other@example.org"  # not by the account that is in trouble
        assert b"Auto-Submitted: auto-generated" in letter.content

        sandbox.set_faults(Faults())
        assert "tries again now" in sign_in(relay, sandbox)
        delivered(sandbox, TO, "meanwhile")
        assert genuine(hooks.wait_for("account.resumed"))
        delivered(sandbox, "ops@example.net", "sends again")
        assert relay.drain()
        assert relay.stop() == 0
        assert relay.start()  # nothing is told twice
        assert submit(relay, "after") == 250
        delivered(sandbox, TO, "after")
        assert relay.stop() == 0
        noted = (home / "state" / "notices.json").read_text() + relay.log
    assert hooks.kinds() == ["account.paused", "account.resumed"]
    programs = [json.loads(line) for line in (home / "told.jsonl").read_text().splitlines()]
    assert [each["type"] for each in programs] == hooks.kinds()
    for secret in (KEY, sandbox.client_secret):
        assert secret not in noted + letter.content.decode() + paused.body.decode()


def test_a_notice_outlives_the_relay_that_could_not_tell_it(
    home: Path, postbearer_sandbox: Sandbox, hooks: Hooks
) -> None:
    sandbox = postbearer_sandbox
    hooks.answers = [(500, {})]
    with Relay(home, configuration(sandbox, home, hooks)) as relay:
        sign_in(relay, sandbox)
        sandbox.set_faults(revoked())
        assert relay.start()
        assert submit(relay, "meanwhile") == 250
        first = hooks.wait_for("account.paused")
        relay.wait_for("Warned", text="could not be told yet")
        relay.kill()
        sandbox.set_faults(Faults(revoked=True, refuse_tokens=1_000))
        hooks.calls.clear()
        assert relay.start()
        again = hooks.wait_for("account.paused")
        assert again.headers["webhook-id"] == first.headers["webhook-id"]
        relay.kill()


def test_a_new_secret_in_its_file_is_enough(home: Path, postbearer_sandbox: Sandbox, hooks: Hooks) -> None:
    """Nobody tells the relay: it looks by itself."""
    sandbox = postbearer_sandbox
    secret = home / "client-secret"
    secret.write_text("expired")
    text = configuration(sandbox, home, hooks).replace('account = "person"', 'account = "app"', 1)
    text = re.sub(r'client-secret = "file:[^"]*"', f'client-secret = "file:{secret}"', text)
    with Relay(home, text) as relay:
        assert relay.start()
        assert submit(relay, "meanwhile") == 250
        paused = hooks.wait_for("account.paused")
        assert paused.json["data"]["account"] == "app"
        assert "since" in paused.json["data"]
        time.sleep(0.5)  # what it was then is looked at in the same moment
        secret.write_text(sandbox.client_secret)
        delivered(sandbox, TO, "meanwhile")
        hooks.wait_for("account.resumed")
        relay.kill()
