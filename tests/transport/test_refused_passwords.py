"""A password that a mail server refused is said once, by whatever object or process."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.account import Account
from postbearer.errors import CredentialRefused, GrantRefused, NetworkError, PostbearerError
from postbearer.events import Silent
from postbearer.state import StateFolder
from postbearer.testing import Expect, ManualClock, ScriptedStream, StartTls, Tap, conversation, lines
from postbearer.transport import SmtpTransport, Stream
from support.provider import ALL, CONTENT, ehlo, envelope, one_flight

ADDRESS = "alerts@example.org"
SERVER = "mail.example.org:465"


class Server:
    """Answers every login by `reply`, or lets in the next one."""

    def __init__(self, folder: Path) -> None:
        self.folder = StateFolder(folder / "state")
        self.reply = "535 5.7.8 Authentication credentials invalid"
        self.tap = Tap()

    async def send(self, *, forgive: bool = False) -> None:
        """What one process does that starts for one message."""
        clock = ManualClock()
        account = Account.smtp(
            ADDRESS,
            servers=[SERVER],
            tls="implicit",
            authentication="password",
            password="env:PASSWORD",
        )
        transport = SmtpTransport(
            account.smarthost,
            account.credential(self.folder, clock=clock, observer=Silent()),
            account=account.name,
            clock=clock,
            dial=self._dial,
        )
        if forgive:
            await transport.forgive()
        await transport.deliver(envelope(), CONTENT)

    async def _dial(self, *_: object) -> Stream:
        login = [Expect("AUTH PLAIN "), lines(self.reply)]
        script = conversation(
            StartTls(), lines("220 hi"), ehlo(*ALL, auth="PLAIN LOGIN"), login, one_flight()
        )
        return ScriptedStream(*script, tap=self.tap)

    @property
    def logins(self) -> int:
        return self.tap.verbs.count("AUTH")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("PASSWORD", "wrong")
    return Server(tmp_path)


async def test_no_process_says_a_refused_password_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        with pytest.raises(GrantRefused if number else CredentialRefused):
            await server.send()
    assert server.logins == 1
    monkeypatch.setenv("PASSWORD", "right")
    server.reply = "235 2.7.0 in"
    await server.send()
    assert server.logins == 2


async def test_a_person_may_have_it_tried_again(server: Server) -> None:
    for _ in range(2):
        with pytest.raises(PostbearerError):
            await server.send()
    server.reply = "235 2.7.0 in"
    await server.send(forgive=True)
    assert server.logins == 2


@pytest.mark.parametrize(
    "reply",
    ["454 4.7.0 Temporary authentication failure", "421 4.7.0 Try again later"],
)
async def test_what_passes_says_nothing_about_the_password(server: Server, reply: str) -> None:
    server.reply = reply
    for _ in range(2):
        with pytest.raises(NetworkError):
            await server.send()
    assert server.logins == 2
