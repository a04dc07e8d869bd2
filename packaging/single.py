"""The program in one file, for machines with a Python and no pip: a zip that Python runs, as PEX makes it.

It has the compiled libraries for each Python that we support. Its first start unpacks what it needs of them
into the user's cache.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
from pathlib import Path

from contents import Contents, version_of
from libraries import EXTRAS, GLIBC, MACHINE, Target, download_for
from packaging.markers import default_environment
from packaging.tags import compatible_tags, cpython_tags

MINORS = (11, 12, 13, 14)


def build_single(contents: Contents, out: Path) -> Path:
    """Write the file into the folder `out`; its path."""
    built = out / f"postbearer-{version_of(contents.wheel)}-linux-{MACHINE}.pyz"
    with tempfile.TemporaryDirectory() as made:
        wheels = Path(made, "wheels")
        described: list[str] = []
        for minor in MINORS:
            download_for(Target(f"3.{minor}", GLIBC), contents.wheel, contents.site, wheels)
            machine = Path(made, f"{minor}.json")
            machine.write_text(json.dumps(complete_platform(minor)))
            described += ["--complete-platform", str(machine)]
        what = [f"postbearer[{EXTRAS}]", "--pre-resolved-dists", str(wheels), *described]
        how = ["--venv", "prepend", "--console-script", "postbearer", "--strip-pex-env"]
        how += ["--python-shebang", "/usr/bin/env python3", "--output-file", str(built)]
        subprocess.run(["pex", *what, *how], check=True, stdout=subprocess.DEVNULL, cwd=made)
    return built


def complete_platform(minor: int) -> dict[str, object]:
    """One Python on a machine like this, as PEX wants it described."""
    version, interpreter = (3, minor), f"cp3{minor}"
    tags = itertools.chain(
        cpython_tags(version, [interpreter], GLIBC), compatible_tags(version, interpreter, GLIBC)
    )
    exact = f"3.{minor}.0"
    environment = {
        **default_environment(),
        "python_version": f"3.{minor}",
        "python_full_version": exact,
        "implementation_version": exact,
        "platform_release": "",
        "platform_version": "",
    }
    return {"marker_environment": environment, "compatible_tags": [str(tag) for tag in tags]}
