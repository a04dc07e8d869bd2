"""The container image, run as a cluster runs it: any user, nothing writable but a volume, no capability.

What runs it here is the kernel: namespaces, mounts, and a change of the root. `--long` has Buildah read it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import smtplib
import ssl
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from house.machine import VERSION, run
from postbearer.testing import BackgroundSandbox, Sandbox, SmtpFault
from relay.running import eventually
from support.ports import free_ports

pytestmark = pytest.mark.servers  # Debian's tools, and root

# `$1` is the root, `$2` the user, `$3` how its volume is mounted; the rest is the command.
CONTAINER = """
root=$1 user=$2 volume=$3; shift 3
mount --bind "$root" "$root" && mount -o remount,bind,ro "$root"
mount -t proc none "$root/proc" && mount --rbind /dev "$root/dev" && mount -t tmpfs none "$root/tmp"
mount --bind /etc/hosts "$root/etc/hosts"
[ -z "$volume" ] || mount $volume "$root/data"
exec setpriv --no-new-privs --inh-caps=-all chroot --userspec="$user" --groups= "$root" "$@"
"""
APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
REFUSED = 78


@dataclass
class Image:
    """The image, its layers unpacked one over the other, as a runtime does."""

    root: Path
    config: dict[str, Any]
    manifest: dict[str, Any]

    def command(self, user: str, volume: str, *arguments: str) -> list[str]:
        """What starts a container; without arguments, as the image says."""
        settings = self.config["config"]
        given = [*settings["Entrypoint"], *(arguments or settings["Cmd"])]
        return [*APART, "sh", "-ec", CONTAINER, "sh", str(self.root), user, volume, *given]

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        own = dict(each.split("=", 1) for each in self.config["config"]["Env"])
        return {**own, "PATH": f"{own['PATH']}:/usr/sbin:/sbin:/bin", **more}

    def run(self, user: str, volume: str, *arguments: str, stdin: str = "", **more: str) -> tuple[int, str]:
        """Exit code, and all that was said."""
        done = subprocess.run(
            self.command(user, volume, *arguments),
            env=self.environ(more),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def image(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    (archive,) = built.glob("*-image-*.tar")
    folder = tmp_path_factory.mktemp("image")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)  # its user has to get there
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    root = folder / "root"
    root.mkdir()
    index = json.loads((folder / "index.json").read_text())
    manifest = blob(folder, index["manifests"][0])
    for layer in manifest["layers"]:
        blob(folder, layer, read=False)
        run("tar", "-C", str(root), "-xzpf", str(place(folder, layer)), "--same-owner")
    (root / "etc" / "hosts").touch()  # as runtimes do
    return Image(root, blob(folder, manifest["config"]), manifest)


def place(folder: Path, described: dict[str, Any]) -> Path:
    return folder / "blobs" / described["digest"].replace(":", "/")


def blob(folder: Path, described: dict[str, Any], *, read: bool = True) -> Any:
    content = place(folder, described).read_bytes()
    assert len(content) == described["size"]
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == described["digest"]
    return json.loads(content) if read else None


@dataclass
class Container:
    """One that runs `serve`, on a volume of its own."""

    image: Image
    folder: Path
    user: str
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def volume(self) -> str:
        return f"--bind {self.folder}"

    @property
    def log(self) -> str:
        return self.folder.with_suffix(".log").read_text()

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The process, once it listens."""
        with self.folder.with_suffix(".log").open("w") as log:
            command = self.image.command(self.user, self.volume)
            process = subprocess.Popen(
                command, env=self.image.environ(self.more), stdout=log, stderr=log, start_new_session=True
            )
        try:
            eventually(lambda: "the relay listens" in self.log or process.poll() is not None)
            assert process.poll() is None, self.log
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def first(self, process: subprocess.Popen[bytes]) -> int:
        """The number of what is the first process in there."""
        return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        """As `docker exec` does."""
        return self.image.run(self.user, self.volume, *arguments, stdin=stdin, **self.more)


