"""What `./dev package` builds: the same bytes each time, and a Debian package that comes and goes cleanly."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from house.machine import BARE, VERSION, build, run, thrown_away
from house.tree import PACKAGE, ROOT

pytestmark = pytest.mark.servers  # Debian's tools, and root

MACHINE = platform.machine()
UNIT = ROOT / "packaging" / "systemd" / "postbearer.service"
LISTED = """
find /etc /usr/bin /usr/sbin /usr/lib /usr/share /var -xdev \\
  -not -path '/var/lib/dpkg/*' -not -path '/var/cache/*' -not -path '/var/log/*' | sort"""


@pytest.fixture(scope="module")
def unpacked(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("unpacked")
    run("dpkg-deb", "--extract", str(deb), str(tree))
    return tree


def test_all_that_is_published_is_built(built: Path) -> None:
    names = {file.name for file in built.iterdir()}
    architecture = run("dpkg", "--print-architecture").strip()
    assert names == {
        f"postbearer-{VERSION}-py3-none-any.whl",
        f"postbearer-{VERSION}.tar.gz",
        f"postbearer-{VERSION}.cdx.json",
        f"postbearer_{VERSION}_{architecture}.deb",
        f"postbearer-{VERSION}-1.{MACHINE}.rpm",
        f"postbearer_{VERSION}-r0_{MACHINE}.apk",
        f"postbearer-{VERSION}-linux-{MACHINE}.pyz",
        f"postbearer-{VERSION}-image-{architecture}.tar",
    }


@pytest.mark.long
def test_it_is_the_same_twice(built: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "again")
    names = sorted(file.name for file in built.iterdir())
    assert names == sorted(file.name for file in again.iterdir())
    assert [name for name in names if (built / name).read_bytes() != (again / name).read_bytes()] == []


def test_the_debian_package_is_the_same_twice(built: Path, deb: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "again", "--only", "deb")
    names = [file.name for file in again.iterdir()]
    assert deb.name in names
    assert [name for name in names if (built / name).read_bytes() != (again / name).read_bytes()] == []


@pytest.mark.parametrize(
    ("out", "date", "said"), [("taken", "0", "--out takes a folder"), ("new", "today", "seconds since 1970")]
)
def test_what_cannot_be_is_said_before_anything_is_built(
    tmp_path: Path, out: str, date: str, said: str
) -> None:
    (tmp_path / "taken").write_text("")
    command = [sys.executable, "packaging/build.py", "--out", str(tmp_path / out)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": date}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, (tmp_path / "new").exists()) == (1, "", False)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_bill_of_materials_names_what_is_in_the_package(built: Path, unpacked: Path) -> None:
    bill = json.loads((built / f"postbearer-{VERSION}.cdx.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["version"]) == ("CycloneDX", VERSION)
    there = {(each["name"], each["version"]) for each in bill["components"]}
    found = set()
    for folder in unpacked.glob("usr/lib/postbearer/lib/python3.*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        found.add((name.replace("_", "-").lower(), version))
        assert list(folder.rglob("LICENSE*")), f"{folder.name} has no text of its licence"
    assert there == found - {("postbearer", VERSION)}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {each.split(">=")[0] for each in declared} <= {name for name, _ in there}
    assert [each["name"] for each in bill["components"] if not each.get("licenses")] == []


def test_the_unit_starts_what_the_package_has(unpacked: Path) -> None:
    unit = (unpacked / "lib/systemd/system/postbearer.service").read_text()
    assert "ExecStart=/usr/bin/postbearer serve\n" in unit
    assert "/usr/local" not in unit
    by_hand = UNIT.read_text().replace("/usr/local/bin/postbearer", "/usr/bin/postbearer")
    assert unit == by_hand[by_hand.index("[Unit]") :]
    machine = [str(folder) for folder in (ROOT, Path.home() / ".cache", PACKAGE) if len(folder.parts) > 1]
    texts = [file for file in unpacked.rglob("*.dist-info/*") if file.is_file()]
    assert [file.name for file in texts if any(each in file.read_text() for each in machine)] == []


@pytest.mark.long
def test_lintian_finds_no_error(deb: Path) -> None:
    root = ["--allow-root"] if os.geteuid() == 0 else []
    told = run("lintian", *root, "--fail-on", "none", str(deb)).splitlines()
    assert [line for line in told if line.startswith("E: ")] == []


INSTALLED = f"""
{LISTED} >/tmp/before
dpkg --no-triggers --install /package/postbearer.deb >/tmp/told 2>&1 || {{ cat /tmp/told; exit 1; }}
postbearer --version
readlink -f /usr/sbin/sendmail /usr/bin/mailq
stat -c '%U %a' /var/lib/postbearer
test -L /etc/systemd/system/multi-user.target.wants/postbearer.service && echo enabled
systemd-analyze verify /lib/systemd/system/postbearer.service && echo verified
cd /tmp && env -u HOME runuser -u postbearer -- postbearer providers microsoft | head -1
mkdir -p /etc/postbearer && echo kept >/etc/postbearer/postbearer.toml
dpkg --no-triggers --install /package/postbearer.deb >/dev/null 2>&1
dpkg --no-triggers --remove postbearer >/dev/null 2>&1
cat /etc/postbearer/postbearer.toml
test -e /usr/sbin/sendmail || echo "no sendmail"
dpkg --no-triggers --purge postbearer >/dev/null 2>&1
getent passwd postbearer || echo "no user"
{LISTED} | comm -3 /tmp/before -
"""


def test_it_is_installed_used_upgraded_removed_and_purged(deb: Path, tmp_path: Path) -> None:
    lines = thrown_away(INSTALLED, deb, tmp_path).splitlines()
    assert lines[:6] == [
        f"postbearer {VERSION}",
        "/usr/lib/postbearer/bin/sendmail",
        "/usr/lib/postbearer/bin/sendmail",
        "postbearer 711",
        "enabled",
        "verified",
    ]
    assert "icrosoft" in lines[6]
    # removing keeps configuration and state; purging leaves nothing, be it a file or a folder
    assert lines[-3:] == ["kept", "no sendmail", "no user"], lines


WITH_ANOTHER = """
printf '#!/bin/sh\\necho theirs\\n' >/usr/sbin/sendmail && chmod 755 /usr/sbin/sendmail
dpkg --no-triggers --install /package/postbearer.deb >/dev/null 2>&1
/usr/sbin/sendmail
dpkg --no-triggers --purge postbearer >/dev/null 2>&1
/usr/sbin/sendmail
"""


def test_another_mta_keeps_its_sendmail(deb: Path, tmp_path: Path) -> None:
    assert thrown_away(WITH_ANOTHER, deb, tmp_path).split() == ["theirs", "theirs"]


MAIL_OF_ROOT = """
export STATE_DIRECTORY=/var/lib/postbearer RUNTIME_DIRECTORY=/run/postbearer  # as the unit has them
install -d -o postbearer /run/postbearer
as_service() {
  cd /; HOME=/var/lib/postbearer TMPDIR=/run/postbearer exec runuser -u postbearer -- postbearer "$@"
}
inbox() { python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())' \\
  "http://127.0.0.1:$INBOX/inbox" 2>/dev/null; }
