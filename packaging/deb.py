"""The Debian package: what all packages have, and what Debian has in its places."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import tempfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from contents import (
    ROOT,
    Contents,
    finish,
    glibc,
    licences,
    minor_of,
    place_environment,
    place_shared,
    version_of,
    write,
)

SOURCES = ROOT / "packaging" / "debian"
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


def build_deb(contents: Contents, out: Path) -> Path:
    """Write the package into the folder `out`; its path."""
    with tempfile.TemporaryDirectory() as made:
        tree = Path(made)
        place_environment(tree, contents.site, minor_of(contents.python))
        place_shared(tree, contents.wheel)
        (tree / "etc" / "postbearer").mkdir(parents=True)
        place_documents(tree, contents)
        place_control(tree, contents)
        finish(tree, contents.epoch)
        # gzip, as xz makes other bytes by the number of cores
        pack = ["dpkg-deb", "-Zgzip", "--root-owner-group", "--build", str(tree), str(out)]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    (built,) = out.glob("*.deb")
    return built


def place_documents(tree: Path, contents: Contents) -> None:
    folder = tree / "usr" / "share" / "doc" / "postbearer"
    write(folder / "copyright", (SOURCES / "copyright").read_text() + licences(contents.bill))
    when = format_datetime(datetime.fromtimestamp(contents.epoch, UTC))
    changes = _CHANGES.format(version=version_of(contents.wheel), maintainer=_MAINTAINER, when=when)
    write(folder / "changelog.gz", gzip.compress(changes.encode(), mtime=0))
    write(folder / "CHANGELOG.md.gz", gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))
    write(folder / "sbom.cdx.json", contents.bill.read_bytes())
    write(
        tree / "usr" / "share" / "lintian" / "overrides" / "postbearer",
        (SOURCES / "lintian-overrides").read_bytes(),
    )


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
        f"libc6 (>= {glibc(contents.site)})",
    ]
    depends += ["libgcc-s1", "ca-certificates", "passwd"]
    told = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    control = tree / "DEBIAN"
    words = {"version": version_of(contents.wheel), "architecture": told.stdout.strip(), "size": size}
    write(control / "control", _CONTROL.format(maintainer=_MAINTAINER, depends=", ".join(depends), **words))
    write(control / "md5sums", sums)
    for name in ("postinst", "prerm", "postrm"):
        write(control / name, (SOURCES / name).read_bytes())
