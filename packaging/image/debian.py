"""A Debian that has Python and nothing to start else: no shell, no package manager, nobody's password.

Its packages are downloaded by apt, which proves their signatures, and only unpacked, as they need no scripts
to be of use. What is in the image is noted as distroless images do, for what looks for known weaknesses.
"""

from __future__ import annotations

import email
import re
import subprocess
import tempfile
from pathlib import Path

PACKAGES = ("base-files", "ca-certificates", "libgcc-s1", "netbase", "python3", "tzdata")
# What those want for their scripts, or for people at a terminal, and Python does not need to run us.
LEFT_OUT = re.compile(
    r"debconf|dpkg|gcc-\d+-base|lib(acl1|com-err2|db5.3|gssapi-krb5-2|k5crypto3|keyutils1|krb5-3|krb5support0|md0"
    r"|ncursesw6|nsl2|pcre2-8-0|readline8|selinux1|tirpc-common|tirpc3)|mawk|media-types|openssl|perl-base"
    r"|readline-common|tar"
)
UNREAD = re.compile(
    r"\./(usr/share/(man|info|lintian|locale|bug|perl5|pixmaps|applications|python3|doc-base|debconf)/"
    r"|usr/share/doc/.*/(?!copyright)[^/]+$|etc/(update-motd.d|dpkg|ca-certificates)/|usr/sbin/update-ca"
    r"|usr/lib/python3\.\d+/(ensurepip|idlelib|lib2to3|pydoc_data|turtledemo|tkinter|test|__phello__)/)"
)
ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/sbin/nologin\npostbearer:x:10001:0::/data:/sbin/nologin\n",
    "group": "root:x:0:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def unpack_debian(root: Path) -> None:
    """Fill the empty folder `root`. Raises `CalledProcessError` where apt cannot."""
    for name in ("bin", "lib", "lib64", "sbin"):  # as all of Debian has them since 12
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in downloaded(root.with_name("debian")):
        unpack(package, root)
    for name, text in ACCOUNTS.items():
        (root / "etc" / name).write_text(text)
    collect_certificates(root)


def downloaded(folder: Path) -> list[Path]:
    """The packages, with all that they depend on, as apt finds them for a machine that has none."""
    (folder / "partial").mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", "Dir::State::Status=/dev/null", "-o", "APT::Sandbox::User=root"]
    apt += ["-o", f"Dir::Cache::Archives={folder}", "-o", "Debug::NoLocking=true"]
    wanted = ["install", "--download-only", "--yes", "--no-install-recommends", *PACKAGES]
    if subprocess.run([*apt, *wanted], capture_output=True).returncode:  # the lists are missing, or too old
        lists = ["-o", f"Dir::State::Lists={folder / 'lists'}"]
        (folder / "lists" / "partial").mkdir(parents=True)
        subprocess.run([*apt, *lists, "update"], check=True)
        subprocess.run([*apt, *lists, *wanted], check=True)
    found = sorted(folder.glob("*.deb"))
    return [each for each in found if not LEFT_OUT.fullmatch(each.name.partition("_")[0])]


def unpack(package: Path, root: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        archive = Path(made, "files.tar")
        archive.write_bytes(_asked("--fsys-tarfile", package))
        names = subprocess.run(["tar", "-tf", archive], check=True, capture_output=True, text=True).stdout
        wanted = [each for each in names.splitlines() if not UNREAD.match(each) and not each.endswith("/")]
        listed = Path(made, "names")
        listed.write_text("".join(f"{each}\n" for each in wanted))
        # --keep-directory-symlink: an older package has /lib/…, which is /usr/lib/…
        extract = ["tar", "-C", root, "-xf", archive, "--no-same-owner", "--keep-directory-symlink"]
        subprocess.run([*extract, "--verbatim-files-from", "--no-recursion", "-T", listed], check=True)
    control = _asked("--field", package)
    name = email.message_from_bytes(control)["Package"]
    noted = root / "var" / "lib" / "dpkg" / "status.d" / name
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_bytes(control)


def collect_certificates(root: Path) -> None:
    """What update-ca-certificates would do."""
    found = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(each.read_bytes().rstrip() + b"\n" for each in found))
    (root / "usr/lib/ssl").mkdir(exist_ok=True)
    for link, target in (("cert.pem", "/etc/ssl/certs/ca-certificates.crt"), ("certs", "/etc/ssl/certs")):
        (root / "usr/lib/ssl" / link).symlink_to(target)  # where OpenSSL looks by itself


def _asked(what: str, package: Path) -> bytes:
    return subprocess.run(["dpkg-deb", what, package], check=True, capture_output=True).stdout
