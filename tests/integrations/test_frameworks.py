"""What the page on FastAPI, Celery and gunicorn shows, run: its code as it stands there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from house.reader import blocks
from house.tree import ROOT
from postbearer.testing import BackgroundSandbox, Sandbox
from postbearer.testing.faults import SmtpFault
from relay.running import eventually
from support.ports import free_ports

PAGE = ROOT / "docs" / "how-to" / "use-from-fastapi-and-celery.md"


def code(containing: str) -> str:
    (text,) = (each.text for each in blocks(PAGE.read_text()) if containing in each.text)
    return text


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """In a thread: what is tested are programs that know nothing of this loop."""
    with BackgroundSandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def configured(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "postbearer.toml"
    file.write_text(sandbox.configuration("alerts"))
    file.chmod(0o600)
    monkeypatch.setenv("POSTBEARER_CONFIG", str(file))


@contextmanager
def served(folder: Path, command: list[str]) -> Iterator[str]:
    """The page's command, on a port of ours."""
    (folder / "shop.py").write_text(code("BackgroundTasks"))
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    argv = [sys.executable, "-m", *command, "--bind", address]
    said = folder / "log"
    with said.open("wb") as log, subprocess.Popen(argv, cwd=folder, stderr=log) as process:
        try:
            eventually(lambda: b"Listening" in said.read_bytes() or process.poll() is not None)
            yield f"http://{address}"
        finally:
            process.terminate()


def test_fastapi_in_workers_of_gunicorn(sandbox: Sandbox, tmp_path: Path) -> None:
    command = code("gunicorn --worker").split()
    with served(tmp_path, command) as url, httpx2.Client(base_url=url, timeout=60) as client:
        for number in range(6):
            asked = client.post("/invitations", params={"address": f"you{number}@example.org"})
            assert (asked.status_code, asked.json()) == (200, {"invitation": "sent"}), asked.text
        assert client.post("/orders", params={"address": "shop@example.org"}).json() == {"order": "taken"}
        eventually(lambda: len(sandbox.inbox.messages) == 7)
        sandbox.faults.smtp = [SmtpFault(at="rcpt", match="nobody@", reply="550 5.1.1 No such user")]
        refused = client.post("/invitations", params={"address": "nobody@example.org"})
        assert (refused.status_code, "check your address" in refused.text) == (400, True)
    assert [each.recipients for each in sandbox.inbox.messages].count(("shop@example.org",)) == 1
    assert sandbox.token_requests == 1  # of all workers
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


def in_celery(folder: Path, program: str) -> str:
    """What a program prints that has the page's `app` and `confirm`, with a broker in memory.

    In a process of its own: Celery changes the logging of the one that it is in.
    """
    (folder / "shop.py").write_text(code("autoretry_for").replace("redis://localhost", "memory://"))
    argv = [sys.executable, "-c", f"from shop import app, confirm\n{program}"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_of_celery_sends(sandbox: Sandbox, tmp_path: Path) -> None:
    program = """
from celery.contrib.testing.worker import start_worker
from celery.signals import task_success
from threading import Event

done = Event()
task_success.connect(lambda **_: done.set(), weak=False)
with start_worker(app, perform_ping_check=False, pool="solo"):
    confirm.delay("you@example.org", 17)
    print(done.wait(100))
"""
    assert in_celery(tmp_path, program).split() == ["True"]
    (message,) = sandbox.inbox.messages
    assert message.recipients == ("you@example.org",)


APPLIED = """
done = confirm.apply(args=({address!r}, 17))
print(done.state, type(done.result).__name__)
"""


def test_celery_repeats_what_was_not_sent_and_nothing_else(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.smtp = [SmtpFault(at="greeting", reply="421 4.3.2 Shutting down", times=1)]
    assert in_celery(tmp_path, APPLIED.format(address="you@example.org")).startswith("SUCCESS")
    assert len(sandbox.inbox.messages) == 1
    sandbox.faults.smtp = [SmtpFault(at="rcpt", match="nobody@", reply="550 5.1.1 No such user")]
    assert in_celery(tmp_path, APPLIED.format(address="nobody@example.org")) == "FAILURE Rejected\n"
