"""What the build makes: the README with links that work anywhere, manual pages, and shell completions."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
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


class Shared(BuildHookInterface):
    """What comes of the commands' own help goes below share/, where man and the shells look."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from postbearer.cli.completion_scripts import write_completions
        from postbearer.cli.manpages import write_manual

        self._made = TemporaryDirectory()
        folder = Path(self._made.name)
        for path in [*write_manual(folder / "man" / "man1"), *write_completions(folder)]:
            build_data["shared_data"][str(path)] = f"share/{path.relative_to(folder).as_posix()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._made.cleanup()
