"""What all packages have: an environment of its own in /usr/lib/postbearer, and what goes around it."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from postbearer.cli.dropin.install_script import script

ROOT = Path(__file__).resolve().parent.parent
HOME = PurePosixPath("/usr/lib/postbearer")
_COMMAND = f"""#!{HOME}/bin/python3 -P
import sys
from postbearer.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Contents:
    """What goes into the package; `epoch` is the time of all files, in seconds since 1970."""

    wheel: Path
    site: Path  # a folder of packages, for `python`
    bill: Path
    python: str
    epoch: int


@dataclass(frozen=True)
class Layout:
    """What is elsewhere, or not there, on one kind of system."""

    python: str  # what the environment's own python3 is a link to
    units: str | None = "usr/lib/systemd/system"  # None: they are examples
    zsh: str = "zsh/site-functions/"


DEBIAN = Layout("/usr/bin/python3", "lib/systemd/system", "zsh/vendor-completions/")


def place_environment(tree: Path, site: Path, minor: str, python: str = DEBIAN.python) -> None:
    """An environment as `python3 -m venv` makes it, so that `sys.executable -m postbearer` finds it too."""
    home = tree / HOME.relative_to("/")
    shutil.copytree(site, home / "lib" / f"python{minor}" / "site-packages")
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(os.path.relpath(python, HOME / "bin"))
    write(home / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    package = HOME / "lib" / f"python{minor}" / "site-packages" / "postbearer"
    write(home / "bin" / "sendmail", script(f"{HOME}/bin/python3", str(package)))
    write(tree / "usr" / "bin" / "postbearer", _COMMAND)


def place_shared(tree: Path, wheel: Path, layout: Layout = DEBIAN) -> None:
    """What the wheel has below share/: units, manual pages, completions, alert rules, dashboard, examples."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            _, found, rest = name.partition(".data/data/share/")
            if found:
                write(
                    tree / "usr" / "share" / rest.replace("zsh/site-functions/", layout.zsh),
                    archive.read(name),
                )
    units = tree / "usr" / "share" / "postbearer" / "systemd"
    for unit in sorted(units.iterdir()):
        _, start, rest = unit.read_text().partition(
            "[Unit]\n"
        )  # what stands above is how to install it by hand
        unit.write_text((start + rest).replace("/usr/local/bin/postbearer", "/usr/bin/postbearer"))
    if layout.units:
        (tree / layout.units).parent.mkdir(parents=True)
        units.rename(tree / layout.units)
    for page in (tree / "usr" / "share" / "man").rglob("*.1"):
        write(page.with_name(page.name + ".gz"), gzip.compress(page.read_bytes(), mtime=0))
        page.unlink()


def finish(tree: Path, epoch: int) -> None:
    """Give all files and folders the modes and the time that they have in the package."""
    for path in [*tree.rglob("*"), tree]:
        if not path.is_symlink():
            runs = path.is_dir() or path.read_bytes()[:2] == b"#!"
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def licences(bill: Path) -> str:
    lines = []
    for each in json.loads(bill.read_text())["components"]:
        told = [one.get("expression") or one["license"]["name"] for one in each.get("licenses", [])]
        lines.append(f"  {each['name']} {each['version']}: {', '.join(told) or 'see there'}\n")
    return "".join(lines)


def version_of(wheel: Path) -> str:
    """The wheel's version as Debian and RPM order it: what comes before a release has a tilde."""
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", wheel.name.split("-")[1])


def glibc(site: Path) -> str:
    """The oldest libc that all the libraries there run with, as the tags of their wheels say (PEP 600)."""
    needed = [(2, 17)]
    for file in site.glob("*.dist-info/WHEEL"):
        tags = re.findall(r"manylinux_(\d+)_(\d+)_", file.read_text())
        needed += [min((int(major), int(minor)) for major, minor in tags)] if tags else []
    return ".".join(map(str, max(needed)))


def minor_of(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
