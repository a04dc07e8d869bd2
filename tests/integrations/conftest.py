"""A sandbox, and a home for tokens that no other test uses, also for what reads the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.account import Account
from postbearer.state import StateFolder
from postbearer.testing import Sandbox


@pytest.fixture
def sandbox(postbearer_sandbox: Sandbox) -> Sandbox:
    return postbearer_sandbox


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("POSTBEARER_STATE", str(tmp_path / "state"))
    return StateFolder()


@pytest.fixture
def configured(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an account that the user's configuration file describes."""
    monkeypatch.setenv("POSTBEARER_CONFIG", str(sandbox.folder / "postbearer.toml"))
    return "sandbox"


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return sandbox.account()
