"""``azure-key-vault:vault/secret``: a secret in Azure Key Vault; ``/version`` behind it names an old one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from postbearer.errors import ConfigError, SecretError
from postbearer.http import HttpResponse
from postbearer.oauth import (
    Authentication,
    ClientCredentials,
    ClientKey,
    Grant,
    ManagedIdentity,
    WorkloadIdentity,
    resolved,
)
from postbearer.providers import preset
from postbearer.secret import Secret
from postbearer.secrets.bearer import Bearer
from postbearer.secrets.reference import ReferenceContext
from postbearer.secrets.settings import StoreSettings
from postbearer.secrets.store_client import StoreClient, split, text_in, url_path

_API = "api-version=7.4"
_DOMAINS = {
    "global": "vault.azure.net",
    "gcc-high": "vault.usgovcloudapi.net",
    "dod": "vault.usgovcloudapi.net",
    "china": "vault.azure.cn",
}
_VAULT = re.compile(r"[A-Za-z0-9-]{1,127}")  # it becomes a part of the host name
_ROLE = 'the role "Key Vault Secrets User", or the permission "get" in its access policy'


@dataclass(frozen=True, slots=True)
class KeyVaultSecret:
    """The value of `name` (``secret`` or ``secret/version``) in `vault`."""

    client: StoreClient
    vault: str
    name: str
    bearer: Bearer

    @property
    def reference(self) -> str:
        return self.client.reference

    async def read(self) -> Secret:
        path = url_path(self.name, self.reference)
        found = self._found(await self.bearer.ask(f"secrets/{path}?{_API}"))
        if isinstance(found, SecretError):
            raise found
        return found

    def _found(self, response: HttpResponse) -> Secret | SecretError:
        body = response.json()
        if response.ok:
            value = text_in(body, "value", self.name)
            return value if isinstance(value, Secret) else self.client.error(f"{value}.")
        if response.status == 404:
            put = f"az keyvault secret set --vault-name {self.vault} --name {self.name.partition('/')[0]}"
            return self.client.refused(
                response, f"find {self.name}", f"Write it: {put}; or correct the name."
            )
        match body:
            case {"error": {"innererror": {"code": "SecretDisabled"}}}:
                hint = "Enable it, and look at its dates."
            case {"error": {"innererror": {"code": "ForbiddenByFirewall" | "ForbiddenByConnection"}}}:
                hint = "Let this machine through the firewall of the vault."
            case _ if response.status == 401:
                hint = "Check tenant, client-id and cloud: the vault belongs to another tenant."
            case _:
                hint = f"Give the application that asks {_ROLE}. It takes some minutes."
        return self.client.refused(response, f"give {self.name}", hint)


def open_azure(rest: str, place: ReferenceContext) -> KeyVaultSecret:
    """The source for ``azure-key-vault:rest``. Raises `SecretError` when a setting is missing."""
    reference = f"{place.scheme}:{rest}"
    vault, name = split(rest, "/", f"{place.scheme}:vault/secret", reference)
    if not _VAULT.fullmatch(vault):
        raise SecretError(
            "This is no name of a vault.",
            reference=reference,
            hint="Write the name alone: contoso for https://contoso.vault.azure.net.",
        )
    given = StoreSettings(place, reference)
    domain = _DOMAINS[_cloud(given)]
    url = given.text("endpoint", default=f"https://{{vault}}.{domain}").replace("{vault}", vault)
    client = StoreClient("Azure Key Vault", url.rstrip("/"), reference, given.path("ca-file"), place.clock)
    grant = _grant(given, f"https://{domain}/.default")
    token_url = "" if grant.asks == "platform" else _token_url(given)
    return KeyVaultSecret(client, vault, name, Bearer.of(client, grant, token_url, place.clock))


def _grant(given: StoreSettings, scope: str) -> Grant:
    """How the application proves itself: by what there is, else by what the machine is."""
    key: ClientKey | None = None
    secret = given.secret("client-secret", "AZURE_CLIENT_SECRET")
    if secret is None and (pem := given.secret_file("certificate", "AZURE_CLIENT_CERTIFICATE_PATH")):
        key = ClientKey(pem, key_password=given.secret("key-password", "AZURE_CLIENT_CERTIFICATE_PASSWORD"))
    if secret or key:
        how: Authentication = "private-key-jwt" if key else "post"
        return ClientCredentials(_client_id(given), secret, how, [scope], client_key=key)
    if assertion := given.secret_file("assertion", "AZURE_FEDERATED_TOKEN_FILE"):
        return WorkloadIdentity(_client_id(given), assertion, [scope])
    machine = ManagedIdentity(given.text("client-id", "AZURE_CLIENT_ID"), scopes=[scope])
    return resolved(machine.on(os.environ), given.source)


def _cloud(given: StoreSettings) -> str:
    """What is set, or what the platform's login server tells; gcc-high and dod have vaults in one domain."""
    authority = os.environ.get("AZURE_AUTHORITY_HOST", "")
    return given.text("cloud") or next(iter(preset("microsoft").clouds_at(authority)), "global")


def _client_id(given: StoreSettings) -> str:
    return given.needed("client-id", "AZURE_CLIENT_ID")


def _token_url(given: StoreSettings) -> str:
    if given.text("token-url"):
        return given.url("token-url")
    microsoft = preset("microsoft").in_cloud(_cloud(given))
    try:
        return microsoft.endpoint(microsoft.token_url, given.needed("tenant", "AZURE_TENANT_ID"))
    except ConfigError as error:
        raise SecretError(error.message, reference=given.reference, hint=error.hint) from None
