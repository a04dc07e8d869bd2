"""What stands in a configuration that a relay changes itself."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


class ConfigurationFile:
    """For who has it in the folder `home`."""

    home: Path

    @property
    def file(self) -> str:
        return (self.home / "postbearer.toml").read_text()

    @property
    def accounts(self) -> dict[str, Any]:
        found: dict[str, Any] = tomllib.loads(self.file)["accounts"]
        return found
