"""Failovers that Patroni makes while mail comes: what got 250 is on both databases, and nothing is lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.campaign import Row
from relay.cluster import Cluster
from relay.test_cluster import judged
from servers.patroni import Patroni

pytestmark = pytest.mark.servers


@pytest.fixture
def patroni() -> Iterator[Patroni]:
    folder = Path(tempfile.mkdtemp(prefix="postbearer-ha-"))
    made = Patroni(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_databases_that_take_over_from_each_other(
    home: Path, patroni: Patroni, tell: Callable[[Row], None], long: bool
) -> None:
    """Its leader is killed, again and again; each comes back as the standby of the other."""
    with Cluster(home / "c", patroni.url, 230, count=4 if long else 2) as cluster:
        for _ in range(20 if long else 2):
            with cluster.loaded():
                cluster.arrive(10)
                patroni.fail_over()
                cluster.faults += 1
            patroni.settled()
            with cluster.loaded():  # some programs gave up meanwhile
                cluster.arrive(10, 120)
        judged(cluster, "Patroni failed over", tell)
