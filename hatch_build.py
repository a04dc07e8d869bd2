"""Metadata that the build makes: the README, with links that work where the repository is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LOCAL = re.compile(r"\]\((?!https?://|#)([^)]+)\)")


class Readme(MetadataHookInterface):
    """Files of the repository are named by their address there."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        home = f"{metadata['urls']['Source']}/blob/main/"
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": _LOCAL.sub(lambda link: f"]({home}{link[1]})", text),
        }
