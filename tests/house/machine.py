"""Building what is published, and machines to install it on that are thrown away."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from house.tree import PACKAGE, ROOT
from relay.running import eventually

VERSION = (PACKAGE / "_version.py").read_text().split('"')[-2]
# A machine to throw away: this one's files below, what is changed in memory. `$1` runs in it.
THROWN_AWAY = """
set -e
mount -t tmpfs none "$2" && mkdir "$2/up" "$2/work" "$2/machine"
mount -t overlay none -o "lowerdir=/,upperdir=$2/up,workdir=$2/work" "$2/machine"
mkdir -p "$2/machine/package" && cp "$3" "$2/machine/package/postbearer.${3##*.}"
rm -f "$2/machine/usr/sbin/sendmail" "$2/machine/usr/bin/mailq" "$2/machine/usr/bin/newaliases"
rm -rf "$2/machine/var/lib/postbearer" "$2/machine/etc/postbearer"
exec chroot "$2/machine" sh -ec "$1"
"""
# A bare Debian instead, as the distribution's archive has it; apt brings what the package needs.
BARE = """
set -e
mount -t tmpfs none "$2"
mmdebstrap --quiet --variant=minbase "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$2/machine" 2>&1
mkdir "$2/machine/package" && cp "$3" "$2/machine/package/postbearer.deb"
cp /etc/resolv.conf /etc/hosts "$2/machine/etc/"
exec chroot "$2/machine" sh -ec "$1"
"""
PLACES = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"  # of programs: not of the environment that tests run in
APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "env", PLACES)


def run(*command: str, **environ: str) -> str:
    env = {**os.environ, "LC_ALL": "C.UTF-8", **environ}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(out: Path, *options: str) -> Path:
    run(sys.executable, "packaging/build.py", "--out", str(out), *options)
    return out


def thrown_away(script: str, deb: Path, folder: Path, machine: str = THROWN_AWAY, **environ: str) -> str:
    """What the script says on a machine that is gone, with all its processes, when it ends."""
    return run(*APART, "sh", "-c", machine, "sh", script, str(folder), str(deb), **environ)


class Machine:
    """Such a machine that stays until the block ends; its files are seen below `root`."""

    def __init__(self, deb: Path, folder: Path) -> None:
        self._command = [*APART, "sh", "-c", THROWN_AWAY, "sh", "exec sleep infinity", str(folder), str(deb)]
        self._first = 0  # its process 1, as it is called here
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command)
        try:
            eventually(lambda: self._process.poll() is not None or self._ready())
            assert self._process.poll() is None, "the machine did not come up"
        except BaseException:  # also when it is interrupted: nothing of it stays
            self.__exit__()
            raise
        return self

    def _ready(self) -> bool:
        """Whether all that comes before the last command is done."""
        there = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        found = [child for child in there if Path(f"/proc/{child}/comm").read_text() == "sleep\n"]
        self._first = int(found[0]) if found else 0
        return bool(found)

    def __exit__(self, *exception: object) -> None:
        self._process.kill()  # and so all within
        for each in (self._process, *self._started):
            each.wait(60)

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self._first}/root")

    def start(self, script: str) -> subprocess.Popen[bytes]:
        """Have its shell begin with `script`."""
        nothing = subprocess.DEVNULL
        begun = subprocess.Popen(self._inside(script), stdin=nothing, stdout=nothing, stderr=nothing)
        self._started.append(begun)
        return begun

    def run(self, script: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """What became of `script`, whose standard input is `given`."""
        return subprocess.run(self._inside(script), input=given, capture_output=True, timeout=120)

    def told(self, script: str) -> str:
        """What it prints; it has to end well."""
        done = self.run(script)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        return done.stdout.decode()

    def _inside(self, script: str) -> list[str]:
        into = (f"--target={self._first}", "--mount", "--pid", "--root")
        return ["nsenter", *into, "env", PLACES, "sh", "-ec", f"cd /; {script}"]


def repacked(deb: Path, version: str, folder: Path) -> Path:
    """The same package as another version, which its command tells."""
    tree = folder / f"postbearer-{version}"
    run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub("^Version: .*", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
    (stands,) = tree.glob("usr/lib/postbearer/lib/python3.*/site-packages/postbearer/_version.py")
    stands.write_text(stands.read_text().replace(VERSION, version))
    built = folder / f"postbearer-{version}.deb"
    run("dpkg-deb", "-Znone", "--root-owner-group", "--build", str(tree), str(built))
    shutil.rmtree(tree)
    return built
