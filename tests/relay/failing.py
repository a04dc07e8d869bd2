"""Databases that fail in the ways in which databases fail: each is given back as it was."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from relay.running import eventually
from servers.postgresql import Postgresql
from servers.processes import missing, program
from support.cutting import Cutting

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postbearer'"


@contextmanager
def _beside() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run coroutines in another thread; each call waits for its end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def cutting(port: int) -> Iterator[Cutting]:
    """A proxy before the database at `port` that cuts where it is told to."""
    proxy = Cutting(port)
    with _beside() as run:
        serving = proxy.serving()
        run(serving.__aenter__())
        try:
            yield proxy
        finally:
            run(serving.__aexit__(None, None, None))


@contextmanager
def pair() -> Iterator[tuple[Postgresql, Postgresql]]:
    """A primary, and a standby that its commits wait for."""
    folder = Path(tempfile.mkdtemp(prefix="postbearer-pair-"))
    folder.chmod(0o755)
    primary = Postgresql(folder / "a")
    standby = Postgresql(folder / "b", copy_of=primary)
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    replicates = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
    eventually(lambda: primary.sql(replicates) == "1", 30)
    try:
        yield primary, standby
    finally:
        for each in (primary, standby):
            with suppress(RuntimeError):  # it is stopped already
                each.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def small_disk(database: Postgresql) -> Iterator[tuple[str, Callable[[], AbstractContextManager[None]]]]:
    """The URL of a queue on a disk of its own, and what fills that for a while."""
    if os.geteuid() != 0 or database.runs_as is None:
        missing("mounting a disk takes root: run these tests as root")
    folder = Path(tempfile.mkdtemp(prefix="postbearer-disk-"))
    folder.chmod(0o755)
    disk, space = folder / "disk", folder / "disk" / "space"
    disk.mkdir()
    subprocess.run([program("mount", "mount"), "-t", "tmpfs", "-o", "size=64m", "none", disk], check=True)
    space.mkdir()
    os.chown(space, database.runs_as.pw_uid, database.runs_as.pw_gid)
    database.sql(f"CREATE TABLESPACE small LOCATION '{space}'")
    database.sql("CREATE DATABASE small TABLESPACE small")

    @contextmanager
    def fill() -> Iterator[None]:
        others = disk / "others"
        with others.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            others.unlink()

    try:
        yield database.url.rpartition("/")[0] + "/small", fill
    finally:
        database.sql("DROP DATABASE small WITH (FORCE)")
        database.sql("DROP TABLESPACE small")
        subprocess.run([program("umount", "mount"), disk], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def all_connections(database: Postgresql) -> Iterator[None]:
    """Somebody has them all; those that were there are ended."""
    held: list[Any] = []

    async def fill() -> None:
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                held.append(await asyncpg.connect(database.url))

    async def take() -> None:
        await fill()
        await held[0].execute(KILL)
        await asyncio.sleep(0.1)
        await fill()

    async def give_back() -> None:
        for each in held:
            await each.close()

    with _beside() as run:
        run(take())
        try:
            yield
        finally:
            run(give_back())
