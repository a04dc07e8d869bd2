"""Several relays as processes on one PostgreSQL, with mail coming to all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from postbearer.clock import SystemClock
from postbearer.store import Entry, Query
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl
from relay.campaign import Row, compared
from relay.checker import Findings
from relay.explaining import explained
from relay.load import REFUSED, Load
from relay.running import Relay, eventually, plain_account, relay_table
from servers.sink import Sink
from support.persisting import KEY
from support.ports import free_ports

HURRIED = Path(__file__).with_name("hurried.py")


class Cluster:
    """Nodes on the queue at `url`; so many seconds the clock of the last one is `ahead`."""

    def __init__(
        self,
        folder: Path,
        url: str,
        seed: int,
        *,
        count: int = 4,
        ahead: float = 0.0,
        account: str = "",
        lines: Sequence[str] = (),
    ) -> None:
        """`account` is what they send from, or `lines` what is said of the usual one."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.seed = seed
        self.faults = 0
        self.explanation = ""  # of what `outcome` found that must not be
        self.url = url
        self.sink = Sink({REFUSED: "550 5.1.1 No such user"})
        self.load = Load(seed, refused=0.02, large=0.01)
        key = folder / "key"
        key.write_text(KEY)
        key.chmod(0o600)
        self._ports = free_ports(count)
        self._ahead = ahead
        self._account = account or plain_account(self.sink.port, *lines)
        self.nodes = [self._node(folder, number, key) for number in range(count)]
        self.start(*self.nodes)

    def _node(self, folder: Path, number: int, key: Path) -> Relay:
        name = "abcdef"[number]
        home = folder / name
        home.mkdir()
        text = self._account + relay_table(f'spool = "{self.url}"', f'node = "{name}"')
        text += f'[vault]\nkey = "file:{key}"\n[http]\nlisten = ["127.0.0.1:{self._ports[number]}"]\n'
        return Relay(home, text)

    def start(self, *nodes: Relay, package: Path | None = None) -> None:
        """Start them at the same time; `package`: what they run lies there."""
        with ThreadPoolExecutor(len(nodes)) as threads:
            for node, started in zip(nodes, threads.map(partial(self._start, package), nodes), strict=True):
                assert started, node.log

    def _start(self, package: Path | None, node: Relay) -> bool:
        environ = {"POSTBEARER_TEST_AHEAD": str(self._ahead if node is self.nodes[-1] else 0.0)}
        if package is not None:
            environ["PYTHONPATH"] = str(package)
        return node.start(program=HURRIED, environ=environ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.load.finish()
        for node in self.nodes:
            node.__exit__(*exception)
        self.sink.close()

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """Mail comes to every node that runs, by SMTP and by HTTP, within."""
        for number, node in enumerate(self.nodes):
            if node.running:
                self.load.start(node.port, senders=2)
                token = Path(node.state.path, "api-token").read_text().strip()
                self.load.start_http(self._ports[number], token)
        yield
        self.load.finish()

    def arrive(self, more: int = 20, seconds: float = 60.0) -> None:
        """Wait until so many more messages came to the sink: mail flows again."""
        before = len(self.sink.messages())
        eventually(lambda: len(self.sink.messages()) >= before + more, seconds)

    async def outcome(self, variant: str) -> tuple[Row, Findings]:
        """Let them finish, stop them, compare."""
        if ended := [node for node in self.nodes if not node.running]:
            self.start(*ended)
        self.nodes[0].drain()  # what is left is found below
        for node in self.nodes:
            assert node.stop() == 0, node.log
        doubts = [each for node in self.nodes for each in node.said("PossibleDuplicate")]
        found = compared(await self._entries(), doubts, self.load, self.sink)
        self.explanation = await explained(self, found) if found.bad else ""
        starts = [each for node in self.nodes for each in node.starts]
        row = Row.of(
            "nodes on PostgreSQL", found, variant=variant, kills=self.faults, starts=starts, seed=self.seed
        )
        return row, found

    async def _entries(self) -> Sequence[Entry]:
        spool = PostgresSpool(PostgresUrl.parse(self.url), clock=SystemClock(), node="")
        await spool.open()
        try:
            return await spool.search(Query(limit=1_000_000))
        finally:
            await spool.close()

    def refusals(self) -> int:
        """How many messages were answered that they cannot be taken now."""
        return sum(400 <= each.code < 500 for each in self.load.submitted)

    def said(self, event: str) -> list[dict[str, object]]:
        return [each for node in self.nodes for each in node.said(event)]
