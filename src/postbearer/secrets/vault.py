"""``hashicorp-vault:path#field``: a field of a secret in HashiCorp Vault, or in OpenBao, its sister.

The secrets engine is KV, version 1 or 2; which one, and where it is mounted, the server is asked as its
own command does, unless the settings say it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.http import HttpResponse, Text, plain
from postbearer.redaction import scrub
from postbearer.secret import Secret, SecretSource
from postbearer.secrets.reference import ReferenceContext
from postbearer.secrets.settings import StoreSettings
from postbearer.secrets.store_client import StoreClient, split, text_in, url_path

_PART = 0.9  # of a lease, after which its token is not used any more
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@dataclass(frozen=True, slots=True)
class VaultLogin:
    """How a token is had: `fields` are sent to a method of authentication mounted at `mount`."""

    mount: str
    fields: Mapping[str, str | SecretSource] = field(hash=False)


@dataclass(slots=True)
class VaultSession:
    """The token that a login gave, while its lease lasts: each login costs the server a lease."""

    token: Secret | None = None
    until: float = 0.0  # monotonic seconds

    def fresh(self, now: float) -> Secret | None:
        return self.token if now < self.until else None


@dataclass(frozen=True, slots=True)
class Engine:
    """Where the KV engine is mounted, and its version; empty and 0: the server is asked."""

    mount: str = ""
    version: int = 0

    def path(self, path: str) -> str:
        """The path of the API for the secret at `path` (with the mount in front)."""
        if self.version != 2:
            return path
        inside = path.removeprefix(self.mount).removeprefix("/")
        return path if inside.startswith("data/") else f"{self.mount}/data/{inside}"


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """The field `name` of the secret at `path`.

    `access` is a token, a way to get one, or nothing: a Vault agent adds its own.
    """

    client: StoreClient
    path: str
    name: str
    access: SecretSource | VaultLogin | None
    namespace: str = ""
    engine: Engine = Engine()
    session: VaultSession = field(default_factory=VaultSession, compare=False, repr=False)

    @property
    def reference(self) -> str:
        return self.client.reference

    async def read(self) -> Secret:
        kept = self.session.fresh(self.client.clock.monotonic())
        if kept is not None:
            try:
                return await self._read(kept)
            except SecretUnavailable:
                raise
            except SecretError:  # perhaps only the token has ended: a new one tells
                self.session.token = None
        return await self._read(await self._token())

    async def _read(self, token: Secret | None) -> Secret:
        headers = self._headers(token)
        engine = self.engine if self.engine.version else await self._ask_engine(headers)
        path = engine.path(self.path)
        response = await self.client.ask(f"v1/{url_path(path, self.reference)}", headers=headers)
        found = self._found(response, path, engine)
        if isinstance(found, SecretError):
            raise found
        return found

    def _headers(self, token: Secret | None) -> dict[str, Text]:
        headers: dict[str, Text] = {"X-Vault-Request": "true"}  # a Vault agent may insist on it
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        if token is not None:
            headers["X-Vault-Token"] = Secret(token.reveal().strip())
        return headers

    async def _token(self) -> Secret | None:
        if not isinstance(self.access, VaultLogin):
            return await self.access.read() if self.access is not None else None
        given = {
            name: value if isinstance(value, str) else await value.read()
            for name, value in self.access.fields.items()
        }
        mount, asked = self.access.mount, self.client.clock.monotonic()
        response = await self.client.ask(
            f"v1/auth/{url_path(mount, self.reference)}/login",
            content=Secret(json.dumps({name: plain(value) for name, value in given.items()})),
            headers=self._headers(None),
        )
        token, lease = _client_token(response)
        if token is None:
            secrets = [value for value in given.values() if isinstance(value, Secret)]
            names = ", ".join(name.replace("_", "-") for name in given)
            raise self.client.refused(
                response, f"log us in at auth/{mount}", f"Check {names}, auth-path and namespace.", secrets
            )
        self.session.token, self.session.until = token, asked + lease * _PART
        return token

    async def _ask_engine(self, headers: Mapping[str, Text]) -> Engine:
        response = await self.client.ask(
            f"v1/sys/internal/ui/mounts/{url_path(self.path, self.reference)}", headers=headers
        )
        if response.status == 404:  # a Vault from before there was a version 2
            return Engine(version=1)
        match response.json():
            case {"data": {"path": str(mount), "type": "kv" | "generic", "options": {"version": "2"}}}:
                return Engine(mount.strip("/"), 2)
            case {"data": {"path": str(mount), "type": "kv" | "generic"}}:
                return Engine(mount.strip("/"), 1)
            case {"data": {"type": str(kind)}}:
                raise self.client.error(
                    f"keeps no fixed secrets at {self.path}: there is an engine of type {scrub(kind, ())}.",
                    "Name a path in a KV engine.",
                )
        raise self.client.refused(
            response,
            f"say what is mounted at {self.path}",
            f'{self._policy(self.path)} In KV version 2 the path is "MOUNT/data/…". '
            "A wrong mount, namespace or token looks the same.",
        )

    def _found(self, response: HttpResponse, path: str, engine: Engine) -> Secret | SecretError:
        body = response.json()
        if response.status == 404:
            return self.client.error(*self._nothing(body, path))
        if not response.ok:
            return self.client.refused(response, f"read {path}", self._policy(path))
        fields = body.get("data") if isinstance(body, dict) else None
        if engine.version == 2:
            fields = fields.get("data") if isinstance(fields, dict) else None
        value = text_in(fields, self.name, path)
        return value if isinstance(value, Secret) else self.client.error(f"{value}.", self._put())

    def _nothing(self, body: object, path: str) -> tuple[str, str]:
        match body:
            case {"data": {"metadata": {"destroyed": True}}}:
                return f"has destroyed the newest version of {path}.", self._put()
            case {"data": {"metadata": {"deletion_time": str(when)}}} if when:
                return f"has nothing at {path}: it was deleted at {scrub(when, ())}.", self._put()
        return f"has nothing at {path}.", self._put()

    def _put(self) -> str:
        return f"Write it there: vault kv put {self.path} {self.name}=…; or correct the reference."

    def _policy(self, path: str) -> str:
        return (
            f'Give the token a policy with: path "{path}" {{ capabilities = ["read"] }}. '
            "Or the token has expired."
        )


def _client_token(response: HttpResponse) -> tuple[Secret | None, int]:
    """The token of a login, and for how many seconds it is good."""
    match response.json():
        case {"auth": {"client_token": str(token), "lease_duration": int(lease)}} if response.ok and token:
            return Secret(token), lease
    return None, 0


def open_vault(rest: str, place: ReferenceContext) -> VaultSecret:
    """The source for ``hashicorp-vault:rest``. Raises `SecretError` when a setting is missing."""
    reference = f"{place.scheme}:{rest}"
    path, name = split(rest, "#", f"{place.scheme}:path#field", reference)
    given = StoreSettings(place, reference)
    address, path = given.url("address", "VAULT_ADDR"), path.strip("/")
    client = StoreClient("Vault", address, reference, given.path("ca-file", "VAULT_CACERT"), place.clock)
    version = given.number("kv-version")
    mount = given.text("mount").strip("/") or (path.partition("/")[0] if version else "")
    return VaultSecret(
        client,
        path,
        name,
        _access(given),
        given.text("namespace", "VAULT_NAMESPACE"),
        Engine(mount, version),
    )


def _access(given: StoreSettings) -> SecretSource | VaultLogin | None:
    method = given.text("auth", default="token")
    mount = given.text("auth-path", default=method).strip("/")
    if method == "approle":
        return VaultLogin(
            mount, {"role_id": given.needed("role-id"), "secret_id": given.needed_secret("secret-id")}
        )
    if method in ("kubernetes", "jwt"):
        jwt = given.secret("jwt") or given.file(_SERVICE_ACCOUNT)
        return VaultLogin(mount, {"role": given.needed("role"), "jwt": jwt})
    if method == "agent":
        return None
    token = given.secret("token", "VAULT_TOKEN")
    kept = os.path.expanduser("~/.vault-token")
    if token is None and os.path.exists(kept):
        return given.file(kept)
    return token or given.needed_secret("token", "VAULT_TOKEN")
