"""The wheel with all the libraries it needs, for this system's Python or for that of another machine.

What is for others has the versions that this system's has, so that one list names what is in them all.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"  # a Debian package, and the image, run on Debian's own
EXTRAS = "import,passkeys,postgres,relay,sandbox"  # the rest of them is for other people's programs
MACHINE = platform.machine()
# Of wheels that suit systems with glibc 2.28 or later, as all are that have a Python of ours (PEP 600)
GLIBC = (*(f"manylinux_2_{minor}_{MACHINE}" for minor in range(28, 16, -1)), f"manylinux2014_{MACHINE}")
MUSL = tuple(f"musllinux_1_{minor}_{MACHINE}" for minor in (2, 1, 0))  # PEP 656


@dataclass(frozen=True)
class Target:
    """A Python on another machine."""

    minor: str
    platforms: Sequence[str]

    @property
    def options(self) -> list[str]:
        """As pip takes them."""
        return [f"--python-version={self.minor}", *(f"--platform={each}" for each in self.platforms)]


def install(wheel: Path, site: Path) -> None:
    """Fill the folder `site` for the system's own Python."""
    _pip("install", "--no-compile", "--target", str(site), f"{wheel}[{EXTRAS}]")
    _strip(site)


def install_for(target: Target, wheel: Path, known: Path, site: Path) -> None:
    """Fill the folder `site` for `target`, with the versions that the folder `known` has."""
    wanted = ("--no-compile", "--target", str(site), *target.options, *_versions(known, site))
    _pip("install", *wanted, f"{wheel}[{EXTRAS}]")
    _strip(site)


def download_for(target: Target, wheel: Path, known: Path, folder: Path) -> None:
    """Fill `folder` with wheels for `target`, in the versions that the folder `known` has."""
    _pip("download", "--dest", str(folder), *target.options, *_versions(known, folder), f"{wheel}[{EXTRAS}]")


def _versions(known: Path, beside: Path) -> tuple[str, str]:
    found = sorted(f"{each.name}=={each.version}\n" for each in distributions(path=[str(known)]))
    constraints = beside.with_name(f"{beside.name}.versions.txt")
    constraints.write_text("".join(each for each in found if not each.startswith("postbearer==")))
    return "--constraint", str(constraints)


def _pip(command: str, *words: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", SYSTEM_PYTHON, command]
    run(*pip, "-qq", "--disable-pip-version-check", "--only-binary", ":all:", *words)


def _strip(site: Path) -> None:
    for name in ("bin", "share"):  # commands of our own, and pages, are placed where the system has them
        shutil.rmtree(site / name, ignore_errors=True)
    # pip's own notes, with paths of this machine
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for file in site.glob(f"*.dist-info/{name}"):
            file.unlink()
    # SQLite's tools, used by nothing here
    shutil.rmtree(site / "apsw" / "sqlite_extra_binaries", ignore_errors=True)


def run(*command: str) -> None:
    """Raises `SystemExit`, with all that was said, where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout}./dev package: this failed: {' '.join(command)}")
