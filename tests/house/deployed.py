"""What a Compose file and a manifest say of a container, and a sandbox in that container's network."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from house.containers import Mount
from house.machine import run
from house.tree import ROOT
from postbearer import Secret
from postbearer.submission.login import hash_password
from relay.running import eventually
from servers.postgresql import programs as postgresql_programs

COMPOSE = ROOT / "packaging" / "compose"
KUBERNETES = ROOT / "packaging" / "kubernetes"
PASSWORD = "correct horse"

SEND = """
import smtplib, ssl, sys
host, port, authority, password = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.check_hostname = False  # it is asked by an address
with smtplib.SMTP(host, int(port), timeout=60) as client:
    client.starttls(context=context)
    client.login("shop", password)
    client.sendmail("shop@example.org", ["you@example.org"], "From: shop@example.org\\nSubject: hi\\n\\nhi")
"""
GET = """
import ssl, sys, urllib.request
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
asked = urllib.request.Request(sys.argv[1], headers={"Host": "localhost"})
print(urllib.request.urlopen(asked, timeout=60, context=context).status)
"""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


@dataclass(frozen=True)
class Provider:
    """A sandbox in a network of its own."""

    told: dict[str, Any]
    network: int

    @property
    def authority(self) -> str:
        return Path(self.told["ca_file"]).read_text()

    def configured(self, text: str) -> str:
        """The configuration `text`, with this account, and with the client that it leaves out."""
        found = re.search(r"^client-secret = .*", text, re.MULTILINE)
        assert found is not None
        own = Path(self.told["configuration"]).read_text().replace("[accounts.sandbox]", "[accounts.alerts]")
        own = re.sub(r"^client-secret = .*", lambda _: found[0], own, flags=re.MULTILINE)
        own = re.sub(r"^ca-file = .*", 'ca-file = "/data/ca.pem"', own, flags=re.MULTILINE)
        text = re.sub(r"\[accounts.alerts\]\n(.+\n)+", lambda _: own, text)
        return with_client(text)

    def arrived(self) -> list[dict[str, Any]]:
        script = GET.replace(".status", ".read().decode()")
        told = inside(self.network, sys.executable, "-c", script, f"{self.told['inbox']}/inbox")
        return list(json.loads(told))


def with_client(text: str) -> str:
    """`text` with the client that stands in it as a remark."""
    block = re.search(r"^# \[\[relay.clients\]\]\n(# .+\n)+", text, re.MULTILINE)
    assert block is not None
    shown = re.sub(r"^# ", "", block[0], flags=re.MULTILINE)
    return text.replace(block[0], shown.replace("$argon2id$…", hash_password(Secret(PASSWORD))))


@contextlib.contextmanager
def provider(network: int, folder: Path) -> Iterator[Provider]:
    """A sandbox on the loopback of that network."""
    told = folder / "sandbox.json"
    command = [
        "nsenter",
        f"--net=/proc/{network}/ns/net",
        sys.executable,
        "-m",
        "postbearer",
        "sandbox",
        "--json",
    ]
    with told.open("w") as file:
        process = subprocess.Popen(command, stdout=file)
    try:
        eventually(lambda: told.read_text().endswith("}\n"))
        yield Provider(json.loads(told.read_text()), network)
    finally:
        process.terminate()
        process.wait(60)


def inside(network: int, *command: str) -> str:
    """What a command prints that runs in that network."""
    return run("nsenter", f"--net=/proc/{network}/ns/net", *command)


def send(network: int, host: str, port: int, authority: Path) -> None:
    """Hand in a message as the client, with its login."""
    inside(network, sys.executable, "-c", SEND, host, str(port), str(authority), PASSWORD)


def status(network: int, url: str) -> int:
    """Of the answer to a GET."""
    return int(inside(network, sys.executable, "-c", GET, url))


def kubelet_volume(folder: Path, files: dict[str, str], group: int, mode: int) -> Path:
    """A ConfigMap or a Secret as the kubelet writes it: links into a folder, of root and a group."""
    folder.mkdir()
    moment = folder / "..2026_11_30_12_00_00.123456789"
    moment.mkdir()
    (folder / "..data").symlink_to(moment.name)
    for name, content in files.items():
        (moment / name).write_text(content)
        (moment / name).chmod(mode | 0o040)
        (folder / name).symlink_to(f"..data/{name}")
    for each in (folder, moment, *moment.iterdir()):
        os.chown(each, 0, group)
    folder.chmod(0o3777)
    moment.chmod(0o2755)
    return folder


def give_to_group(folder: Path, group: int) -> None:
    """What the kubelet does to a pod's volume for `fsGroup`, each time where its policy is Always."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            os.chown(path, -1, group)
            path.chmod(path.stat().st_mode & 0o7777 | (0o2770 if path.is_dir() else 0o660))


