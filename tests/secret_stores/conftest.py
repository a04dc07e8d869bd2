from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.secret import SecretSource
from postbearer.state import StateFolder
from support.configuration import COMPLETE

Named = Callable[..., SecretSource]

_THEIRS = ("VAULT_", "AWS_", "AZURE_", "GOOGLE_", "GCE_", "CONJUR_", "IDENTITY_", "IMDS_")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No store is set up on this machine, whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(_THEIRS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def named(tmp_path: Path) -> Named:
    """The source of ``safe:…``, by a configuration with that table."""

    def build(rest: str, table: str) -> SecretSource:
        file = tmp_path / "postbearer.toml"
        file.write_text(f"{COMPLETE}\n[secret-stores.safe]\n{table}\n")
        file.chmod(0o600)
        return Assembly.load(file, {}, StateFolder(tmp_path / "state")).secret_source(f"safe:{rest}")

    return build
