"""A secret store that an installed package brings along."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.config import load
from postbearer.errors import ConfigError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import source
from secret_stores.conftest import Named
from support.configuration import COMPLETE
from support.plugged import install

CODE = """
from postbearer import Secret, SecretUnavailable


class Safe:
    def __init__(self, rest, place):
        self.reference = f"{place.scheme}:{rest}"
        self.door = place.settings.get("door", "left")
        self.code = place.source("env:SAFE_CODE")

    async def read(self):
        code = (await self.code.read()).reveal()
        if code != "0000":
            raise SecretUnavailable("The safe is locked until nine.", reference=self.reference)
        return Secret(f"behind the {self.door} door")
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, as an installer leaves it."""
    entries = "[postbearer.secret_stores]\nstrong = strongroom:Safe\n"
    folder = install(tmp_path / "site-packages", "strongroom", CODE, entries)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("SAFE_CODE", "0000")


async def test_its_scheme_and_its_settings(named: Named) -> None:
    assert await source("strong:room").read() == Secret("behind the left door")
    secret = named("room", 'type = "strong"\ndoor = "right"\ncache = "1 h"')
    assert secret.reference == "safe:room"
    assert await secret.read() == Secret("behind the right door")


async def test_its_errors_are_told_as_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFE_CODE", "1234")
    with pytest.raises(SecretUnavailable, match="locked until nine"):
        await source("strong:room").read()


def test_a_configuration_may_use_it(tmp_path: Path) -> None:
    file = tmp_path / "postbearer.toml"
    file.write_text(COMPLETE.replace("env:ALERTS_SECRET", "strong:room"))
    assert load(file, {}).account("alerts").client_secret == "strong:room"
    file.write_text(f'{COMPLETE}[secret-stores.safe]\ntype = "strog"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert caught.value.hint == "Did you mean strong?"
