"""A source as a text, and what becomes of it."""

from __future__ import annotations

import tomllib
from typing import Any

from postbearer.importing import (
    Imported,
    ImportedConfiguration,
    finish,
    read_dsconfig,
    read_emailproxy,
    read_environment,
    read_msmtp,
    read_portal,
    read_saslxoauth2,
    read_smtp2graph,
)
from postbearer.submission import hash_password


def dsconfig(text: str, **options: str) -> Imported:
    draft = ImportedConfiguration("batch.dsconfig", "dsconfig")
    read_dsconfig(text.encode(), draft, **options)
    return finish(draft)


def portal(text: str | bytes, **options: Any) -> Imported:
    draft = ImportedConfiguration("portal.properties", "properties")
    read_portal(text.encode() if isinstance(text, str) else text, draft, **options)
    return finish(draft)


def msmtp(text: str | bytes, **options: Any) -> Imported:
    draft = ImportedConfiguration(".msmtprc", "msmtp")
    read_msmtp(text.encode() if isinstance(text, str) else text, draft, **options)
    return finish(draft)


def emailproxy(text: str) -> Imported:
    draft = ImportedConfiguration("emailproxy.config", "emailproxy")
    read_emailproxy(text.encode(), draft)
    return finish(draft)


def saslxoauth2(text: str, passwords: str = "", **options: str) -> Imported:
    draft = ImportedConfiguration("sasl-xoauth2.conf", "sasl-xoauth2")
    read_saslxoauth2(text.encode(), draft, passwords=passwords.encode(), **options)
    return finish(draft)


def smtp2graph(text: str, **options: str) -> Imported:
    draft = ImportedConfiguration("config.yml", "smtp2graph")
    read_smtp2graph(text.encode(), draft, hash_password=hash_password, **options)
    return finish(draft)


def environment(text: str, **options: str) -> Imported:
    draft = ImportedConfiguration("relay.env", "env")
    read_environment(text.encode(), draft, hash_password=hash_password, **options)
    return finish(draft)


def relay(imported: Imported) -> dict[str, Any]:
    """The relay of the configuration that was made."""
    found: dict[str, Any] = tomllib.loads(imported.text)["relay"]
    return found


def accounts(imported: Imported) -> dict[str, Any]:
    """The accounts of the configuration that was made."""
    found: dict[str, Any] = tomllib.loads(imported.text)["accounts"]
    return found


def told(imported: Imported) -> list[str]:
    """What was not carried over, each with its line."""
    return [f"{each.line}: {each.message}" for each in imported.left]


def noted(imported: Imported) -> str:
    return "\n".join(each.message for each in imported.notes)
