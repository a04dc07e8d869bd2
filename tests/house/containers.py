"""Containers, run by the kernel alone: namespaces, mounts, and a change of the root."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from house.machine import run
from relay.running import eventually

APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child")


@dataclass(frozen=True)
class Mount:
    """What is mounted where: `how` are the words of mount(8)."""

    how: str
    target: str
    file: bool = False

    @classmethod
    def bound(cls, source: Path, target: str, *, read_only: bool = False) -> Mount:
        options = "-o ro " if read_only else ""
        return cls(f"--bind {options}{shlex.quote(str(source))}", target, source.is_file())


@dataclass(frozen=True)
class Options:
    """How a container is run, whoever says so. The root is read-only, and no capability is left."""

    user: str
    groups: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()  # none: what the image says
    command: tuple[str, ...] = ()  # in place of what the image starts, as `docker exec` and probes do
    network: int = 0  # a process in the network that it is in; 0: this machine's
    hostname: str = ""


@dataclass
class Image:
    """The image, its layers unpacked one over the other, as a runtime does."""

    root: Path
    config: dict[str, Any]
    manifest: dict[str, Any]

    @classmethod
    def unpacked(cls, archive: Path, folder: Path) -> Image:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        root = folder / "root"
        root.mkdir()
        (folder / "own").mkdir()
        index = json.loads((folder / "index.json").read_text())
        manifest = _blob(folder, index["manifests"][0])
        for layer in manifest["layers"]:
            _blob(folder, layer, read=False)
            run("tar", "-C", str(root), "-xzpf", str(_place(folder, layer)), "--same-owner")
        (root / "etc" / "hosts").touch()  # as runtimes do
        return cls(root, _blob(folder, manifest["config"]), manifest)

    def command(self, options: Options) -> list[str]:
        """What starts a container."""
        settings = self.config["config"]
        given = options.command or (*settings["Entrypoint"], *(options.arguments or settings["Cmd"]))
        entered = ("nsenter", f"--net=/proc/{options.network}/ns/net") if options.network else ()
        uts = ("--uts",) if options.hostname else ()
        return [*entered, *APART, *uts, "sh", "-ec", self._script(options), "sh", *given]

    def _script(self, options: Options) -> str:
        root, own = (shlex.quote(str(each)) for each in (self.root, self.root.with_name("own")))
        lines = [  # each container has a layer of its own, in which the places of mounts are made
            f"mount -t tmpfs none {own}",
            f"mkdir {own}/upper {own}/work",
            f"mount -t overlay -o lowerdir={root},upperdir={own}/upper,workdir={own}/work none {root}",
            *(_made(root, each) for each in options.mounts),
            f"mount -o remount,ro {root}",
            f"mount -t proc none {root}/proc",
            f"mount --rbind /dev {root}/dev",
            f"mount --bind /etc/hosts {root}/etc/hosts",
        ]
        lines += [f"mount {each.how} {root}{shlex.quote(each.target)}" for each in options.mounts]
        if options.hostname:
            lines.append(f"hostname {options.hostname}")
        groups = ",".join(map(str, options.groups))
        last = f"chroot --userspec={options.user} --groups={groups} {root}"
        return "\n".join([*lines, f'exec setpriv --no-new-privs --inh-caps=-all {last} "$@"'])

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        own = dict(each.split("=", 1) for each in self.config["config"]["Env"])
        return {**own, "PATH": f"{own['PATH']}:/usr/sbin:/sbin:/bin", **more}

    def run(self, options: Options, stdin: str = "") -> tuple[int, str]:
        """Exit code, and all that was said."""
        done = subprocess.run(
            self.command(options),
            env=self.environ(options.environ),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout

    @contextlib.contextmanager
    def running(self, options: Options, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """The process, once it listens; all it says goes to `log`."""
        with log.open("w") as said:
            process = subprocess.Popen(
                self.command(options),
                env=self.environ(options.environ),
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            eventually(lambda: "the relay listens" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _made(root: str, mount: Mount) -> str:
    """Has the place of a mount, which runtimes make where there is none."""
    place = f"{root}{shlex.quote(mount.target)}"
    how = f"mkdir -p $(dirname {place}); touch {place}" if mount.file else f"mkdir -p {place}"
    return f"[ -e {place} ] || {{ {how}; }}"


def first_process(process: subprocess.Popen[bytes]) -> int:
    """The number of what is the first process in a container."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


def volume(folder: Path, name: str, user: str) -> Path:
    made = folder / name
    made.mkdir(mode=0o700)
    owner, _, group = user.partition(":")
    os.chown(made, int(owner), int(group))
    return made


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the users of containers can enter; those of pytest are closed when another run begins."""
    with tempfile.TemporaryDirectory(prefix="postbearer-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Network:
    """A network of containers, as a bridge of this machine's; whoever is on the bridge is its gateway."""

    def __init__(self, gateway: str, length: int = 24) -> None:
        self._gateway, self._length = gateway, length
        self._holders: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Network:
        self.bridge = self._held()
        try:
            self._ip(self.bridge, "link add br0 type bridge", "link set br0 up")
            self._ip(self.bridge, f"addr add {self._gateway}/{self._length} dev br0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self._holders:
            each.kill()
            each.communicate()

    def join(self, address: str) -> int:
        """A process whose network is a container's with this address."""
        made, name = self._held(), f"veth{len(self._holders)}"
        self._ip(self.bridge, f"link add {name} type veth peer name eth0 netns {made}")
        self._ip(self.bridge, f"link set {name} master br0 up")
        self._ip(made, f"addr add {address}/{self._length} dev eth0", "link set eth0 up")
        self._ip(made, f"route add default via {self._gateway}")
        return made

    def _held(self) -> int:
        script = "ip link set lo up && echo && exec sleep infinity"
        held = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE)
        self._holders.append(held)
        assert held.stdout is not None
        assert held.stdout.readline() == b"\n"
        return held.pid

    def _ip(self, inside: int, *commands: str) -> None:
        for each in commands:
            run("nsenter", f"--net=/proc/{inside}/ns/net", "ip", *each.split())


def _place(folder: Path, described: dict[str, Any]) -> Path:
    return folder / "blobs" / described["digest"].replace(":", "/")


def _blob(folder: Path, described: dict[str, Any], *, read: bool = True) -> Any:
    content = _place(folder, described).read_bytes()
    assert len(content) == described["size"]
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == described["digest"]
    return json.loads(content) if read else None
