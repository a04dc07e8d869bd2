"""What is in each thing that is published: one list for all of them; and those that run here without dpkg."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from house.machine import VERSION, run, thrown_away
from house.test_package import MAIL_OF_ROOT, free_ports
from house.tree import ROOT

pytestmark = pytest.mark.servers  # Debian's tools, and root

SHARED = {
    "systemd": ("postbearer.service", "postbearer.socket", "postbearer-submission.socket"),
    "man1": ("postbearer.1", "postbearer-send.1", "postbearer-queue-list.1"),
    "completions": ("postbearer",),
    "vendor_completions.d": ("postbearer.fish",),
    "prometheus": ("postbearer.rules.yaml",),
    "grafana": ("postbearer.json",),
    "examples": tuple(file.name for file in (ROOT / "examples").glob("*.py")),
}
WANTED = {f"{folder}/{name}" for folder, names in SHARED.items() for name in names}


def of_wheel(built: Path) -> list[str]:
    (wheel,) = built.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def of_single(built: Path) -> list[str]:
    (single,) = built.glob("*.pyz")
    return zipfile.ZipFile(single).namelist()


def of_deb(built: Path) -> list[str]:
    (package,) = built.glob("*.deb")
    tree = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        return archive.getnames()


def of_rpm(built: Path) -> list[str]:
    (package,) = built.glob("*.rpm")
    return run("rpm", "--query", "--list", "--package", str(package)).splitlines()


def of_apk(built: Path) -> list[str]:
    with tarfile.open(next(built.glob("*.apk")), ignore_zeros=True) as archive:
        return archive.getnames()


def of_image(built: Path) -> list[str]:
    names: list[str] = []
    with tarfile.open(next(built.glob("*-image-*.tar"))) as image:
        index = json.load(image.extractfile("manifest.json") or io.BytesIO())
        for layer in index[0]["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer), mode="r:gz") as archive:
                names += archive.getnames()
    return names


@pytest.mark.parametrize("listed", [of_wheel, of_single, of_deb, of_rpm, of_apk, of_image])
def test_what_a_service_needs_is_in_each(built: Path, listed: Callable[[Path], list[str]]) -> None:
    names = {"/".join(name.removesuffix(".gz").split("/")[-2:]) for name in listed(built)}
    names |= {name.replace("system/", "systemd/") for name in names}  # where units are installed
    assert WANTED - names == set()
    assert names & {"site-functions/_postbearer", "vendor-completions/_postbearer"}


@pytest.mark.parametrize("listed", [of_single, of_deb, of_rpm, of_apk, of_image])
def test_the_bill_of_materials_names_what_is_in_each(
    built: Path, listed: Callable[[Path], list[str]]
) -> None:
    bill = json.loads((built / f"postbearer-{VERSION}.cdx.json").read_text())
    told = {f"{each['name'].replace('-', '_')}-{each['version']}" for each in bill["components"]}
    found = {
        each[1].lower().replace(".", "_", each[1].partition("-")[0].count("."))
        for name in listed(built)
        if (each := re.search(r"(?:^|/)([^/]+)\.dist-info/", name))
    }
    assert found == told | {f"postbearer-{VERSION}"}


def test_what_is_for_alpine_needs_its_libc_and_no_other(built: Path) -> None:
    musl, glibc = f"libc.musl-{platform.machine()}.so.1".encode(), b"\0libc.so.6\0"
    with tarfile.open(next(built.glob("*.apk")), ignore_zeros=True) as archive:
        compiled = [each for each in archive.getmembers() if each.name.endswith(".so")]
        contents = {each.name: (archive.extractfile(each) or io.BytesIO()).read() for each in compiled}
        about = (archive.extractfile(".PKGINFO") or io.BytesIO()).read().decode()
    assert len(contents) > 10
    assert [name for name, content in contents.items() if glibc in content] == []
    assert [name for name, content in contents.items() if musl not in content] == []
    told = [line.split(" = ", 1) for line in about.splitlines() if not line.startswith("#")]
    assert [each for each in told if len(each) != 2] == []
    assert dict(told) | {"pkgname": "postbearer", "pkgver": f"{VERSION}-r0", "license": "Apache-2.0"} == dict(
        told
    )


BY_RPM = """
rpm --install --nodeps /package/postbearer.rpm >/tmp/told 2>&1 || { cat /tmp/told; exit 1; }
"""


def test_mail_of_root_arrives_by_the_rpm(built: Path, tmp_path: Path) -> None:
    """On this machine, thrown away, whose Python the package is built for."""
    (package,) = built.glob("*.rpm")
    (message,) = json.loads(thrown_away(BY_RPM + MAIL_OF_ROOT, package, tmp_path, **free_ports()))
    assert message["to"] == ["ops@example.org"]


def pythons() -> list[str]:
    """The oldest and the newest that are here, and the distribution's own."""
    found = {"/usr/bin/python3": (3, 11, 2)}
    for each in Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/3.*/bin/python3"):
        version = tuple(map(int, each.parts[-3].split(".")))
        if version >= (3, 11):
            found[str(each)] = version
    ordered = sorted(found, key=lambda each: found[each])
    return list(dict.fromkeys((ordered[0], ordered[-1])))


@pytest.mark.parametrize("python", pythons())
def test_the_single_file_runs_without_pip(built: Path, tmp_path: Path, python: str) -> None:
    (single,) = built.glob("*.pyz")
    plain = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def started(*words: str) -> str:
        done = subprocess.run(
            [python, str(single), *words],
            env=plain,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert started("--version").split() == ["postbearer", VERSION]
    assert "1 token request" in started("demo")  # a mailbox, a relay, and a message that goes through it
