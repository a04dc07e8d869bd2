"""The tables [secret-stores.NAME]: which settings each type of store has, and which it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct
from msgspec import inspect as types

from postbearer.config.kinds import Prose, Reference, Seconds, Url
from postbearer.config.locate import Path
from postbearer.config.values import SCHEMES, checks, plug_ins
from postbearer.config.walk import Problem, Walk, did_you_mean

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


_TYPES: dict[str, type[Store]] = {
    "hashicorp-vault": VaultStore,
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
    schema = _TYPES.get(kind, Store) if isinstance(kind, str) else Store
    common = {key: table[key] for key in ("type", "cache") if key in table}
    walk = Walk(checks(()))  # no names of stores: a store that needs another could go round in circles
    walk.value(common if kind in plug_ins() else table, types.type_info(schema), path)
    yield from walk.problems
    yield from _missing(path, table, schema)


def _missing(path: Path, table: Mapping[str, Any], schema: type[Store]) -> Iterator[Problem]:
    method = table.get("auth")
    always, chosen = schema.NEEDS.get("", ()), schema.NEEDS.get(str(method), ())
    for key, variable in (*always, *chosen):
        if key not in table and not (variable and os.environ.get(variable)):
            reason = f" for auth = {method}" if (key, variable) in chosen else ""
            instead = f", or set {variable}." if variable else ""
            yield Problem((*path, key), f"is missing{reason}", f"Add {key} = …{instead}")
