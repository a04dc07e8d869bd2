"""`postbearer login`: a person types a code elsewhere, and the account sends from then on."""

from __future__ import annotations

import re
import subprocess
import sys

from cli.conftest import Home
from postbearer.testing import Sandbox


def configuration(sandbox: Sandbox) -> str:
    text = sandbox.configuration()
    described = sandbox.describe()
    text = re.sub(r"^grant\b.*$", 'grant = "device-code"', text, count=1, flags=re.M)
    return text.replace(
        'grant = "device-code"', f'grant = "device-code"\ndevice-url = "{described["device_url"]}"', 1
    )


def test_once_the_code_was_typed_the_account_sends(home: Home, postbearer_sandbox: Sandbox) -> None:
    home.write(configuration(postbearer_sandbox))
    home.environ |= postbearer_sandbox.environment() | {"POSTBEARER_CONFIG": str(home.config)}
    before = home.run("token", "sandbox")
    assert before.code == 77
    assert "postbearer login sandbox" in before.err
    with subprocess.Popen(
        [sys.executable, "-m", "postbearer", "login", "sandbox"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home.folder,
        env=home.environ,
    ) as login:
        assert login.stderr is not None
        shown = login.stderr.readline()
        code = shown.split()[-1]
        assert f"{postbearer_sandbox.url}/device" in shown
        postbearer_sandbox.authorization.approve(code, "alerts@example.org")
        out, _ = login.communicate(timeout=60)
    assert login.returncode == 0
    assert "postbearer check sandbox" in out
    sent = home.run("send", "--account", "sandbox", "--to", "you@example.org", "--text", "Hello")
    assert sent.code == 0, sent.err


def test_an_account_that_nobody_signs_in_for_is_78(home: Home) -> None:
    ran = home.run("login", "alerts")
    assert ran.code == 78
    assert "its grant is client-credentials" in ran.err