def volume(folder: Path, name: str, user: str) -> Path:
    made = folder / name
    made.mkdir(mode=0o700)
    owner, _, group = user.partition(":")
    os.chown(made, int(owner), int(group))
    return made


def somebody() -> str:
    """A user that nothing knows, in the group of root, as OpenShift starts containers."""
    return f"{random.randrange(20_000, 2_000_000)}:0"


def test_what_is_said_of_the_image(image: Image) -> None:
    settings = image.config["config"]
    assert settings["User"] == "10001:0"
    assert settings["StopSignal"] == "SIGTERM"
    assert "Volumes" not in settings  # one that nobody named would go with the container
    assert all(int(port.partition("/")[0]) > 1024 for port in settings["ExposedPorts"])
    assert settings["Labels"]["org.opencontainers.image.version"] == VERSION
    assert os.stat(image.root / "data").st_mode & 0o7777 == 0o1777
    files = [path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < 200_000_000
    assert [str(path) for path in files if path.stat().st_mode & 0o6000] == []
    assert not (image.root / "bin" / "sh").exists()
    assert not shutil.which("apt-get", path=str(image.root / "usr" / "bin"))
    noted = {path.name for path in (image.root / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "libssl3", "python3.11-minimal", "ca-certificates"} <= noted


def account_at(sandbox: Sandbox, folder: Path, user: str) -> None:
    """A configuration on the volume, with the secret in a file of its own."""
    text = sandbox.configuration().replace(str(sandbox.folder), "/data")
    text += '[relay]\nlisten = ["127.0.0.1:0"]\naliases = { root = "ops@example.org" }\n'
    files = {"ca.pem": (sandbox.folder / "ca.pem").read_text(), "client-secret": sandbox.client_secret}
    owner, _, group = user.partition(":")
    for name, content in {**files, "postbearer.toml": text}.items():
        path = folder / name
        path.write_text(content)
        path.chmod(0o600)
        os.chown(path, int(owner), int(group))


@pytest.mark.parametrize("number", range(2))
def test_a_user_nobody_knows_sends_and_what_is_under_way_is_finished(
    image: Image, tmp_path: Path, number: int
) -> None:
    open_to_all(tmp_path)
    user = somebody()
    with BackgroundSandbox() as sandbox:
        container = Container(image, volume(tmp_path, "data", user), user)
        account_at(sandbox, container.folder, user)
        with container.running() as process:
            code, said = container.run("status", "--relay-only")
            assert (code, said.split(" | ")[0]) == (0, "OK - the relay answers")
            code, said = container.run("sendmail", "root", stdin="Subject: one\n\nhi\n")
            assert code == 0, said
            eventually(lambda: len(sandbox.inbox.messages) == 1)
            # The end is asked for while the server, which has the second, takes its time to say so.
            slow = SmtpFault(at="content", reply="250 2.0.0 OK", delay=5.0, after_commit=True)
            sandbox.faults.smtp.append(slow)
            assert container.run("sendmail", "root", stdin="Subject: two\n\nhi\n")[0] == 0
            eventually(lambda: len(sandbox.inbox.messages) == 2)
            os.kill(container.first(process), signal.SIGTERM)
            assert process.wait(60) == 0, container.log
        assert "the relay has stopped" in container.log
        assert [each.recipients for each in sandbox.inbox.messages] == [("ops@example.org",)] * 2
        code, said = container.run("queue", "list", "--all")
        assert said.count("delivered") == 2, said
        code, said = container.run("status", "--relay-only")
        assert (code, "No relay" in said) == (2, True), said


def open_to_all(folder: Path) -> None:
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)


def test_the_first_start_needs_a_browser_only(image: Image, tmp_path: Path) -> None:
    open_to_all(tmp_path)
    smtp, web, probes = free_ports(3)
    user = somebody()
    certificate = 'tls = "starttls", certificate = "/data/self-signed.pem"'
    container = Container(
        image,
        volume(tmp_path, "data", user),
        user,
        {
            "POSTBEARER_RELAY__LISTENERS": f'[{{ address = "0.0.0.0:{smtp}", {certificate} }}]',
            "POSTBEARER_HTTP__LISTEN": f'["0.0.0.0:{web}"]',
            "POSTBEARER_HTTP__HEALTH_LISTEN": f'["0.0.0.0:{probes}"]',
        },
    )
    with container.running():
        code = re.search(r"/console/login\?code=(\S+)", container.log)
        assert code is not None, container.log
        for path in ("/healthz", "/readyz"):
            assert httpx2.get(f"http://127.0.0.1:{probes}{path}").status_code == 200
        own = ssl.create_default_context(cafile=str(container.folder / "self-signed.pem"))
        with httpx2.Client(base_url=f"https://localhost:{web}/console", verify=own) as browser:
            entered = browser.post("/login", data={"one_time_code": code[1]})
            assert entered.status_code == 303
            assert "Connect a mailbox" in browser.get("/connect").text
        with smtplib.SMTP("127.0.0.1", smtp, timeout=30) as client:
            client.starttls(context=own)
            client.ehlo()
            client.mail("app@example.org")
            assert client.rcpt("you@example.org")[0] == 451  # until there is an account


REFUSALS = {
    "no volume": ("", "There is no volume at /data", "--volume postbearer:/data"),
    "tmpfs": ("-t tmpfs -o mode=1777 none", "is on tmpfs", "--volume postbearer:/data"),
    "somebody else's": ("--bind {theirs}", "belongs to user 7, mode 700", "chown -R {user} FOLDER"),
    "read-only": ("--bind -o ro {own}", "/data is mounted read-only", "without :ro"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_queue_that_would_be_lost_is_refused_with_what_helps(
    image: Image, tmp_path: Path, kind: str
) -> None:
    open_to_all(tmp_path)
    user = somebody()
    places = {"theirs": volume(tmp_path, "theirs", "7:7"), "own": volume(tmp_path, "own", user), "user": user}
    mounted, problem, hint = (each.format(**places) for each in REFUSALS[kind])
    code, said = image.run(user, mounted)
    assert code == REFUSED, said
    assert problem in said
    assert hint in said
    assert "Traceback" not in said


def test_on_an_overlay_it_is_refused_too(image: Image, tmp_path: Path) -> None:
    open_to_all(tmp_path)
    for name in ("lower", "upper", "work"):
        volume(tmp_path, name, "0:0").chmod(0o1777)
    layers = ",".join(f"{name}dir={tmp_path / name}" for name in ("lower", "upper", "work"))
    code, said = image.run(somebody(), f"-t overlay -o {layers} none")
    assert code == REFUSED
    assert "is on overlay" in said


def test_a_configuration_that_is_mounted_goes_first(image: Image, tmp_path: Path) -> None:
    open_to_all(tmp_path)
    user = somebody()
    own = volume(tmp_path, "data", user)
    (own / "postbearer.toml").write_text("[relay\n")
    os.chown(own / "postbearer.toml", int(user.partition(":")[0]), 0)
    code, said = image.run(user, f"--bind {own}", "config", "validate")
    assert (code, "/data/postbearer.toml" in said) == (REFUSED, True), said
    named = {"POSTBEARER_CONFIG": "/etc/elsewhere.toml"}
    code, said = image.run(user, f"--bind {own}", "config", "validate", **named)
    assert (code, "/etc/elsewhere.toml" in said) == (REFUSED, True), said


@pytest.mark.long
def test_buildah_reads_and_runs_it(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*-image-*.tar")
    own = ("--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs")
    number = run("buildah", *own, "from", f"oci-archive:{archive}").split()[-1]
    told = run(
        "buildah", *own, "run", "--isolation", "chroot", number, "--", "/usr/bin/postbearer", "--version"
    )
    assert told.split() == ["postbearer", VERSION]
    run("buildah", *own, "rm", number)
