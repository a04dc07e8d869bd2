"""What is published, in one folder: wheel, source archive, packages, one file, an image, a list of contents.

`./dev package` runs it. The same commit and the same dependencies give the same bytes: all that has a time
has that of the commit (or `SOURCE_DATE_EPOCH`). The list is CycloneDX's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from contents import ROOT, Contents
from deb import build_deb
from image import build_image
from libraries import SYSTEM_PYTHON, install, run
from native import build_apk, build_rpm
from sbom import bill_of_materials
from single import build_single

# What is made of the wheel and its libraries, and the tools that each needs
KINDS: dict[str, tuple[Callable[[Contents, Path], Path], tuple[str, ...]]] = {
    "deb": (build_deb, ("dpkg-deb",)),
    "rpm": (build_rpm, ("nfpm",)),
    "apk": (build_apk, ("nfpm",)),
    "single": (build_single, ("pex",)),
    "image": (build_image, ("dpkg-deb", "apt-get")),
}


def main() -> int:
    asked = argparse.ArgumentParser(prog="./dev package", description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="where to (dist/)")
    asked.add_argument(
        "--only", action="append", choices=KINDS, help="of the packages this one; may be repeated"
    )
    given = asked.parse_args()
    out: Path = given.out.absolute()
    if out.exists() and not out.is_dir():
        raise SystemExit(f"./dev package: {out} is a file; --out takes a folder.")
    epoch = source_date()
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    os.umask(0o022)
    os.chdir(ROOT)
    os.environ["PATH"] = os.pathsep.join(
        (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    )
    with tempfile.TemporaryDirectory() as made:
        fresh, site = Path(made, "dist"), Path(made, "site")
        targets = ("--target", "sdist", "--target", "wheel")
        run(sys.executable, "-m", "hatchling", "build", *targets, "-d", str(fresh))
        (wheel,) = fresh.glob("*.whl")
        if not shutil.which(SYSTEM_PYTHON):
            print(f"left out: all but wheel and source archive; not here: {SYSTEM_PYTHON}", file=sys.stderr)
        else:
            install(wheel, site)
            bill = fresh / f"{wheel.name.rsplit('-', 3)[0]}.cdx.json"
            bill.write_text(json.dumps(bill_of_materials(site, epoch), indent=1, sort_keys=True) + "\n")
            build_kinds(given.only or list(KINDS), Contents(wheel, site, bill, SYSTEM_PYTHON, epoch), fresh)
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted(fresh.iterdir()):
            print(shutil.copyfile(file, out / file.name))
    return 0


def build_kinds(kinds: list[str], contents: Contents, out: Path) -> None:
    for kind in kinds:
        build, tools = KINDS[kind]
        if missing := [each for each in tools if not shutil.which(each)]:
            print(f"left out: {kind}; not here: {', '.join(missing)}", file=sys.stderr)
            continue
        try:
            build(contents, out)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"./dev package: this failed: {' '.join(map(str, error.cmd))}") from None


def source_date() -> int:
    """Seconds since 1970, for everything that is built."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        if not given.isdecimal():
            raise SystemExit(f"./dev package: SOURCE_DATE_EPOCH is {given!r}; it takes seconds since 1970.")
        return int(given)
    git = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            "./dev package: no commit here to take the date of; set SOURCE_DATE_EPOCH (seconds)."
        )
    return int(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
