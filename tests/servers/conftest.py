"""Real servers as fixtures. Started once a session, when a test first asks for them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from postbearer.state import StateFolder

from .authorization import AuthorizationServer
from .certificates import Certificates, issue
from .clients import Submission
from .dovecot import Dovecot
from .postfix import Postfix
from .processes import Log
from .sending import Recorder
from .sink import Sink

_LOGS: dict[str, Log] = {}


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Unlike pytest's: open to the servers' own users, and with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="postbearer-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def certificates(servers_folder: Path) -> Certificates:
    return issue(servers_folder)


@pytest.fixture(scope="session")
def ca_file(certificates: Certificates) -> Path:
    """What a client has to trust to reach the mail servers."""
    return certificates.ca_file


@pytest.fixture(scope="session")
def authorization_server(servers_folder: Path) -> Iterator[AuthorizationServer]:
    server = AuthorizationServer(servers_folder)
    _LOGS["authorization server"] = server.log
    yield server
    server.stop()


@pytest.fixture(scope="session")
def running_sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def sink(running_sink: Sink) -> Sink:
    """Where everything arrives that the mail servers accept; empty when a test begins."""
    running_sink.clear()
    return running_sink


@pytest.fixture(scope="session")
def dovecot_submission(
    servers_folder: Path,
    certificates: Certificates,
    authorization_server: AuthorizationServer,
    running_sink: Sink,
) -> Iterator[Dovecot]:
    folder = servers_folder / "dovecot"
    folder.mkdir()
    server = Dovecot(folder, certificates, authorization_server, running_sink)
    _LOGS["Dovecot"] = server.log
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mail_servers(
    servers_folder: Path, certificates: Certificates, dovecot_submission: Dovecot, running_sink: Sink
) -> Iterator[Postfix]:
    """Postfix, with Dovecot behind it."""
    folder = servers_folder / "postfix"
    folder.mkdir()
    server = Postfix(folder, certificates, dovecot_submission, running_sink)
    _LOGS["Postfix"] = server.log
    yield server
    server.stop()


@pytest.fixture(params=["postfix", "dovecot"])
def server(request: pytest.FixtureRequest) -> Submission:
    """Either mail server: a test that asks for it runs against both."""
    name = {"postfix": "mail_servers", "dovecot": "dovecot_submission"}[request.param]
    found: Submission = request.getfixturevalue(name)
    return found


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """Where postbearer keeps tokens in this test."""
    return StateFolder(tmp_path / "state")


@pytest.fixture
def seen() -> Recorder:
    """What postbearer told about its work."""
    return Recorder()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the servers logged since the test began."""
    report = yield
    if report.when == "setup":
        for log in _LOGS.values():
            log.mark()
    if report.failed:
        report.sections += [(f"log of {name}", text) for name, log in _LOGS.items() if (text := log.text())]
    return report
