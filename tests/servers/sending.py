"""What the tests need in which postbearer itself sends: accounts, what each server saw, the command."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, Unpack

from postbearer import ClientCredentials
from postbearer.account import Account, Options
from postbearer.envelope import Envelope
from postbearer.events import Event
from postbearer.oauth import Grant, StoredGrant
from postbearer.secret import Secret
from postbearer.state import KeyFile, StateFolder, TokenFile
from support.command import plain_environment, run

from .authorization import AuthorizationServer
from .clients import Submission
from .processes import Log

SENDER = "sender@example.org"
RECIPIENT = "a@example.org"
ENVELOPE = Envelope.of(SENDER, [RECIPIENT])
MESSAGE = (
    b"X-First: this line leads\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\nSubject: hello\r\n\r\nHello.\r\n"
)

AnyEvent = TypeVar("AnyEvent", bound=Event)


class Watched(Submission, Protocol):
    """A server and its log."""

    log: Log


def client_credentials(
    authorization: AuthorizationServer,
    client: str = "post",
    authentication: Literal["post", "basic"] = "post",
) -> ClientCredentials:
    registered = authorization.clients[client]
    secret = Secret(registered.secret)
    return ClientCredentials(registered.id, secret, authentication, scopes=[authorization.scope])


def account(
    server: Submission,
    authorization: AuthorizationServer,
    grant: Grant | None = None,
    *,
    address: str = SENDER,
    **options: Unpack[Options],
) -> Account:
    """An account at `server`; client credentials over STARTTLS unless something else is said."""
    port = server.submissions_port if options.get("tls") == "implicit" else server.submission_port
    usual: Options = {
        "servers": [f"{server.host}:{port}"],
        "ca_file": str(server.ca_file),
        "token_url": authorization.token_url,
        "ehlo_name": "client.example.org",
    }
    usual.update(options)
    return Account.smtp(address, grant=grant or client_credentials(authorization), **usual)


@dataclass(slots=True)
class Recorder:
    """Everything that was noticed."""

    events: list[Event] = field(default_factory=list)

    def notice(self, event: Event) -> None:
        self.events.append(event)

    def all(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        return [event for event in self.events if isinstance(event, kind)]


# --- the state folder -----------------------------------------------------------------------------


def kept_tokens(account: Account, state: StateFolder) -> TokenFile:
    return TokenFile(state.ensure(), account.name, binding=account.binding, box=KeyFile(state).box)


async def keep(account: Account, state: StateFolder, access: str) -> None:
    """Have a token kept that seems good for an hour, as if an earlier run had got it."""
    tokens, now = kept_tokens(account, state), time.time()
    fresh: Any = {"obtained": now, "expires": now + 3600, "fresh_until": now + 3540}
    assert await tokens.save(replace(await tokens.load(), access=Secret(access), **fresh))


async def kept(account: Account, state: StateFolder) -> StoredGrant:
    return await kept_tokens(account, state).load()


# --- what a server saw ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Visit:
    """One connection, as the server logged it."""

    logged_in: int = 0
    refused: int = 0
    messages: int = 0


_POSTFIX_END = re.compile(r"disconnect from \S+ (.*)")
_POSTFIX_COUNT = re.compile(r"(\w+)=(\d+)(?:/(\d+))?")
_DOVECOT_LOGIN = re.compile(r"submission-login: Info: Login: .*session=<(.*)>")
_DOVECOT_RELAYED = re.compile(r"submission\(.*?\)<\d+><(.*?)>: Info: Successfully relayed")
_DOVECOT_LOGOUT = re.compile(r"submission\(.*?\)<\d+><(.*?)>: Info: Disconnected")
_DOVECOT_REFUSED = re.compile(r"submission-login: Info: Disconnected: .*\(auth failed, (\d+) attempts")
_DOVECOT_LEFT = re.compile(r"submission-login: Info: Disconnected: .*\((?:no auth attempts|disconnected)")


def visits(server: Watched, count: int) -> list[Visit]:
    """All connections that ended since the test began; waits for `count`, to which they must come."""
    deadline = time.monotonic() + 10
    while len(found := _visits(server.log.text())) < count and time.monotonic() < deadline:
        time.sleep(0.02)  # the servers write their logs when they find the time
    assert len(found) == count, server.log.text()
    return found


def _visits(log: str) -> list[Visit]:
    found: list[Visit] = []
    for counts in _POSTFIX_END.findall(log):
        if counts == "commands=0/0":  # whoever started the server looked whether it listens
            continue
        commands = {
            verb: (int(good), int(all_ or good)) for verb, good, all_ in _POSTFIX_COUNT.findall(counts)
        }
        good, tries = commands.get("auth", (0, 0))
        found.append(Visit(good, tries - good, commands.get("mail", (0, 0))[0]))
    relayed, over = _DOVECOT_RELAYED.findall(log), _DOVECOT_LOGOUT.findall(log)
    found += [Visit(1, 0, relayed.count(each)) for each in _DOVECOT_LOGIN.findall(log) if each in over]
    found += [Visit(0, int(tries), 0) for tries in _DOVECOT_REFUSED.findall(log)]
    return found + [Visit() for _ in _DOVECOT_LEFT.findall(log)]


# --- the command ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """``python -m postbearer`` with a configuration and a state folder of its own."""

    folder: Path
    secrets: Mapping[str, str]

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.folder / "state")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A process that runs; to be waited for with `ended`."""
        argv = [sys.executable, "-m", "postbearer", *arguments, *self._configuration]
        streams: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(argv, env=self._environment, cwd=self.folder, **streams)

    def run(self, *arguments: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        words = [*arguments, *self._configuration]
        return run(words, stdin=content, cwd=self.folder, env=self._environment)

    @property
    def _configuration(self) -> list[str]:
        return ["--config", str(self.folder / "config.toml")]

    @property
    def _environment(self) -> dict[str, str]:
        own = {"HOME": str(self.folder), "POSTBEARER_STATE": self.state.path}
        return {**plain_environment(), **own, **self.secrets}

    def send(self, content: bytes = MESSAGE, *more: str) -> subprocess.CompletedProcess[bytes]:
        """``send --raw -`` to the usual recipient, or to those in `more`."""
        to = () if "--to" in more else ("--to", RECIPIENT)
        return self.run("send", "--account", "alerts", "--raw", "-", *to, *more, content=content)


def ended(process: subprocess.Popen[bytes], content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The result of a process; `content` is its standard input."""
    output, errors = process.communicate(content, timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def command(
    folder: Path,
    server: Submission,
    authorization: AuthorizationServer,
    *settings: str,
    client: str = "post",
    grant: str = "client-credentials",
    secrets: Mapping[str, str] | None = None,
) -> Command:
    """A configuration as a person would write it, with further lines for the account in `settings`."""
    registered = authorization.clients[client]
    port = server.submissions_port if 'tls = "implicit"' in settings else server.submission_port
    lines: Sequence[str] = [
        "[accounts.alerts]",
        'provider = "smtp"',
        f'address = "{SENDER}"',
        f'servers = ["{server.host}:{port}"]',
        f'ca-file = "{server.ca_file}"',
        f'grant = "{grant}"',
        f'token-url = "{authorization.token_url}"',
        f'client-id = "{registered.id}"',
        'client-secret = "env:ALERTS_SECRET"',
        f'scopes = ["{authorization.scope}"]',
        *settings,
    ]
    (folder / "config.toml").write_text("\n".join(lines) + "\n")
    return Command(folder, {"ALERTS_SECRET": registered.secret, **(secrets or {})})
