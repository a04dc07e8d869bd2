"""Packages for systems with RPM and with apk: what all packages have, as nfpm packs it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from contents import (
    DEBIAN,
    HOME,
    ROOT,
    Contents,
    finish,
    glibc,
    minor_of,
    place_environment,
    place_shared,
    version_of,
    write,
)
from libraries import MUSL, Target, install_for

HERE = ROOT / "packaging"
ALPINE = Target("3.12", MUSL)  # the Python of Alpine 3.20 and later
OWN = (
    HOME,
    *(Path("/", each) for each in ("usr/share/postbearer", "usr/share/doc/postbearer", "etc/postbearer")),
)
_ABOUT = {
    "name": "postbearer",
    "platform": "linux",
    "version_schema": "none",
    "maintainer": "The developers of postbearer <postbearer@users.noreply.github.com>",
    "homepage": "https://github.com/postbearer/postbearer",
    "license": "Apache-2.0",
}


SUMMARY = "Mail relay for servers that accept OAuth 2.0 and nothing else"
_MORE = """
Takes mail of local programs, of devices and of applications (by SMTP, by HTTP,
as sendmail), keeps it in a durable queue, and sends it through Microsoft 365,
Gmail and others that no longer accept passwords.
"""


def build_rpm(contents: Contents, out: Path) -> Path:
    """Write the package into the folder `out`; its path. It runs on the Python that the system here has."""
    minor = minor_of(contents.python)
    python = f"/usr/bin/python{minor}"
    with tempfile.TemporaryDirectory() as made:
        tree = Path(made, "tree")
        place_environment(tree, contents.site, minor, python)
        place_shared(
            tree, contents.wheel, replace(DEBIAN, units="usr/lib/systemd/system", zsh="zsh/site-functions/")
        )
        place_documents(tree, contents)
        about = {
            "description": SUMMARY + _MORE,
            "version": version_of(contents.wheel),
            "release": "1",
            "depends": [
                python,
                f"libc.so.6(GLIBC_{glibc(contents.site)})(64bit)",
                "ca-certificates",
                "/usr/sbin/useradd",
            ],
            "scripts": {each: str(HERE / "rpm" / each) for each in scripts("rpm")},
            "rpm": {"compression": "gzip", "group": "System Environment/Daemons", "buildhost": "localhost"},
        }
        return pack("rpm", tree, about, contents, out)


def build_apk(contents: Contents, out: Path) -> Path:
    """Write the package into the folder `out`; its path. Its libraries are those for musl."""
    python = f"/usr/bin/python{ALPINE.minor}"
    with tempfile.TemporaryDirectory() as made:
        tree, site = Path(made, "tree"), Path(made, "site")
        install_for(ALPINE, contents.wheel, contents.site, site)
        place_environment(tree, site, ALPINE.minor, python)
        place_shared(tree, contents.wheel, replace(DEBIAN, units=None, zsh="zsh/site-functions/"))
        place_documents(tree, contents)
        write(tree / "etc" / "init.d" / "postbearer", (HERE / "alpine" / "postbearer.initd").read_bytes())
        about = {
            "description": SUMMARY,
            "version": re.sub("~(a|b|rc|dev)", lambda found: SUFFIXES[found[1]], version_of(contents.wheel)),
            "release": "0",
            "depends": [f"python3~{ALPINE.minor}", "ca-certificates"],
            "scripts": {each: str(HERE / "alpine" / each) for each in scripts("alpine")},
        }
        return pack("apk", tree, about, contents, out)


SUFFIXES = {"a": "_alpha", "b": "_beta", "rc": "_rc", "dev": "_pre"}  # apk-package(5)


def scripts(folder: str) -> list[str]:
    return sorted(each.name for each in (HERE / folder).iterdir() if not each.suffix)


def place_documents(tree: Path, contents: Contents) -> None:
    folder = tree / "usr" / "share" / "doc" / "postbearer"
    for name in ("LICENSE", "CHANGELOG.md"):
        write(folder / name, (ROOT / name).read_bytes())
    write(folder / "sbom.cdx.json", contents.bill.read_bytes())
    (tree / "etc" / "postbearer").mkdir(parents=True)


def pack(kind: str, tree: Path, about: dict[str, Any], contents: Contents, out: Path) -> Path:
    finish(tree, contents.epoch)
    settings = {**_ABOUT, **about, "arch": platform.machine(), "contents": list(listed(tree))}
    described = tree.with_name("nfpm.json")  # JSON is YAML
    described.write_text(json.dumps(settings))
    command = ["nfpm", "package", "--config", str(described), "--packager", kind, "--target", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (built,) = out.glob(f"*.{kind}")
    return built


def listed(tree: Path) -> Iterator[dict[str, Any]]:
    """All files, and the folders that are nobody else's: those of the system are not claimed."""
    for path in sorted(tree.rglob("*")):
        place = Path("/", path.relative_to(tree))
        plain: dict[str, Any] = {"dst": str(place)}
        if path.is_symlink():
            yield {**plain, "type": "symlink", "src": os.readlink(path)}
        elif path.is_file():
            mode = path.stat().st_mode & 0o777
            yield {**plain, "src": str(path), "file_info": {"mode": mode}}
        elif any(own in (place, *place.parents) for own in OWN):
            yield {**plain, "type": "dir", "file_info": {"mode": 0o755}}
