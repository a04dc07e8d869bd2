"""Relays on one queue keep to the connections of a mailbox together, also when one dies or stands still."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from relay.cluster import Cluster
from relay.running import eventually
from servers.postgresql import Postgresql

pytestmark = pytest.mark.servers

MOST = 2


def cluster_of(home: Path, url: str, seed: int) -> Cluster:
    return Cluster(home / "c", url, seed, count=3, lines=[f"limits = {{ connections = {MOST} }}"])


def test_all_together_have_as_many_as_one_may(home: Path, database: Postgresql) -> None:
    with database.schema() as url, cluster_of(home, url, 221) as cluster:
        for _ in range(3):
            with cluster.loaded():
                cluster.arrive(40)
                cluster.nodes[1].kill()
            cluster.start(cluster.nodes[1])
        cluster.arrive(0)
        assert cluster.sink.most == MOST


def test_a_node_that_stood_still_closes_what_others_have_by_now(home: Path, database: Postgresql) -> None:
    """While it stands still its connections stay open: nobody else can close them."""
    with database.schema() as url, cluster_of(home, url, 222) as cluster:
        sink, stopped = cluster.sink, cluster.nodes[0]
        for other in cluster.nodes[1:]:
            other.signal(signal.SIGSTOP)
        cluster.load.start(stopped.port, senders=2)
        cluster.arrive(20)
        stopped.signal(signal.SIGSTOP)
        for other in cluster.nodes[1:]:
            other.signal(signal.SIGCONT)
            cluster.load.start(other.port, senders=2)
        cluster.arrive(20, seconds=90.0)
        stopped.signal(signal.SIGCONT)
        eventually(lambda: sink.open <= MOST)
        for _ in range(20):
            assert sink.open <= MOST
            time.sleep(0.1)
        cluster.load.finish()
