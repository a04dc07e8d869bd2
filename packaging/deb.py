"""The Debian package: an environment of its own in /usr/lib/postbearer, and what Debian has in its places."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path, PurePosixPath

from postbearer.cli.dropin.install_script import script

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = ROOT / "packaging" / "debian"
HOME = PurePosixPath("/usr/lib/postbearer")
_COMMAND = f"""#!{HOME}/bin/python3 -P
import sys
from postbearer.cli import main
sys.exit(main())
"""
_MAINTAINER = "The developers of postbearer <postbearer@users.noreply.github.com>"
_CHANGES = """\
postbearer ({version}) unstable; urgency=medium

  * What users notice is in CHANGELOG.md.gz.

 -- {maintainer}  {when}
"""
_CONTROL = """\
Package: postbearer
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {depends}
Section: mail
Priority: optional
Homepage: https://github.com/postbearer/postbearer
Description: mail relay for servers that accept OAuth 2.0 and nothing else
 Takes mail of local programs, of devices and of applications (by SMTP, by
 HTTP, as sendmail), keeps it in a durable queue, and sends it through
 Microsoft 365, Gmail and others that no longer accept passwords.
 .
 The package brings the Python libraries it needs, and starts nothing until
 there is a configuration.
"""


@dataclass(frozen=True)
class Contents:
    """What goes into the package; `epoch` is the time of all files, in seconds since 1970."""

    wheel: Path
    site: Path  # a folder of packages, for `python`
    bill: Path
    python: str
    epoch: int


def build_deb(contents: Contents, out: Path) -> Path:
    """Write the package into the folder `out`; its path."""
    with tempfile.TemporaryDirectory() as made:
        tree = Path(made)
        place_environment(tree, contents)
        place_shared(tree, contents)
        place_service(tree)
        place_documents(tree, contents)
        place_control(tree, contents)
        for path in [*tree.rglob("*"), tree]:
            if not path.is_symlink():
                runs = path.is_dir() or path.read_bytes()[:2] == b"#!"
                path.chmod(0o755 if runs else 0o644)
            os.utime(path, (contents.epoch, contents.epoch), follow_symlinks=False)
        # gzip, as xz makes other bytes by the number of cores
        pack = ["dpkg-deb", "-Zgzip", "--root-owner-group", "--build", str(tree), str(out)]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    (built,) = out.glob("*.deb")
    return built


def place_environment(tree: Path, contents: Contents) -> None:
    """An environment as `python3 -m venv` makes it, so that `sys.executable -m postbearer` finds it too."""
    minor = minor_of(contents.python)
    home = tree / HOME.relative_to("/")
    shutil.copytree(contents.site, home / "lib" / f"python{minor}" / "site-packages")
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(os.path.relpath(contents.python, HOME / "bin"))
    write(home / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    package = HOME / "lib" / f"python{minor}" / "site-packages" / "postbearer"
    write(home / "bin" / "sendmail", script(f"{HOME}/bin/python3", str(package)))
    write(tree / "usr" / "bin" / "postbearer", _COMMAND)


def place_shared(tree: Path, contents: Contents) -> None:
    """What the wheel has below share/: manual pages, completions, alert rules, dashboard, examples."""
    with zipfile.ZipFile(contents.wheel) as archive:
        for name in archive.namelist():
            _, found, rest = name.partition(".data/data/share/")
            if found:
                rest = rest.replace(
                    "zsh/site-functions/", "zsh/vendor-completions/"
                )  # Debian's place for packages
                write(tree / "usr" / "share" / rest, archive.read(name))
    shutil.rmtree(tree / "usr" / "share" / "postbearer" / "systemd")  # it is installed
    for page in (tree / "usr" / "share" / "man").rglob("*.1"):
        write(page.with_name(page.name + ".gz"), gzip.compress(page.read_bytes(), mtime=0))
        page.unlink()


def place_service(tree: Path) -> None:
    unit = (ROOT / "packaging" / "systemd" / "postbearer.service").read_text()
    _, start, rest = unit.partition("[Unit]\n")  # what stands above is how to install it by hand
    text = (start + rest).replace("/usr/local/bin/postbearer", "/usr/bin/postbearer")
    write(tree / "lib" / "systemd" / "system" / "postbearer.service", text)
    (tree / "etc" / "postbearer").mkdir(parents=True)


def place_documents(tree: Path, contents: Contents) -> None:
    folder = tree / "usr" / "share" / "doc" / "postbearer"
    write(folder / "copyright", (DEBIAN / "copyright").read_text() + licences(contents.bill))
    when = format_datetime(datetime.fromtimestamp(contents.epoch, UTC))
    changes = _CHANGES.format(version=version_of(contents.wheel), maintainer=_MAINTAINER, when=when)
    write(folder / "changelog.gz", gzip.compress(changes.encode(), mtime=0))
    write(folder / "CHANGELOG.md.gz", gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))
    write(folder / "sbom.cdx.json", contents.bill.read_bytes())
    write(
        tree / "usr" / "share" / "lintian" / "overrides" / "postbearer",
        (DEBIAN / "lintian-overrides").read_bytes(),
    )


def licences(bill: Path) -> str:
    lines = []
    for each in json.loads(bill.read_text())["components"]:
        told = [one.get("expression") or one["license"]["name"] for one in each.get("licenses", [])]
        lines.append(f"  {each['name']} {each['version']}: {', '.join(told) or 'see there'}\n")
    return "".join(lines)


def place_control(tree: Path, contents: Contents) -> None:
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    sums = "".join(
        f"{hashlib.md5(f.read_bytes(), usedforsecurity=False).hexdigest()}  {f.relative_to(tree)}\n"
        for f in files
    )
    size = sum(-(-path.stat().st_size // 1024) for path in files)
    major, minor = map(int, minor_of(contents.python).split("."))
    depends = [
        f"python3 (>= {major}.{minor})",
        f"python3 (<< {major}.{minor + 1})",
        f"libc6 (>= {glibc(contents)})",
    ]
    depends += ["libgcc-s1", "ca-certificates", "passwd"]
    told = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    control = tree / "DEBIAN"
    words = {"version": version_of(contents.wheel), "architecture": told.stdout.strip(), "size": size}
    write(control / "control", _CONTROL.format(maintainer=_MAINTAINER, depends=", ".join(depends), **words))
    write(control / "md5sums", sums)
    for name in ("postinst", "prerm", "postrm"):
        write(control / name, (DEBIAN / name).read_bytes())


def version_of(wheel: Path) -> str:
    """The wheel's version as Debian orders it: what comes before a release has a tilde."""
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", wheel.name.split("-")[1])


def glibc(contents: Contents) -> str:
    """The oldest libc that all the libraries here run with, as the tags of their wheels say (PEP 600)."""
    needed = [(2, 17)]
    for file in contents.site.glob("*.dist-info/WHEEL"):
        tags = re.findall(r"manylinux_(\d+)_(\d+)_", file.read_text())
        needed += [min((int(major), int(minor)) for major, minor in tags)] if tags else []
    return ".".join(map(str, max(needed)))


def minor_of(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
