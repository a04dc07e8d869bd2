"""The container image, run as a cluster runs it: any user, nothing writable but a volume, no capability.

What runs it here is the kernel: namespaces, mounts, and a change of the root. `--long` has Buildah read it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import smtplib
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest

from house.containers import Image, Mount, Options, first_process, volume
from house.machine import VERSION, run
from postbearer.testing import BackgroundSandbox, Sandbox, SmtpFault
from relay.running import eventually
from support.ports import free_ports

pytestmark = pytest.mark.servers  # Debian's tools, and root

REFUSED = 78


@dataclass
class Container:
    """One that runs `serve`, on a volume of its own."""

    image: Image
    folder: Path
    user: str
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> Options:
        return Options(self.user, mounts=at_data(f"--bind {self.folder}"), environ=self.more)

    @property
    def log(self) -> str:
        return self.folder.with_suffix(".log").read_text()

    def running(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """The process, once it listens."""
        return self.image.running(self.options, self.folder.with_suffix(".log"))

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        """As `docker exec` does."""
        return self.image.run(replace(self.options, arguments=arguments), stdin)


def at_data(how: str) -> tuple[Mount, ...]:
    """What is mounted: `how` says what at /data."""
    scratch = Mount("-t tmpfs none", "/tmp")
    return (scratch, Mount(how, "/data")) if how else (scratch,)


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
    image: Image, shared: Path, number: int
) -> None:
    user = somebody()
    with BackgroundSandbox() as sandbox:
        container = Container(image, volume(shared, "data", user), user)
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
            os.kill(first_process(process), signal.SIGTERM)
            assert process.wait(60) == 0, container.log
        assert "the relay has stopped" in container.log
        assert [each.recipients for each in sandbox.inbox.messages] == [("ops@example.org",)] * 2
        code, said = container.run("queue", "list", "--all")
        assert said.count("delivered") == 2, said
        code, said = container.run("status", "--relay-only")
        assert (code, "No relay" in said) == (2, True), said


def test_the_first_start_needs_a_browser_only(image: Image, shared: Path) -> None:
    smtp, web, probes = free_ports(3)
    user = somebody()
    certificate = 'tls = "starttls", certificate = "/data/self-signed.pem"'
    container = Container(
        image,
        volume(shared, "data", user),
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
def test_a_queue_that_would_be_lost_is_refused_with_what_helps(image: Image, shared: Path, kind: str) -> None:
    user = somebody()
    places = {"theirs": volume(shared, "theirs", "7:7"), "own": volume(shared, "own", user), "user": user}
    mounted, problem, hint = (each.format(**places) for each in REFUSALS[kind])
    code, said = image.run(Options(user, mounts=at_data(mounted)))
    assert code == REFUSED, said
    assert problem in said
    assert hint in said
    assert "Traceback" not in said


def test_on_an_overlay_it_is_refused_too(image: Image, shared: Path) -> None:
    for name in ("lower", "upper", "work"):
        volume(shared, name, "0:0").chmod(0o1777)
    layers = ",".join(f"{name}dir={shared / name}" for name in ("lower", "upper", "work"))
    code, said = image.run(Options(somebody(), mounts=at_data(f"-t overlay -o {layers} none")))
    assert code == REFUSED
    assert "is on overlay" in said


def test_a_configuration_that_is_mounted_goes_first(image: Image, shared: Path) -> None:
    user = somebody()
    own = volume(shared, "data", user)
    (own / "postbearer.toml").write_text("[relay\n")
    os.chown(own / "postbearer.toml", int(user.partition(":")[0]), 0)
    options = Options(user, mounts=at_data(f"--bind {own}"), arguments=("config", "validate"))
    code, said = image.run(options)
    assert (code, "/data/postbearer.toml" in said) == (REFUSED, True), said
    code, said = image.run(replace(options, environ={"POSTBEARER_CONFIG": "/etc/elsewhere.toml"}))
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
