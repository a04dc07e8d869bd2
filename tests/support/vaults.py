"""Secret stores on loopback, in the HTTP shapes that their makers document; theirs cannot be had here."""

from __future__ import annotations

import base64
import json
from urllib.parse import unquote

from support.tokenserver import Answer, Asked, TokenServer, said


class Store(TokenServer):
    """What they share: the address that programs are given."""

    @property
    def address(self) -> str:
        return self.url.removesuffix("/token")


class Vault(Store):
    """HashiCorp Vault: KV engines, a root token, and logins that give it.

    `mounts` are versions by path; `secrets` are the fields by path, as people write it.
    """

    token = "hvs.CANARY-root-token"

    def __init__(self) -> None:
        super().__init__()
        self.mounts: dict[str, int] = {"secret": 2, "old": 1}
        self.secrets: dict[str, dict[str, object]] = {}
        self.logins: dict[str, dict[str, str]] = {}  # what must be sent, by path of the login
        self.deleted: dict[str, str] = {}
        self.namespace = ""
        self.down = False

    def reply(self, asked: Asked) -> Answer:
        if self.down:
            return said(503, errors=["Vault is sealed"])
        path = asked.path.removeprefix("/v1/")
        if asked.headers.get("x-vault-namespace", "") != self.namespace:
            return said(403, errors=["permission denied"])
        if path in self.logins:
            if json.loads(asked.body) != self.logins[path]:
                return said(400, errors=["invalid role or secret ID"])
            return said(auth={"client_token": self.token, "lease_duration": 600})
        if asked.headers.get("x-vault-token") != self.token:
            return said(403, errors=["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"])
        if path.startswith("sys/internal/ui/mounts/"):
            return self._mount(path.removeprefix("sys/internal/ui/mounts/"))
        return self._read(path)

    def _mount(self, path: str) -> Answer:
        for mount, version in self.mounts.items():
            if path.startswith(f"{mount}/"):
                return said(data={"path": f"{mount}/", "type": "kv", "options": {"version": str(version)}})
        return said(403, errors=[f"preflight capability check returned 403, path {path!r}"])

    def _read(self, path: str) -> Answer:
        for mount, version in self.mounts.items():
            inside = path.removeprefix(f"{mount}/")
            if version == 2 and inside.startswith("data/") and inside != path:
                return self._version_2(f"{mount}/{inside.removeprefix('data/')}")
            if version == 1 and path in self.secrets:
                return said(data=self.secrets[path])
        return said(404, errors=[])

    def _version_2(self, path: str) -> Answer:
        when = self.deleted.get(path, "")
        if when:
            metadata = {"deletion_time": when, "destroyed": False, "version": 1}
            return said(404, data={"data": None, "metadata": metadata})
        if path not in self.secrets:
            return said(404, errors=[])
        return said(data={"data": self.secrets[path], "metadata": {"deletion_time": "", "destroyed": False}})


class KeyVault(Store):
    """Azure Key Vault, with the token endpoint of its tenant."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, str] = {}

    def reply(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            return super().reply(asked)
        path, _, query = asked.path.partition("?")
        if path == "/identity":  # of the machine
            return super().reply(asked)
        name = path.removeprefix("/secrets/")
        if (
            asked.headers.get("authorization") != f"Bearer access-{self._issued}"
            or query != "api-version=7.4"
        ):
            return said(401, error={"code": "Unauthorized", "message": "AKV10000: no valid Bearer token"})
        if name not in self.secrets:
            message = f"A secret with (name/id) {name} was not found in this key vault."
            return said(404, error={"code": "SecretNotFound", "message": message})
        return said(value=self.secrets[name], id=f"https://contoso.vault.azure.net/secrets/{name}/1")


class GoogleSecrets(Store):
    """Google Secret Manager, with its token endpoint and a machine's metadata server."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, bytes] = {}
        self.denial: Answer | None = None

    def reply(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            return super().reply(asked)
        if asked.path.startswith("/computeMetadata/"):
            good = asked.headers.get("metadata-flavor") == "Google"
            return super().reply(asked) if good else Answer(403)
        if asked.headers.get("authorization") != f"Bearer access-{self._issued}":
            return self._error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        name = asked.path.removeprefix("/v1/").removesuffix(":access")
        if self.denial is not None:
            return self.denial
        if name not in self.secrets:
            return self._error(404, "NOT_FOUND", f"Secret Version [{name}] not found.")
        return said(name=name, payload={"data": base64.b64encode(self.secrets[name]).decode()})

    def deny(self, code: int, status: str, message: str) -> None:
        """From now on refuse so."""
        self.denial = self._error(code, status, message)

    def _error(self, code: int, status: str, message: str) -> Answer:
        return said(code, error={"code": code, "message": message, "status": status})


class Conjur(Store):
    """CyberArk Conjur with one host, which has an API key, or a token for the JWT authenticator."""

    account = "shop"
    login = "host/mailer"
    api_key = "CANARY-2x5ag9s1api-key"
    jwt = "eyJCANARY.e30.sig"

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, str] = {}
        self.hidden: set[str] = set()

    def reply(self, asked: Asked) -> Answer:
        kind, *parts = [unquote(part) for part in asked.path.strip("/").split("/")]
        token = {"protected": "x", "payload": self.login, "signature": "y"}
        if kind == "authn":
            good = parts == [self.account, self.login, "authenticate"] and asked.body == self.api_key
            return said(**token) if good else Answer(401)
        if kind == "authn-jwt":
            good = parts[:2] == ["kube", self.account] and asked.form == {"jwt": self.jwt}
            return said(**token) if good else Answer(401)
        expected = base64.b64encode(json.dumps(token).encode()).decode()
        if asked.headers.get("authorization") != f'Token token="{expected}"':
            return Answer(401)
        path = parts[-1]
        if path in self.hidden:
            return said(403, error={"code": "forbidden", "message": "Forbidden"})
        if path not in self.secrets:
            message = f"CONJ00076E Variable {self.account}:variable:{path} is empty or not found."
            return said(404, error={"code": "not_found", "message": message})
        return Answer(200, self.secrets[path].encode(), {"content-type": "application/octet-stream"})
