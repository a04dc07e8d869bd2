"""A real Prometheus that scrapes a real relay, with the rules and the dashboard that are shipped."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from house.tree import ROOT
from postbearer.testing import Sandbox
from relay.conversing import submit
from relay.running import Relay, eventually, relay_table
from servers.processes import Log, Process, program
from support.local import short_folder
from support.ports import free_ports

pytestmark = pytest.mark.servers

RULES = ROOT / "packaging" / "prometheus" / "postbearer.rules.yaml"
DASHBOARD = json.loads((ROOT / "packaging" / "grafana" / "postbearer.json").read_text())
CASES = Path(__file__).with_name("alerts.yaml")
PAGE = ROOT / "docs" / "how-to" / "answer-alerts.md"
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
MAY_BE_EMPTY = {
    "What providers refuse",
    "What clients are refused",
    "What runs out",
}  # where nothing happened


@dataclass
class Scraped:
    """Prometheus, and the relay that it asks."""

    relay: Relay
    http: int
    url: str

    def get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urlencode(query)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def ready(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=30).status == 200
        except urllib.error.HTTPError:
            return False

    def ask(self, query: str) -> list[Any]:
        return list(self.get("/api/v1/query", query=query)["result"])


@pytest.fixture(scope="module")
def scraped(postbearer_sandbox_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    http, own = free_ports(2)
    with short_folder() as folder:
        sandbox: Sandbox = postbearer_sandbox_servers("microsoft")
        text = (
            sandbox.configuration()
            + relay_table('account = "sandbox"')
            + f'[http]\nlisten = ["127.0.0.1:{http}"]\n'
        )
        with Relay(folder, text) as relay:
            relay.start()
            yield from _prometheus(relay, http, own, tmp_path_factory.mktemp("prometheus"))


def _prometheus(relay: Relay, http: int, own: int, folder: Path) -> Iterator[Scraped]:
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{RULES}]\n"
        "scrape_configs:\n"
        "  - job_name: postbearer\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{http}']}}]\n"
    )
    argv = [
        program("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    process = Process("prometheus", argv, Log(folder / "log"))
    try:
        process.wait_for_port(own)
        found = Scraped(relay, http, f"http://127.0.0.1:{own}")
        eventually(found.ready)
        yield found
    finally:
        process.stop()


def test_what_happens_is_seen(scraped: Scraped) -> None:
    eventually(lambda: scraped.ask('up{job="postbearer"} == 1'))
    before = time.time()
    assert submit(scraped.relay, "m1", to="you@example.org") == 250
    eventually(lambda: scraped.ask("postbearer_deliver_seconds_count{account='sandbox'} == 1"))
    assert time.time() - before < 60
    assert scraped.ask('postbearer_attempt_total{account="sandbox", outcome="delivered"} == 1')
    assert scraped.ask('postbearer_token_requests_total{account="sandbox", result="ok"} == 1')
    assert scraped.ask('postbearer_account_paused{account="sandbox", by="nobody"} == 0')
    (version,) = scraped.ask("postbearer_build_info")
    assert version["metric"]["version"]


@pytest.mark.parametrize(
    ("title", "query"), QUERIES, ids=[f"{each[0]}-{n}" for n, each in enumerate(QUERIES)]
)
def test_every_query_of_the_dashboard_is_answered(scraped: Scraped, title: str, query: str) -> None:
    filled = query.replace("$instance", ".*").replace("$account", ".*").replace("$__rate_interval", "20s")
    assert "$" not in filled
    if title in MAY_BE_EMPTY:
        scraped.ask(filled)
    else:
        eventually(lambda: scraped.ask(filled))


def test_the_variables_of_the_dashboard_are_labels(scraped: Scraped) -> None:
    asked = {
        each["name"]: each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each
    }
    for name, definition in asked.items():
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", definition)
        assert found is not None
        matcher, label = found[1].replace("$instance", ".*"), found[2]
        assert scraped.get(f"/api/v1/label/{label}/values", **{"match[]": matcher}), name


def test_the_rules_are_evaluated_and_nothing_is_wrong(scraped: Scraped) -> None:
    (group,) = scraped.get("/api/v1/rules")["groups"]
    eventually(lambda: scraped.ask("ALERTS") == [] and scraped.ask("up"))
    eventually(
        lambda: all(each["health"] == "ok" for each in scraped.get("/api/v1/rules")["groups"][0]["rules"])
    )
    assert len(group["rules"]) >= 15


def test_each_alert_has_a_case_and_a_place_that_says_what_to_do() -> None:
    rules = RULES.read_text()
    names = re.findall(r"- alert: (\w+)", rules)
    links = re.findall(r"runbook_url: (\S+)", rules)
    page = "https://github.com/postbearer/postbearer/blob/main/docs/how-to/answer-alerts.md"
    assert links == [f"{page}#{name.lower()}" for name in names]
    assert re.findall(r"^## (\w+)", PAGE.read_text(), re.MULTILINE) == names
    cases = CASES.read_text()
    assert [name for name in names if f'alertname="{name}"' not in cases] == []
    done = subprocess.run(
        [program("promtool", "prometheus"), "test", "rules", str(CASES)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_names_every_metric_and_no_other(scraped: Scraped) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{scraped.http}/metrics", timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    types = dict(re.findall(r"^# TYPE (postbearer_\S+) (\w+)", text, re.MULTILINE))
    rows = re.findall(r"^\| (`postbearer_.*?) \| (\w+) \|", REFERENCE.read_text(), re.MULTILINE)
    told = {name: kind for names, kind in rows for name in re.findall(r"`(postbearer_\w+)", names)}
    assert told == types
    for panel, query in QUERIES:
        for name in re.findall(r"postbearer_\w+", query):
            assert re.sub(r"_(bucket|count|sum)$", "", name) in types, panel
    for name in re.findall(r"\bpostbearer_[a-z_]+", RULES.read_text()):
        assert re.sub(r"_(bucket|count|sum)$", "", name) in types
