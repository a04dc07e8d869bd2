"""A whole OAuth mail provider on loopback: authorization server, mail server, inbox, and their faults."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shlex
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from postbearer.account import Account
from postbearer.clock import Clock, SystemClock
from postbearer.errors import UsageError
from postbearer.oauth import ClientCredentials, Grant, RefreshToken
from postbearer.secret import Secret
from postbearer.testing.authorization import AuthorizationServer
from postbearer.testing.certificates import Authority
from postbearer.testing.faults import Faults
from postbearer.testing.inbox import Inbox
from postbearer.testing.mail import MailServer
from postbearer.testing.personality import PERSONALITIES, Personality
from postbearer.testing.switches import TOKENS, switch
from postbearer.testing.tokens import TokenRegister

HOST = "127.0.0.1"
NAME = "localhost"
CLIENT_ID = "sandbox-app"
ADDRESS = "alerts@example.org"
OTHER_ADDRESS = "other@example.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a sandbox listens; 0 is a free port. `smtp` begins TLS by STARTTLS, `smtps` at once."""

    http: int = 0
    smtp: int = 0
    smtps: int = 0


class Sandbox:
    """One provider; ``async with Sandbox() as sandbox`` starts and stops it.

    `provider` is ``microsoft``, ``google`` or ``generic``; tokens live `lifetime` seconds, and are JWTs
    unless `opaque`. Everything is made anew at each start: certificates, client secret, passwords, and
    ports; but for what `ports`, `client_secret` and `password` (of all users) say.
    Its files are in `folder` while it runs: ``ca.pem``, ``client-secret``, ``postbearer.toml``, and
    ``environment``, which gives a shell all of `describe` as variables.
    """

    def __init__(
        self,
        provider: str = "generic",
        *,
        clock: Clock | None = None,
        lifetime: float = 3600,
        opaque: bool = False,
        ports: Ports = Ports(),
        client_secret: str = "",
        password: str = "",
    ) -> None:
        if provider not in PERSONALITIES:
            raise UsageError(
                f"There is no sandbox for {provider!r}.", hint=f"One of {', '.join(sorted(PERSONALITIES))}."
            )
        self.personality: Personality = PERSONALITIES[provider]
        self.faults = Faults()
        self.client_secret = client_secret or secrets.token_urlsafe(24)
        self.users = {each: password or secrets.token_urlsafe(12) for each in (ADDRESS, OTHER_ADDRESS)}
        self.authority = Authority()
        self.inbox = Inbox()
        self.url = ""
        self._ports = ports
        self.starttls_port = 0
        self.implicit_port = 0
        self._clock = clock or SystemClock()
        self._lifetime = lifetime
        self._opaque = opaque
        self._stack = contextlib.AsyncExitStack()

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    @property
    def token_requests(self) -> int:
        """How many token requests came, also those that were refused."""
        return self.authorization.requests

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postbearer-")))
            listener = stack.enter_context(_listening(self._ports.http))
            self.url = f"http://{HOST}:{listener.getsockname()[1]}"
            self.register = TokenRegister(
                self._clock,
                issuer=self.url,
                audience=self.personality.audience,
                lifetime=self._lifetime,
                opaque=self._opaque,
            )
            self.authorization = AuthorizationServer(
                clients={CLIENT_ID: self.client_secret},
                users=self.users,
                scopes=self.personality.scopes,
                register=self.register,
                faults=self.faults,
                clock=self._clock,
            )
            await stack.enter_async_context(_serving(self, listener))
            self.mail = MailServer(
                self.personality,
                users=frozenset(self.users),
                register=self.register,
                faults=self.faults,
                inbox=self.inbox,
                context=self.authority.server_context(),
                clock=self._clock,
            )
            mail = [stack.enter_context(_listening(port)) for port in (self._ports.smtp, self._ports.smtps)]
            self.starttls_port, self.implicit_port = await self.mail.start(*mail)
            stack.push_async_callback(self.mail.stop)
            self._write_files()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def sign_in(self, user: str = ADDRESS) -> str:
        """A refresh token, as a person would get it for the sandbox's client by consenting."""
        return self.register.sign_in(CLIENT_ID, user, self.personality.scopes[0])

    def account(self, name: str = "sandbox") -> Account:
        """The account of `configuration`, for the library."""
        secret, scopes = Secret(self.client_secret), self.personality.scopes[:1]
        grant: Grant = ClientCredentials(CLIENT_ID, secret, scopes=scopes)
        if self._person:
            grant = RefreshToken(CLIENT_ID, Secret(self.sign_in()), secret, scopes=scopes)
        return Account.of(
            self.personality.preset,
            ADDRESS,
            grant,
            name=name,
            servers=[f"{NAME}:{self.starttls_port}"],
            tls="starttls",
            ca_file=str(self.folder / "ca.pem"),
            token_url=self.token_url,
        )

    def reset(self) -> None:
        """Empty the inbox and switch all faults off."""
        self.inbox.clear()
        self.set_faults(Faults())

    def set_faults(self, faults: Faults) -> None:
        """Put other faults in force, for the requests and commands from now on."""
        self.faults = self.authorization.faults = self.mail.faults = faults

    def switch(self, name: str, on: bool = True) -> None:
        """Put a named fault in force beside the others, or end it. Raises `UsageError` for another name.

        It is felt at once: connections on which no message is under way end, and access tokens, too, where
        it is a fault of the authorization server.
        """
        chosen = switch(name, self.personality.name)
        self.set_faults(chosen.on(self.faults) if on else chosen.off(self.faults))
        if on and chosen.at == TOKENS:
            self.register.end_access()
        if on:
            self.mail.hang_up()

    def describe(self) -> dict[str, Any]:
        """Every address, client and secret, for a program or a person."""
        return {
            "provider": self.personality.name,
            "inbox": self.url,
            "token_url": self.token_url,
            "authorize_url": f"{self.url}/authorize",
            "device_url": f"{self.url}/device_authorization",
            "revocation_url": f"{self.url}/revoke",
            "identity_endpoint": f"{self.url}/identity/token",
            "identity_header": self.authorization.identity_header,
            "smtp": {"host": NAME, "starttls_port": self.starttls_port, "implicit_port": self.implicit_port},
            "mechanisms": list(self.personality.mechanisms),
            "scopes": list(self.personality.scopes),
            "ca_file": str(self.folder / "ca.pem"),
            "client_id": CLIENT_ID,
            "client_secret": self.client_secret,
            "users": self.users,
            "configuration": str(self.folder / "postbearer.toml"),
            "environment": str(self.folder / "environment"),
        }

    def environment(self) -> dict[str, str]:
        """`describe` as variables (``SANDBOX_SMTP_HOST``), and ``POSTBEARER_CONFIG``."""
        return {
            "POSTBEARER_CONFIG": str(self.folder / "postbearer.toml"),
            **_flat("SANDBOX", self.describe()),
        }

    def configuration(self, name: str = "sandbox") -> str:
        """A configuration file (TOML) with one account that sends through this sandbox."""
        provider = "smtp" if self.personality.name == "generic" else self.personality.name
        tenant = 'tenant = "example.org"\n' if provider == "microsoft" else ""
        return (
            f"[accounts.{name}]\n"
            f'provider = "{provider}"\n'
            f'address = "{ADDRESS}"\n'
            f"{tenant}"
            f'servers = ["{NAME}:{self.starttls_port}"]\n'
            'tls = "starttls"\n'
            f'ca-file = "{self.folder / "ca.pem"}"\n'
            f'grant = "{self._grant}"\n'
            f'token-url = "{self.token_url}"\n'
            f'client-id = "{CLIENT_ID}"\n'
            f'client-secret = "file:{self.folder / "client-secret"}"\n'
            f'scopes = ["{self.personality.scopes[0]}"]\n'
            + (f'refresh-token = "file:{self.folder / "refresh-token"}"\n' if self._person else "")
        )

    @property
    def _person(self) -> bool:
        """Google knows no app-only tokens without a service account: there a person has signed in."""
        return self.personality.name == "google"

    @property
    def _grant(self) -> str:
        return RefreshToken.name if self._person else ClientCredentials.name

    def _write_files(self) -> None:
        self.authority.write(self.folder / "ca.pem")
        shell = (f"export {name}={shlex.quote(value)}\n" for name, value in self.environment().items())
        files = {
            "client-secret": self.client_secret + "\n",
            "postbearer.toml": self.configuration(),
            "environment": "".join(shell),
        }
        if self._person:
            files["refresh-token"] = self.sign_in() + "\n"
        for name, text in files.items():
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text)


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(
            f"The sandbox cannot listen on {HOST}:{port}: {error.strerror}.", hint="Choose another port."
        ) from None


