"""Nodes of an older version and of a newer one on one queue, under load: one after the other is upgraded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import postbearer
from postbearer.store.queries import migrations
from relay.campaign import Row
from relay.cluster import Cluster
from relay.running import eventually
from relay.test_cluster import judged
from servers.postgresql import Postgresql

pytestmark = pytest.mark.servers

# What versions to come may do to tables that are used: see `test_migrations_postgres.py`.
STEPS = """
ALTER TABLE message ADD COLUMN colour text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN weight integer NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN mood text COLLATE "C" NOT NULL DEFAULT '';
CREATE TABLE colour (name text COLLATE "C" PRIMARY KEY);
CREATE INDEX message_colour ON message (colour) WHERE colour <> '';
"""
# What the older ones could not live with: they put in nothing of that kind.
LATER = "ALTER TABLE node ALTER COLUMN knows DROP DEFAULT; CREATE TABLE finished_upgrade ();"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the package lies as its next version may be: with a migration more."""
    folder = tmp_path_factory.mktemp("newer")
    package = folder / "postbearer"
    shutil.copytree(Path(postbearer.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "store/postgres/migrations/9999-staged.sql").write_text(STEPS)
    (package / "store/postgres/migrations/9999-staged.post.sql").write_text(LATER)
    version = package / "_version.py"
    version.write_text(f'{version.read_text()}\n__version__ = "99.0"\n')
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def changed(database: Postgresql) -> Iterator[str]:
    """A schema that nobody else has afterwards, as its tables are other ones then."""
    with database.schema() as url:
        yield url
        database.sql(f"DROP SCHEMA {url.rpartition('=')[2]} CASCADE")


def finished(database: Postgresql, schema: str) -> bool:
    """Whether the upgrade's second half is done."""
    return database.sql(f"SELECT to_regclass('{schema}.finished_upgrade') IS NOT NULL") == "t"


def look_at(cluster: Cluster, database: Postgresql) -> None:
    """Who looks at the queue in the end is of the older version."""
    schema = cluster.url.rpartition("=")[2]
    database.sql(f"UPDATE {schema}.version SET version = {len(migrations('postgres'))}")


def test_nodes_are_upgraded_one_after_the_other_while_mail_comes(
    home: Path, database: Postgresql, newer: Path, tell: Callable[[Row], None]
) -> None:
    """The first newer one changes the tables while the older ones work on them."""
    with changed(database) as url, Cluster(home / "c", url, 220) as cluster:
        schema = url.rpartition("=")[2]
        for number, node in enumerate(cluster.nodes):
            with cluster.loaded():
                cluster.arrive(10)
                assert node.stop(60) == 0, node.log
                cluster.faults += 1
                cluster.start(node, package=newer)
                cluster.arrive(10)
            versions = database.sql(f"SELECT version FROM {schema}.node ORDER BY 1").split()
            assert versions.count("99.0") == number + 1
            if number + 1 < len(cluster.nodes):
                time.sleep(6.0)  # for longer than a lease
                assert not finished(database, schema), "older nodes are there"
        with cluster.loaded():
            eventually(lambda: finished(database, schema), 60)
            cluster.arrive(10)
        assert database.sql(f"SELECT version FROM {schema}.version") == str(len(migrations("postgres")) + 1)
        look_at(cluster, database)
        judged(cluster, "upgraded one by one", tell)


def test_an_older_node_does_not_start_on_newer_tables_and_those_that_run_go_on(
    home: Path, database: Postgresql, newer: Path, tell: Callable[[Row], None]
) -> None:
    with changed(database) as url, Cluster(home / "c", url, 221, count=3) as cluster:
        first, second, old = cluster.nodes
        assert first.stop() == 0, first.log
        cluster.start(first, package=newer)
        second.kill()
        assert not second.start()
        assert "Install the newer postbearer" in second.log
        cluster.start(second, package=newer)
        with cluster.loaded():
            cluster.arrive(20)
            first.kill()
            second.kill()
            cluster.faults += 3
            cluster.arrive(20)  # by the old one alone
        assert old.running
        cluster.start(first, second, package=newer)
        look_at(cluster, database)
        judged(cluster, "an older node among newer ones", tell)
