"""PostgreSQL: a database server in a folder of its own, which syncs, run by an unprivileged user."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.ports import free_ports

from .processes import missing

USER = "postgres"  # who runs it where we are root, which it refuses; and the role that may do everything
VERSIONS = Path("/usr/lib/postgresql")

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 100
shared_buffers = 32MB
logging_collector = off
log_min_messages = warning
log_line_prefix = '%m [%p] %a '
"""


def programs() -> Path:
    """The folder of the newest server's programs; Debian puts them into no PATH."""
    found = sorted(VERSIONS.glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    if not found:
        missing("PostgreSQL is not installed: apt install postgresql (see tests/servers/debian-packages.txt)")
    return found[-1].parent


class Postgresql:
    """One server; `schema` gives each test a place of its own in it."""

    def __init__(self, folder: Path, settings: str = "", copy_of: Postgresql | None = None) -> None:
        """`copy_of`: it is a standby of that one."""
        [self.port] = free_ports(1)
        self._folder = folder
        self._data = folder / "data"
        self._programs = programs()
        self._free: list[str] = []
        self._names = (f"test{number}" for number in itertools.count(1))
        self.runs_as = pwd.getpwnam(USER) if os.geteuid() == 0 else None
        folder.mkdir(parents=True, exist_ok=True)
        if self.runs_as is not None:
            os.chown(folder, self.runs_as.pw_uid, self.runs_as.pw_gid)
        if copy_of is None:
            self.run("initdb", "--username", USER, "--auth", "trust", "--encoding", "UTF8",
                     "--locale", "C.UTF-8", "--no-sync", "--pgdata", str(self._data))  # fmt: skip
        else:
            self.run("pg_basebackup", "-c", "fast", "-R", "-d", copy_of.url, "-D", str(self._data))
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(SETTINGS.format(port=self.port, folder=folder) + settings)
        self.start()

    @property
    def url(self) -> str:
        """Of its database, over loopback, for who may do everything."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Of the process that started the others."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    @contextmanager
    def schema(self) -> Iterator[str]:
        """The same URL, with a schema that nobody else has, and in which nothing is."""
        name = self._free.pop() if self._free else next(self._names)
        yield f"{self.url}?schema={name}"
        if self._emptied(name):  # to make its tables takes longer than most tests
            self._free.append(name)

    def _emptied(self, schema: str) -> bool:
        """Whether it is again as the first start found it."""
        tables = self.sql(
            f"SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('{schema}') "
            "AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT IN ('version', 'meta')"
        ).split()
        if tables:
            self.sql(
                f"SET search_path = {schema}",
                *(f"DELETE FROM {table}" for table in tables),
                "UPDATE meta SET value = 0 WHERE name <> 'relation'",
            )
        return bool(tables)

    def start(self) -> None:
        self.run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", str(self._folder / "log"))

    def stop(self, how: str = "fast") -> None:
        """`how`: smart, fast, or immediate, which is a crash."""
        self.run("pg_ctl", "stop", "-w", "-D", str(self._data), "-m", how)

    def promote(self) -> None:
        """Have a standby be the primary from now on."""
        self.run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def remove(self) -> None:
        """Stop it, and leave nothing behind."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, name: str, *arguments: str) -> str:
        """Run one of its programs, as who runs the server; what it printed."""
        command: Sequence[str] = (str(self._programs / name), *arguments)
        found = subprocess.run(
            command,
            user=None if self.runs_as is None else self.runs_as.pw_uid,
            group=None if self.runs_as is None else self.runs_as.pw_gid,
            extra_groups=None if self.runs_as is None else [],
            cwd=self._folder,
            stdout=subprocess.PIPE if name != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        text = (found.stdout or b"").decode(errors="replace")
        if found.returncode:
            raise RuntimeError(f"{name} failed ({found.returncode}): {text}")
        return text

    def sql(self, *statements: str) -> str:
        """Have psql run them; what it printed, without headings."""
        words = [word for each in statements for word in ("-c", each)]
        return self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *words, self.url).strip()


@contextmanager
def own_server(
    settings: str = "", copy_of: Postgresql | None = None, within: str | None = None
) -> Iterator[Postgresql]:
    """A server that nobody else uses, in a folder short enough for a socket and open to its user."""
    with tempfile.TemporaryDirectory(prefix="postbearer-db-", dir=within, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        made = Postgresql(Path(name) / "pg", settings, copy_of)
        yield made
        made.remove()
