"""Nodes as processes on one PostgreSQL, which are killed and stopped, and a database that fails under them.

Short, a fault strikes a few times; with `--long` again and again. Nothing is lost, and each second copy is
one that a node spoke of.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.testing import BackgroundSandbox
from relay.campaign import Row
from relay.cluster import Cluster
from relay.failing import all_connections, cutting, pair, small_disk
from relay.running import eventually
from servers.postgresql import USER, Postgresql

pytestmark = pytest.mark.servers

Tell = Callable[[Row], None]
DAYS = 3 * 86_400.0
BUDGET = 120


def judged(cluster: Cluster, variant: str, tell: Tell) -> None:
    row, found = asyncio.run(cluster.outcome(variant))
    tell(row)
    assert found.bad == {}, cluster.explanation
    assert found.accepted > 0


def test_nodes_that_are_killed(home: Path, fragile: Postgresql, tell: Tell, long: bool) -> None:
    dice = random.Random(1)
    with fragile.schema() as url, Cluster(home / "c", url, 201) as cluster:
        for _ in range(100 if long else 4):
            with cluster.loaded():
                time.sleep(dice.uniform(0.1, 0.6))
                node = dice.choice(cluster.nodes)
                node.kill()
                cluster.faults += 1
            cluster.start(node)
        judged(cluster, "a node killed", tell)


def test_a_node_that_stands_still_for_longer_than_its_lease(
    home: Path, fragile: Postgresql, tell: Tell, long: bool
) -> None:
    """Others take what it was sending; what it does when it goes on changes nothing."""
    with fragile.schema() as url, Cluster(home / "c", url, 202) as cluster:
        for number in range(20 if long else 1):
            node = cluster.nodes[number % len(cluster.nodes)]
            with cluster.loaded():
                cluster.arrive(10)
                node.signal(signal.SIGSTOP)
                cluster.faults += 1
                time.sleep(7.0)
                node.signal(signal.SIGCONT)
                cluster.arrive(10)
        judged(cluster, "a node stopped for longer than its lease", tell)


def test_a_database_that_crashes(home: Path, fragile: Postgresql, tell: Tell, long: bool) -> None:
    with fragile.schema() as url, Cluster(home / "c", url, 203) as cluster:
        for _ in range(30 if long else 2):
            with cluster.loaded():
                cluster.arrive(10)
                fragile.stop("immediate")
                cluster.faults += 1
                fragile.start()
                cluster.arrive(10)
        judged(cluster, "the database crashed", tell)


def test_connections_that_the_database_ends(home: Path, fragile: Postgresql, tell: Tell, long: bool) -> None:
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postbearer'"
    with fragile.schema() as url, Cluster(home / "c", url, 204) as cluster:
        with cluster.loaded():
            for _ in range(100 if long else 8):
                cluster.arrive(5)
                fragile.sql(kill)
                cluster.faults += 1
            cluster.arrive(10)
        judged(cluster, "connections ended", tell)


def test_answers_to_commits_that_are_cut(home: Path, fragile: Postgresql, tell: Tell, long: bool) -> None:
    with (
        fragile.schema() as url,
        cutting(fragile.port) as proxy,
        Cluster(home / "c", url.replace(str(fragile.port), str(proxy.port)), 206) as cluster,
    ):
        with cluster.loaded():
            for number in range(200 if long else 16):
                cluster.arrive(3)
                proxy.cut.append("before" if number % 2 else "behind")
            cluster.arrive(10)
            cluster.faults = proxy.cuts
        judged(cluster, "answers to COMMIT cut", tell)


def test_a_synchronous_standby_that_takes_over(home: Path, tell: Tell, long: bool) -> None:
    """What got 250 is on both: the nodes go on with the other."""
    for number in range(20 if long else 1):
        with pair() as (primary, standby):
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
            url = f"postgresql://{USER}@{hosts}/postgres?target_session_attrs=read-write&schema=mail"
            with Cluster(home / f"c{number}", url, 300 + number) as cluster:
                with cluster.loaded():
                    cluster.arrive(30)
                    primary.stop("immediate")
                    standby.promote()
                    cluster.faults += 1
                    cluster.arrive(30)
                judged(cluster, "failover to a synchronous standby", tell)


def test_a_database_whose_disk_is_full(home: Path, fragile: Postgresql, tell: Tell, long: bool) -> None:
    with small_disk(fragile) as (url, fill), Cluster(home / "c", url, 208) as cluster:
        for _ in range(10 if long else 1):
            with cluster.loaded():
                cluster.arrive(10)
                with fill():
                    cluster.faults += 1
                    eventually(lambda: cluster.refusals() > 0)
            with cluster.loaded():
                cluster.arrive(10)
        judged(cluster, "the disk of the database full", tell)


def test_a_database_that_has_no_connection_left(
    home: Path, fragile: Postgresql, tell: Tell, long: bool
) -> None:
    with fragile.schema() as url, Cluster(home / "c", url, 209) as cluster:
        with cluster.loaded():
            for _ in range(10 if long else 1):
                cluster.arrive(10)
                with all_connections(fragile):
                    cluster.faults += 1
                    time.sleep(3.0)
                cluster.arrive(10)
        judged(cluster, "no connection left", tell)


def test_a_node_whose_clock_is_days_ahead(home: Path, fragile: Postgresql, tell: Tell, long: bool) -> None:
    """It goes by the clock of the database: what it takes leaves at once, by whichever node."""
    with fragile.schema() as url, Cluster(home / "c", url, 205, ahead=DAYS) as cluster:
        *right, wrong = cluster.nodes
        with cluster.loaded():
            cluster.arrive(20)
            wrong.kill()
            cluster.faults += 1
        cluster.start(wrong)
        with cluster.loaded():
            cluster.arrive(20)
            for node in right:
                node.kill()
                cluster.faults += 1
            cluster.arrive(5)
        judged(cluster, "a clock three days ahead", tell)


def test_one_token_and_one_budget_while_nodes_are_killed(home: Path, fragile: Postgresql, long: bool) -> None:
    """The provider sees one token request, and never more than the mailbox may send."""
    with BackgroundSandbox() as sandbox, fragile.schema() as url:
        account = f"{sandbox.configuration()}[accounts.sandbox.limits]\nmessages-per-day = {BUDGET}\n"
        with Cluster(home / "c", url, 210, account=account) as cluster:
            for node in cluster.nodes:
                with cluster.loaded():
                    time.sleep(0.5)
                    node.kill()
                cluster.start(node)
            with cluster.loaded():
                # What a killed node had counted is gone.
                eventually(lambda: len(sandbox.inbox.messages) >= BUDGET / 4, 120)
                time.sleep(2.0)
            assert len(sandbox.inbox.messages) <= BUDGET
            assert sandbox.token_requests == 1
