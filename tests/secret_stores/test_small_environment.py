"""What programs see that we run: who they are and where, and no secret of ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from postbearer.errors import SecretError
from postbearer.secrets import run_program
from postbearer.secrets import source as secret

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


async def seen() -> dict[str, str]:
    status, output, _ = await run_program([sys.executable, "-c", SHOW])
    assert status == 0
    found: dict[str, str] = json.loads(output)
    return found


async def test_a_program_sees_who_it_is_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "POSTBEARER_ACCOUNTS__X__PASSWORD", "VAULT_TOKEN"):
        monkeypatch.setenv(name, "canary")
    for name in ("HOME", "LC_TIME", "GNUPGHOME", "XDG_RUNTIME_DIR", "https_proxy"):
        monkeypatch.setenv(name, "kept")
    environ = await seen()
    assert "canary" not in environ.values()
    assert {"HOME", "LC_TIME", "GNUPGHOME", "XDG_RUNTIME_DIR", "https_proxy", "PATH"} <= environ.keys()


@pytest.mark.parametrize("named", ["VAULT_ADDR OP_SESSION_*", "VAULT_ADDR,OP_SESSION_home"])
async def test_more_variables_can_be_named(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    for name in ("VAULT_ADDR", "OP_SESSION_home", "VAULT_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("POSTBEARER_COMMAND_ENVIRONMENT", named)
    environ = await seen()
    assert {"VAULT_ADDR", "OP_SESSION_home"} <= environ.keys()
    assert "VAULT_TOKEN" not in environ


async def test_a_command_that_fails_names_the_way_out() -> None:
    with pytest.raises(SecretError) as caught:
        await secret("command:false").read()
    assert "POSTBEARER_COMMAND_ENVIRONMENT" in caught.value.hint


async def test_a_command_still_finds_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await secret("command:sh -c 'echo $HOME'").read()).reveal() == str(tmp_path)
