"""A package that is upgraded under load, with kills in the middle: what was taken arrives."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import smtplib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from house.machine import VERSION, Machine, repacked
from postbearer.clock import SystemClock
from postbearer.store import Query, SqliteSpool
from relay.campaign import compared
from relay.checker import Findings, Submitted
from relay.load import Load
from relay.running import SENDER, eventually, plain_account, relay_table
from servers.sink import Sink
from support.ports import free_ports

pytestmark = pytest.mark.servers  # Debian's tools, and root

OLDER = "0.0.9"
RELAY, DPKG = "/var/lib/postbearer/spool.lock", "/run/dpkg"  # where their process ids stand
AS_SERVICE = """
export STATE_DIRECTORY=/var/lib/postbearer RUNTIME_DIRECTORY=/run/postbearer HOME=/var/lib/postbearer
as_service() { cd /; runuser -u postbearer -- postbearer "$@"; }
"""
# What systemd does with the unit: it starts the service again, unless it was told to stop, and `restart` of
# the maintainer script ends the one that runs.
KEPT_ALIVE = f"""
{AS_SERVICE}
install -d -o postbearer /run/postbearer /run/systemd/system
printf '#!/bin/sh\\nkill -TERM "$(cat {RELAY})"\\n' >/usr/bin/deb-systemd-invoke
printf '#!/bin/sh\\n' >/usr/bin/systemctl
until test -e /run/ended; do as_service serve --log json || true; sleep 0.2; done
"""
PACE = 0.02  # seconds between messages: dpkg, too, needs the processor
OPEN = re.compile(r'"(ready|leased|deferred)": [1-9]')


class Upgraded:
    """A machine with the relay of an older package, a load on it, and a sink that counts."""

    def __init__(self, machine: Machine, sink: Sink, seed: int) -> None:
        self.machine, self.sink, self.load = machine, sink, Load(seed)
        self.dice = random.Random(seed)
        (self.port,) = free_ports(1)
        self.ended = threading.Event()

    def install(self, package: str) -> subprocess.Popen[bytes]:
        return self.machine.start(f"echo $$ >{DPKG}; exec dpkg --no-triggers --install /package/{package}")

    @property
    def log(self) -> str:
        return (self.machine.root / "run/postbearer.log").read_text()

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = (line for line in self.log.splitlines() if f'"{event}"' in line)
        return [json.loads(line) for line in lines if line.endswith("}")]

    def submit(self) -> None:
        """By SMTP, over one connection after the other."""
        while not self.ended.is_set():
            with suppress(OSError, smtplib.SMTPException), smtplib.SMTP("127.0.0.1", self.port) as client:
                client.ehlo()
                while not self.ended.wait(PACE):
                    self.load.send_one(client)

    def hand_over(self) -> None:
        """By `sendmail`, which has the drop folder while there is no relay."""
        while not self.ended.wait(PACE):
            name, to, content = self.load.message()
            done = self.machine.run(f"sendmail -i -f {SENDER} {' '.join(to)}", content)
            digest = hashlib.sha256(content).hexdigest()
            self.load.submitted.append(Submitted(name, to, digest, 250 if done.returncode == 0 else 0))

    @contextmanager
    def under_load(self) -> Iterator[None]:
        work = (self.submit, self.submit, self.hand_over)
        threads = [threading.Thread(target=each, daemon=True) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ended.set()
            for thread in threads:
                thread.join(60)

    async def findings(self, folder: Path) -> Findings:
        for file in (self.machine.root / "var/lib/postbearer").glob("spool.db*"):
            shutil.copyfile(file, folder / file.name)  # of somebody else it would be refused …
            (folder / file.name).chmod(0o600)  # … and readable by others as well
        spool = SqliteSpool(folder / "spool.db", clock=SystemClock(), reserve=0, allow_ephemeral=True)
        await spool.open()
        try:
            entries = list(await spool.search(Query(limit=1_000_000)))
        finally:
            await spool.close()
        return compared(entries, self.said("PossibleDuplicate"), self.load, self.sink)


@pytest.fixture
def upgraded(deb: Path, tmp_path: Path) -> Iterator[Upgraded]:
    with ExitStack() as stack:
        older = repacked(deb, OLDER, tmp_path)
        machine = stack.enter_context(Machine(deb, tmp_path))
        sink = Sink()
        stack.callback(sink.close)
        found = Upgraded(machine, sink, seed=11)
        shutil.copy(older, machine.root / "package" / "older.deb")
        assert found.install("older.deb").wait(120) == 0
        configuration = plain_account(sink.port) + relay_table(listen=f"127.0.0.1:{found.port}")
        (machine.root / "etc/postbearer/postbearer.toml").write_text(configuration)
        machine.start(f"exec >/run/postbearer.log 2>&1; {KEPT_ALIVE}")
        yield found


async def test_an_upgrade_under_load_with_kills_loses_nothing(
    upgraded: Upgraded, tmp_path: Path, long: bool
) -> None:
    machine, sink, dice = upgraded.machine, upgraded.sink, upgraded.dice
    if not long:  # to compile takes longer than all else, and changes nothing here
        machine.told("ln -sf true /usr/bin/py3compile")
    assert machine.told("postbearer --version").split() == ["postbearer", OLDER]
    eventually(lambda: upgraded.said("Started"))
    with upgraded.under_load():
        eventually(lambda: len(sink.messages()) > 20)
        for _ in range(8 if long else 1):
            upgrade = upgraded.install("postbearer.deb")
            for victim in dice.sample((RELAY, DPKG), 2):
                with suppress(subprocess.TimeoutExpired):
                    upgrade.wait(dice.uniform(0, 2))
                machine.run(f"kill -KILL $(cat {victim})")
            upgrade.wait(120)
            assert upgraded.install("postbearer.deb").wait(120) == 0  # goes on where it was broken off
        there = len(sink.messages())
        eventually(lambda: len(sink.messages()) > there + 20)
    assert machine.told("postbearer --version").split() == ["postbearer", VERSION]
    eventually(lambda: not OPEN.search(machine.told(f"{AS_SERVICE} as_service queue stats --json")))
    machine.told("touch /run/ended; deb-systemd-invoke stop")
    eventually(lambda: upgraded.said("Stopped"))
    findings = await upgraded.findings(tmp_path)
    assert findings.bad == {}, upgraded.log[-3000:]
    assert findings.accepted > 100