def _flat(name: str, value: Any) -> dict[str, str]:
    """``{"smtp": {"port": 1}}`` → ``{"SANDBOX_SMTP_PORT": "1"}``."""
    if not isinstance(value, dict | list):
        return {name: str(value)}
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    inner = (_flat(f"{name}_{re.sub('[^A-Za-z0-9]', '_', str(key)).upper()}", each) for key, each in pairs)
    return {key: text for each in inner for key, text in each.items()}


@contextlib.asynccontextmanager
async def _serving(sandbox: Sandbox, listener: socket.socket) -> AsyncIterator[None]:
    """Run the HTTP side in this loop, without uvicorn's own signal handling."""
    import uvicorn

    from postbearer.testing.web import Web

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        Web(sandbox).app, log_config=None, lifespan="off", access_log=False, interface="asgi3"
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


class BackgroundSandbox:
    """A sandbox for programs without an event loop: it runs in a thread of its own."""

    def __init__(self, provider: str = "generic", *, lifetime: float = 3600, opaque: bool = False) -> None:
        self._make = partial(Sandbox, provider, lifetime=lifetime, opaque=opaque)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def __enter__(self) -> Sandbox:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self._sandbox

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # handed to the thread that waits for the start
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._make() as self._sandbox:
            self._ready.set()
            await self._stop.wait()