def composed_mounts(
    service: dict[str, Any], whole: dict[str, Any], sources: dict[str, Path]
) -> tuple[Mount, ...]:
    """The mounts of a service; `sources` are what its volumes, configs and secrets are here."""
    mounts = [Mount("-t tmpfs none", each) for each in service["tmpfs"]]
    for each in service["volumes"]:
        name, target = each.split(":")
        assert name in whole["volumes"]
        mounts.append(Mount.bound(sources[name], target))
    for each in service["configs"]:
        assert each["source"] in whole["configs"]
        mounts.append(Mount.bound(sources[each["source"]], each["target"], read_only=True))
    for name in service["secrets"]:
        assert name in whole["secrets"]
        mounts.append(Mount.bound(sources[name], f"/run/secrets/{name}", read_only=True))
    return tuple(mounts)


def pod_mounts(pod: dict[str, Any], sources: dict[str, Path]) -> tuple[Mount, ...]:
    """The mounts of a pod's only container; `sources` are what its volumes are here, unless in memory."""
    [container] = pod["containers"]
    memory = {each["name"] for each in pod["volumes"] if each.get("emptyDir", {}).get("medium") == "Memory"}
    return tuple(
        Mount("-t tmpfs -o mode=1777 none", each["mountPath"])
        if each["name"] in memory
        else Mount.bound(sources[each["name"]], each["mountPath"], read_only=each.get("readOnly", False))
        for each in container["volumeMounts"]
    )


@contextlib.contextmanager
def database(network: int, folder: Path, password: Path) -> Iterator[None]:
    """PostgreSQL as its image sets it up, in that network: a user and a database `mail`, by password."""
    programs = postgresql_programs()
    owner = pwd.getpwnam("postgres")
    folder.mkdir()
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = folder / "data"
    own = written(folder / "password", password.read_text(), f"{owner.pw_uid}:0")
    as_owner = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    words = f"--username=mail --pwfile={own} --auth=scram-sha-256 --encoding=UTF8 --no-sync --pgdata={data}"
    run(*as_owner, str(programs / "initdb"), *words.split())
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")
    settings = f"-c listen_addresses=* -c unix_socket_directories={folder}"
    command = [
        "nsenter",
        f"--net=/proc/{network}/ns/net",
        *as_owner,
        str(programs / "postgres"),
        "-D",
        str(data),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *settings.split()], stdout=log, stderr=log, cwd=folder)
    try:
        eventually(lambda: "ready to accept" in (folder / "log").read_text())
        run(*as_owner, str(programs / "createdb"), "--host", str(folder), "--username", "mail", "mail")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextlib.contextmanager
def balancer(network: int, configuration: Path, folder: Path) -> Iterator[None]:
    """HAProxy, in that network, once it listens."""
    command = ["nsenter", f"--net=/proc/{network}/ns/net", "haproxy", "-db", "-f", str(configuration)]
    with (folder / "haproxy.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: ":2580" in inside(network, "ss", "-ltn") or process.poll() is not None)
        yield
    finally:
        process.terminate()
        process.wait(60)


def written(path: Path, text: str, user: str = "0:0") -> Path:
    """A file, of root and for all; or of a user, and for nobody else."""
    path.write_text(text)
    owner, _, group = user.partition(":")
    os.chown(path, int(owner), int(group))
    path.chmod(0o644 if user == "0:0" else 0o400)
    return path
