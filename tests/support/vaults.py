"""Secret stores on loopback, in the HTTP shapes that their makers document; theirs cannot be had here."""

from __future__ import annotations

import json

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

    def reply(self, asked: Asked) -> Answer:
        path = asked.path.removeprefix("/v1/")
        if asked.headers.get("x-vault-namespace", "") != self.namespace:
            return said(403, errors=["permission denied"])
        if path in self.logins:
            if json.loads(asked.body) != self.logins[path]:
                return said(400, errors=["invalid role or secret ID"])
            return said(auth={"client_token": self.token})
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
