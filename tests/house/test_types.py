"""What the pages show of classes to write oneself passes for a user who checks types strictly."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from house.tree import ROOT


def test_a_grant_of_ones_own_is_typed(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/use-from-python.md").read_text()
    (example,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "TokenGrant" in block
    )
    bare = re.sub(r"(\w+): ClassVar = ", r"\1 = ", example)  # as one would write it without knowing
    for name, text in {"as_shown.py": example, "bare.py": bare}.items():
        (tmp_path / name).write_text(text)
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "--follow-imports=silent",
            name,
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
