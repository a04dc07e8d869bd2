"""How a directory server reaches its secret stores, as tables ``[secret-stores.NAME]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from postbearer.config import parse
from postbearer.errors import ConfigError
from postbearer.importing.draft import ImportedConfiguration
from postbearer.importing.toml_output import render

if TYPE_CHECKING:
    from postbearer.importing.directory import Directory, Object


@dataclass(frozen=True, slots=True)
class _Part:
    """What an object says: its properties under our names; `secrets` are written out in it."""

    keys: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of store: the property of the provider that names the server, and of that, the login."""

    scheme: str
    link: str
    variables: str  # that say the same where there is no table
    server: _Part | None = None  # None: the link names the login itself
    login: str = ""
    logins: Mapping[str, _Part] = field(default_factory=dict)


KINDS = {
    "vault": _Kind(
        "hashicorp-vault",
        "vault-external-server",
        "VAULT_ADDR and VAULT_TOKEN",
        _Part({"vault-server-base-uri": "address"}),
        "vault-authentication-method",
        {
            "static-token": _Part(secrets={"vault-access-token": "token"}),
            "app-role": _Part(
                {"vault-role-id": "role-id", "login-mechanism-name": "auth-path"},
                {"vault-secret-id": "secret-id"},
                {"auth": "approle"},
            ),
        },
    ),
    "amazon-secrets-manager": _Kind(
        "aws-secrets-manager",
        "aws-external-server",
        "AWS_REGION, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY unless the machine has a role",
        _Part(
            {"aws-region-name": "region", "aws-access-key-id": "access-key-id"},
            {"aws-secret-access-key": "secret-access-key"},
        ),
    ),
    "azure-key-vault": _Kind(
        "azure-key-vault",
        "azure-authentication-method",
        "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
        login="azure-authentication-method",
        logins={
            "default": _Part({"tenant-id": "tenant", "client-id": "client-id"}),
            "client-secret": _Part(
                {"tenant-id": "tenant", "client-id": "client-id"}, {"client-secret": "client-secret"}
            ),
        },
    ),
    "conjur": _Kind(
        "conjur",
        "conjur-external-server",
        "CONJUR_APPLIANCE_URL, CONJUR_ACCOUNT, CONJUR_AUTHN_LOGIN and CONJUR_AUTHN_API_KEY",
        _Part({"conjur-server-base-uri": "address", "conjur-account-name": "account"}),
        "conjur-authentication-method",
        {"api-key": _Part({"username": "login"}, {"api-key": "api-key"})},
    ),
}


@dataclass(slots=True)
class StoreTables:
    """Makes the tables; an object that several providers name gives the same table."""

    directory: Directory
    draft: ImportedConfiguration

    def settings(self, provider: Object) -> dict[str, Any]:
        """The settings of the store that `provider` asks, as far as the file says them."""
        kind = KINDS.get(provider.type)
        named = provider.one(kind.link) if kind else None
        if kind is None or named is None:
            return {}
        table: dict[str, Any] = {}
        login: Object | None = None
        if kind.server is not None:
            server = self.directory.find("external-server", named.text)
            if server is None:
                self._absent(provider, named.text, kind, named.line)
                return {}
            self._take(server, kind.server, table)
            method = server.one(kind.login) if kind.login else None
            login = self.directory.find(kind.login, method.text) if method else None
            if method is not None and login is None:
                self._absent(provider, method.text, kind, method.line)
        else:
            login = self.directory.find(kind.login, named.text)
            if login is None:
                self._absent(provider, named.text, kind, named.line)
        if login is not None:
            part = kind.logins.get(login.type)
            if part is None:
                self.draft.leave(
                    f"{login.title} signs in to the store in a way that is not known here: {login.type}.",
                    f"Give the store another login in [secret-stores.…], or set {kind.variables}.",
                    login.line,
                )
            else:
                self._take(login, part, table)
        return table

    def usable(self, table: Mapping[str, Any]) -> bool:
        """Whether our loader takes this table as it is."""
        text = render(
            ImportedConfiguration(self.draft.file, self.draft.program, stores={"store": dict(table)})
        )
        try:
            parse(text.encode(), self.draft.file, {})
        except ConfigError:
            return False
        return True

    def _take(self, thing: Object, part: _Part, table: dict[str, Any]) -> None:
        table |= part.fixed
        for theirs, ours in part.keys.items():
            values = thing.all(theirs)
            if values:
                table[ours] = values[0].text
            for more in values[1:]:
                self.draft.leave(
                    f"{thing.title} has several values for {theirs}; the first was used.",
                    "Let that name stand for all of them, by DNS or a balancer.",
                    more.line,
                )
        for theirs, ours in part.secrets.items():
            if (value := thing.one(theirs)) is not None:
                meaning = f"the {theirs} of {thing.title}"
                table[ours] = self.draft.keep(f"{thing.title} {ours}", meaning, value.text)

    def _absent(self, provider: Object, name: str, kind: _Kind, line: int) -> None:
        self.draft.leave(
            f"{provider.title} needs {name}, which this file does not create.",
            f"Put the command that creates it into the file, and import it again; or set {kind.variables}.",
            line,
        )