arrived() { inbox | grep ops@example.org; }
until_so() {
  for _ in $(seq 600); do if "$@" >/dev/null; then return; fi; sleep 0.1; done
  echo "never: $*"; cat /run/*.log; exit 1
}
as_service sandbox --http-port "$INBOX" >/run/sandbox.log 2>&1 &
until_so inbox
{ cat /run/postbearer/postbearer-*/postbearer.toml
  printf '\\n[relay]\\nlisten = ["127.0.0.1:%s"]\\nallow-ephemeral = true\\n' "$SMTP"
  echo 'aliases = { root = "ops@example.org" }'
} >/etc/postbearer/postbearer.toml
as_service serve >/run/serve.log 2>&1 &
until_so grep -q listen /run/serve.log
echo hi | env -u STATE_DIRECTORY -u RUNTIME_DIRECTORY sendmail root
until_so arrived
arrived
"""
BY_DPKG = "dpkg --no-triggers --install /package/postbearer.deb >/dev/null 2>&1"
BY_APT = """
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install --yes --no-install-recommends /package/postbearer.deb
} >/tmp/told 2>&1 || { cat /tmp/told; exit 1; }
"""
LEFT = """
apt-get purge --yes postbearer >/dev/null 2>&1
find / -xdev -iname '*postbearer*' -not -path '/package/*' -not -path '/proc/*' -not -path '/run/*'
"""


def free_ports() -> dict[str, str]:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as one,
        closing(socket.create_server(("127.0.0.1", 0))) as other,
    ):
        return {"INBOX": str(one.getsockname()[1]), "SMTP": str(other.getsockname()[1])}


def test_mail_of_root_arrives(deb: Path, tmp_path: Path) -> None:
    (message,) = json.loads(thrown_away(BY_DPKG + MAIL_OF_ROOT, deb, tmp_path, **free_ports()))
    assert message["to"] == ["ops@example.org"]
    assert message["mechanism"] == "OAUTHBEARER"


@pytest.mark.long
def test_mail_of_root_arrives_from_a_bare_debian_and_a_purge_leaves_nothing(
    deb: Path, tmp_path: Path
) -> None:
    inbox, *left = thrown_away(BY_APT + MAIL_OF_ROOT + LEFT, deb, tmp_path, BARE, **free_ports()).splitlines()
    assert json.loads(inbox)[0]["to"] == ["ops@example.org"]
    assert left == []


MOST_EXPOSED = 15  # tenths of systemd's 0 (shut off) to 10 (all open)


def test_the_unit_is_shut_off(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    shutil.copyfile(UNIT, unit)
    score = ("systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager")
    run(*score, str(unit))
    lines = unit.read_text().splitlines()
    assert "RestartPreventExitStatus=64 78" in lines
    assert "Type=notify" in lines


def test_the_unit_is_left_alone_until_there_is_a_configuration_right_or_wrong(tmp_path: Path) -> None:
    (line,) = (each for each in UNIT.read_text().splitlines() if each.startswith("ExecCondition="))
    program = str(Path(sys.executable).with_name("postbearer"))
    text = line.partition("=")[2].replace("$$", "$").replace("/usr/local/bin/postbearer", program)
    configuration = tmp_path / "elsewhere.toml"
    env = {**os.environ, "POSTBEARER_CONFIG": str(configuration)}
    told = subprocess.run(shlex.split(text), env=env, capture_output=True, text=True, timeout=60)
    assert told.returncode == 1
    assert str(configuration) in told.stderr
    configuration.write_text("[wrong")
    assert subprocess.run(shlex.split(text), env=env, capture_output=True, timeout=60).returncode == 0
