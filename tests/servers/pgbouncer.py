"""PgBouncer before a database, in transaction mode, with fewer connections than those who want one."""

from __future__ import annotations

from pathlib import Path

from support.ports import free_ports

from .postgresql import USER, Postgresql
from .processes import Log, Process, program

CONFIGURATION = """
[databases]
postgres = host=127.0.0.1 port={target} dbname=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 2
"""


class PgBouncer:
    """`port` leads to `database`."""

    def __init__(self, folder: Path, database: Postgresql) -> None:
        [self.port] = free_ports(1)
        (folder / "users").write_text(f'"{USER}" ""\n')
        config = folder / "pgbouncer.ini"
        config.write_text(CONFIGURATION.format(target=database.port, port=self.port, folder=folder))
        self._log = Log(folder / "pgbouncer.log")
        argv = [program("pgbouncer", "pgbouncer"), str(config)]
        if database.runs_as is not None:
            argv = [program("runuser", "util-linux"), "-u", USER, "--", *argv]
        self._process = Process("PgBouncer", argv, self._log)
        self._process.wait_for_port(self.port)

    def stop(self) -> None:
        self._process.stop()
