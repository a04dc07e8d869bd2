"""Patroni with etcd: two PostgreSQL of which one takes over from the other, commits waiting for both."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay.running import eventually
from support.ports import free_ports

from .postgresql import USER, programs
from .processes import Log, Process, missing, program

START = 90.0  # seconds, on a busy machine
MEMBER = """
scope: mail
name: {name}
restapi: {{listen: '127.0.0.1:{api}', connect_address: '127.0.0.1:{api}'}}
etcd3: {{hosts: '127.0.0.1:{etcd}'}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 0
    master_start_timeout: 0
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      parameters: {{wal_log_hints: 'on', max_connections: 100, wal_keep_size: 128MB}}
  initdb: [{{encoding: UTF8}}, {{locale: C.UTF-8}}, {{auth: trust}}, data-checksums]
postgresql:
  listen: '127.0.0.1:{port}'
  connect_address: '127.0.0.1:{port}'
  data_dir: {folder}/data
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  authentication:
    superuser: {{username: {user}}}
    replication: {{username: {user}}}
    rewind: {{username: {user}}}
  parameters: {{unix_socket_directories: '{folder}', shared_buffers: 32MB}}
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
"""


class Member:
    """One PostgreSQL and the Patroni that runs it."""

    def __init__(self, folder: Path, name: str, etcd: int) -> None:
        self.port, self._api = free_ports(2)
        self.name = name
        self._folder = folder
        folder.mkdir()
        config = folder / "patroni.yml"
        config.write_text(
            MEMBER.format(
                name=name,
                api=self._api,
                etcd=etcd,
                port=self.port,
                folder=folder,
                programs=programs(),
                user=USER,
            )
        )
        argv = [program("patroni", "patroni"), str(config)]
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
            argv = [program("runuser", "util-linux"), "-u", USER, "--", *argv]
        self._process = Process("Patroni", argv, Log(folder / "log"))

    def leads(self) -> bool:
        return self._asked("/primary") == 200

    def follows(self) -> bool:
        """And commits wait for it."""
        return self._asked("/synchronous") == 200

    def _asked(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._api, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def crash(self) -> None:
        """Kill the database under it, all of its processes, as when its machine loses power."""
        pid = int((self._folder / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    @property
    def log(self) -> str:
        return self._process.log.text()[-3000:]

    def stop(self) -> None:
        with suppress(OSError, ValueError):
            self.crash()
        self._process.stop()


class Patroni:
    """Two of them, in `folder`, and the etcd that says which one leads."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("patroni") is None or shutil.which("etcd") is None:
            missing("Patroni is not installed: apt install patroni etcd-server python3-etcd")
        client, peer = free_ports(2)
        folder.chmod(0o755)
        here = f"http://127.0.0.1:{client}"
        words = ["--data-dir", str(folder / "etcd"), "--listen-client-urls", here]
        words += ["--advertise-client-urls", here, "--listen-peer-urls", f"http://127.0.0.1:{peer}"]
        words += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
        words += ["--initial-cluster", f"default=http://127.0.0.1:{peer}"]
        self._etcd = Process("etcd", [program("etcd", "etcd-server"), *words], Log(folder / "etcd.log"))
        self._etcd.wait_for_port(client)
        self.members: Sequence[Member] = ()
        self.members = [Member(folder / "a", "a", client)]
        self._until(lambda: self.members[0].leads(), "the first one does not lead")
        self.members = [*self.members, Member(folder / "b", "b", client)]
        self.settled()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.members)
        return f"postgresql://{USER}@{hosts}/postgres?target_session_attrs=primary&schema=mail"

    def leader(self) -> Member | None:
        return next((each for each in self.members if each.leads()), None)

    def settled(self) -> None:
        """Wait until one leads, and the other follows."""
        self._until(
            lambda: (
                any(each.leads() for each in self.members) and any(each.follows() for each in self.members)
            ),
            "they do not find together",
        )

    def fail_over(self) -> None:
        """Kill the database that leads, and wait until the other one does."""
        leader = self.leader()
        assert leader is not None
        leader.crash()
        self._until(
            lambda: any(each.leads() for each in self.members if each is not leader), "nobody takes over"
        )

    def _until(self, found: Any, what: str) -> None:
        try:
            eventually(found, START)
        except AssertionError as late:
            logs = [each.log for each in self.members]
            raise AssertionError(json.dumps({what: logs}, indent=1)) from late

    def stop(self) -> None:
        for each in self.members:
            each.stop()
        self._etcd.stop()
