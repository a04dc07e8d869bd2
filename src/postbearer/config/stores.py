"""The tables [secret-stores.NAME]: which settings each type of store has, and which it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct
from msgspec import inspect as types

from postbearer.config.line_numbers import Path
from postbearer.config.validation import Problem, Validator
from postbearer.config.values import SCHEMES, checks, plug_ins
from postbearer.settings import Prose, Reference, Seconds, Url
from postbearer.suggestion import did_you_mean

CaFile = Annotated[str | None, Prose("Certificates to trust beside the system's (PEM).")]
Need = tuple[str, str]  # the key, and the environment variable that may stand for it


class Store(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """What every store has. Those without more settings are of this class."""

    NEEDS: ClassVar[Mapping[str, tuple[Need, ...]]] = {}  # by value of `auth`; empty: always

    type: Annotated[str, Prose("Kind of store.")]
    cache: Annotated[Seconds | None, Prose("How long a value may be kept.")] = None


class VaultStore(Store):
    """HashiCorp Vault, or OpenBao."""

    NEEDS = {
        "": (("address", "VAULT_ADDR"),),
        "approle": (("role-id", ""), ("secret-id", "")),
        "kubernetes": (("role", ""),),
        "jwt": (("role", ""), ("jwt", "")),
    }

    address: Annotated[Url | None, Prose("URL of the server.")] = None
    namespace: Annotated[str | None, Prose("Namespace.")] = None
    ca_file: CaFile = None
    auth: Annotated[
        Literal["token", "approle", "kubernetes", "jwt", "agent"], Prose("How a token is had.")
    ] = "token"
    auth_path: Annotated[str | None, Prose("Where that method is mounted.")] = None
    token: Annotated[Reference | None, Prose("Token.")] = None
    role_id: Annotated[str | None, Prose("Role id (AppRole).")] = None
    secret_id: Annotated[Reference | None, Prose("Secret id (AppRole).")] = None
    role: Annotated[str | None, Prose("Role (Kubernetes, JWT).")] = None
    jwt: Annotated[Reference | None, Prose("Token of the service account (Kubernetes, JWT).")] = None
    mount: Annotated[str | None, Prose("Where the KV engine is mounted.")] = None
    kv_version: Annotated[Annotated[int, Meta(ge=1, le=2)] | None, Prose("Version of the KV engine.")] = None


class AwsStore(Store):
    """AWS Secrets Manager."""

    region: Annotated[str | None, Prose("Region of the secrets.")] = None
    endpoint: Annotated[Url | None, Prose("URL of the service.")] = None
    ca_file: CaFile = None
    profile: Annotated[str | None, Prose("Profile in the files of AWS's tools.")] = None
    role: Annotated[str | None, Prose("Role to assume (ARN).")] = None
    access_key_id: Annotated[str | None, Prose("Id of an access key.")] = None
    secret_access_key: Annotated[Reference | None, Prose("The key itself.")] = None
    session_token: Annotated[Reference | None, Prose("Token of a temporary key.")] = None


class AzureStore(Store):
    """Azure Key Vault."""

    cloud: Annotated[Literal["global", "gcc-high", "dod", "china"], Prose("Microsoft's national clouds.")] = (
        "global"
    )
    tenant: Annotated[str | None, Prose("Tenant of the vault: domain or id.")] = None
    client_id: Annotated[str | None, Prose("Id of the application that asks.")] = None
    client_secret: Annotated[Reference | None, Prose("Its secret.")] = None
    certificate: Annotated[Reference | None, Prose("Its certificate and key.")] = None
    key_password: Annotated[Reference | None, Prose("What opens the key.")] = None
    assertion: Annotated[Reference | None, Prose("Token of its federated identity.")] = None
    endpoint: Annotated[Url | None, Prose("URL of the vault; {vault} stands for its name.")] = None
    token_url: Annotated[Url | None, Prose("Token endpoint.")] = None
    ca_file: CaFile = None


class GoogleStore(Store):
    """Google Secret Manager."""

    service_account: Annotated[Reference | None, Prose("Key file of a service account (JSON).")] = None
    location: Annotated[str | None, Prose("Location of regional secrets.")] = None
    endpoint: Annotated[Url | None, Prose("URL of the service.")] = None
    token_url: Annotated[Url | None, Prose("Token endpoint.")] = None
    metadata_host: Annotated[str | None, Prose("Metadata server of the machine.")] = None
    ca_file: CaFile = None


class ConjurStore(Store):
    """CyberArk Conjur."""

    NEEDS = {"": (("address", "CONJUR_APPLIANCE_URL"), ("account", "CONJUR_ACCOUNT"))}

    address: Annotated[Url | None, Prose("URL of the appliance.")] = None
    account: Annotated[str | None, Prose("Account.")] = None
    login: Annotated[str | None, Prose("Who asks: user, or host/ID.")] = None
    api_key: Annotated[Reference | None, Prose("Its API key.")] = None
    service_id: Annotated[str | None, Prose("JWT authenticator, in place of an API key.")] = None
    jwt: Annotated[Reference | None, Prose("Token for it.")] = None
    ca_file: CaFile = None


TYPES: dict[str, type[Store]] = {  # those with settings
    "hashicorp-vault": VaultStore,
    "azure-key-vault": AzureStore,
    "gcp-secret-manager": GoogleStore,
    "conjur": ConjurStore,
    "aws-secrets-manager": AwsStore,
}


def check_store(name: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of ``[secret-stores.NAME]``. A plug-in checks its own settings when a secret is read."""
    path: Path = ("secret-stores", name)
    if name in SCHEMES:
        yield Problem(path, "has the name of a built-in secret store", "Choose another name.")
    kind, known = table.get("type"), [*SCHEMES, *plug_ins()]
    if kind is None:
        yield Problem((*path, "type"), "is missing", f"Known are: {', '.join(known)}.")
        return
    if isinstance(kind, str) and kind not in known:
        yield Problem((*path, "type"), f"cannot be {kind!r}", did_you_mean(kind, known))
        return
    schema = TYPES.get(kind, Store) if isinstance(kind, str) else Store
    common = {key: table[key] for key in ("type", "cache") if key in table}
    walk = Validator(checks(()))  # no names of stores: a store that needs another could go round in circles
    walk.value(common if kind in plug_ins() else table, types.type_info(schema), path)
    yield from walk.problems
    for key, variable in _absent(table, schema):
        if not variable:
            yield Problem((*path, key), f"is missing for auth = {table.get('auth')}", f"Add {key} = …")


def store_doubts(name: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    """What a checked table leaves to the environment, where this process does not have it: another may."""
    for key, variable in _absent(table, TYPES.get(table["type"], Store)):
        if variable and not os.environ.get(variable):
            message = f"is missing, and {variable} is not set here"
            yield Problem(("secret-stores", name, key), message, f"Add {key} = …, or set {variable}.")


def _absent(table: Mapping[str, Any], schema: type[Store]) -> Iterator[Need]:
    needs = (*schema.NEEDS.get("", ()), *schema.NEEDS.get(str(table.get("auth")), ()))
    return (need for need in needs if need[0] not in table)
