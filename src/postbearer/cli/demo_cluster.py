"""``postbearer demo --cluster``: three relays share one queue in PostgreSQL, and one of them is killed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postbearer.errors import ConfigError

if TYPE_CHECKING:
    from postbearer.testing import Sandbox

NODES = ("one", "two", "three")
EACH, LATER = 5, 3  # messages by each relay, and afterwards by those that are left
KILLED_AFTER = 4  # messages that the provider has by then
WINDOW = 60.0  # seconds of the provider's limit
PATIENCE = 120.0  # seconds until something must be wrong with this machine
VERSIONS = Path("/usr/lib/postgresql")  # where Debian has the server's programs, which it puts into no PATH
USER = "postgres"  # who runs it where we are root, which it refuses
SETTINGS = "listen_addresses = ''\nunix_socket_directories = '{folder}'\n"
TABLES = """
[accounts.sandbox.limits]
connections = 3
[relay]
listen = ["127.0.0.1:0"]
spool = "postgresql://{user}@/postgres?host={socket}"
node = "{node}"
[vault]
key = "file:{key}"
"""
FIRST_LINE = "From: {node}@build.example.org\nTo: ops@example.org\nSubject: {subject}\n\nFrom relay {node}.\n"


async def run_cluster(sandbox: Sandbox, show: Callable[[str], None]) -> dict[str, Any]:
    """The whole of it, step by step; what came of it. Raises `ConfigError` where there is no PostgreSQL."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="postbearer-") as name:
        folder = Path(name)
        with _database(programs, folder / "database") as socket:
            show(f"PostgreSQL runs in {folder}, for this demonstration alone")
            nodes = [_Node(each, _configured(sandbox, folder, socket, each)) for each in NODES]
            try:
                return await _Demonstration(sandbox, nodes, show).run()
            finally:
                await asyncio.gather(*(node.stop() for node in nodes))


def _programs() -> Path:
    found = sorted(VERSIONS.glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    by_path = shutil.which("initdb")
    if not found and by_path is None:
        raise ConfigError(
            "PostgreSQL is not installed on this machine.", hint="Install it: apt install postgresql"
        )
    return found[-1].parent if found else Path(str(by_path)).parent


@contextmanager
def _database(programs: Path, folder: Path) -> Iterator[Path]:
    """The folder of the socket of a server of our own, which nobody else can reach."""
    folder.mkdir(mode=0o700)
    data, user = folder / "data", USER if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user, user)
        folder.parent.chmod(0o711)

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's
            [str(programs / program), *arguments],
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise ConfigError(
                f"{program} of PostgreSQL failed ({done.returncode}).", hint=f"Try it: {programs / program}"
            )

    login = ("--username", USER, "--auth", "trust")  # of who gets into the folder
    run("initdb", *login, "--encoding", "UTF8", "--locale", "C", "-D", str(data))
    with (data / "postgresql.conf").open("a") as file:
        file.write(SETTINGS.format(folder=folder))
    run("pg_ctl", "start", "-w", "-D", str(data), "-l", str(folder / "log"))
    try:
        yield folder
    finally:
        run("pg_ctl", "stop", "-w", "-D", str(data), "-m", "immediate")


def _configured(sandbox: Sandbox, folder: Path, socket: Path, node: str) -> Path:
    """A configuration for each: its name and its state are its own, all else is the same."""
    key, home = folder / "key", folder / node
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    home.mkdir(mode=0o700)
    file = home / "postbearer.toml"
    file.touch(mode=0o600)
    tables = TABLES.format(user=USER, socket=socket, node=node, key=key)
    file.write_text(sandbox.configuration() + tables)
    return file


@dataclass(slots=True, eq=False)
class _Node:
    """A relay in a process of its own."""

    name: str
    file: Path
    port: int = 0
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until it listens."""
        argv = (sys.executable, "-m", "postbearer", "serve", "--config", str(self.file), "--log", "json")
        environ = {**os.environ, "POSTBEARER_STATE": str(self.file.parent / "state")}
        environ.pop("RUNTIME_DIRECTORY", None)
        log = self.file.with_suffix(".log")
        with log.open("wb") as file:
            self.process = await asyncio.create_subprocess_exec(
                *argv,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for us
            )
        deadline = time.monotonic() + PATIENCE
        while self.process.returncode is None and time.monotonic() < deadline:
            lines = log.read_bytes().splitlines()
            if started := next((line for line in lines if b'"Started"' in line and line.endswith(b"}")), b""):
                self.port = int(json.loads(started)["addresses"].split(",")[0].rpartition(":")[2])
                return
            await asyncio.sleep(0.05)
        said = log.read_text(errors="replace")[-400:]
        raise ConfigError(f"The relay {self.name} did not start: {said}")

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(10.0):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()


@dataclass(slots=True)
class _Demonstration:
    """What is sent by which relay, and what the provider has."""

    sandbox: Sandbox
    nodes: Sequence[_Node]
    show: Callable[[str], None]
    accepted: set[str] = field(default_factory=set)

    async def run(self) -> dict[str, Any]:
        await self.nodes[0].start()  # the first one makes the tables
        await asyncio.gather(*(node.start() for node in self.nodes[1:]))
        ports = ", ".join(str(node.port) for node in self.nodes)
        self.show(f"{len(self.nodes)} relays share its queue: ports {ports}")
        await asyncio.gather(*(asyncio.to_thread(self._submit, node, EACH) for node in self.nodes))
        self.show(f"{len(self.accepted)} messages are accepted and synced, by all of them")
        await self._until(KILLED_AFTER)
        victim = self.nodes[1]
        await victim.kill()
        self.show(f"relay {victim.name} is killed (SIGKILL); the provider has {len(self._subjects)} so far")
        left = [node for node in self.nodes if node is not victim]
        await asyncio.gather(*(asyncio.to_thread(self._submit, node, LATER) for node in left))
        self.show(f"the others go on: {len(self.accepted)} messages are accepted by now")
        await victim.start()
        self.show(f"relay {victim.name} is started again, and takes back at once what it had been sending")
        await self._until(len(self.accepted))
        copies = Counter(self._subjects)
        times = sorted(message.at for message in self.sandbox.inbox.messages)
        told = {
            "nodes": len(self.nodes),
            "killed": 1,
            "queued": len(self.accepted),
            "delivered": len(copies),
            "lost": len(self.accepted - set(copies)),
            "duplicates": sum(copies.values()) - len(copies),
            "token_requests": self.sandbox.token_requests,
            "most_in_a_minute": max(sum(at <= each < at + WINDOW for each in times) for at in times),
            "limit_of_a_minute": 30,
        }
        self.show(
            f"all {told['delivered']} have arrived: {told['lost']} lost, {told['duplicates']} twice, "
            f"{told['token_requests']} token request{'s' if told['token_requests'] != 1 else ''}, "
            f"{told['most_in_a_minute']} in a minute of the 30 that the mailbox may send"
        )
        return told

    def _submit(self, node: _Node, count: int) -> None:
        """What a program does that knows nothing of all this."""
        with smtplib.SMTP("127.0.0.1", node.port) as smtp:
            for _ in range(count):
                subject = f"{node.name} {secrets.token_hex(4)}"
                text = FIRST_LINE.format(node=node.name, subject=subject)
                smtp.sendmail(f"{node.name}@build.example.org", ["ops@example.org"], text)
                self.accepted.add(subject)

    @property
    def _subjects(self) -> list[str]:
        found = []
        for message in self.sandbox.inbox.messages:
            _, _, behind = message.content.partition(b"Subject: ")
            found.append(behind.partition(b"\r\n")[0].decode())
        return found

    async def _until(self, count: int) -> None:
        """The provider has so many, each counted once."""
        deadline = time.monotonic() + PATIENCE
        while len(set(self._subjects)) < count and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
