"""A directory server's passphrase providers as secret references."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from postbearer.config import SCHEMES, parse_duration
from postbearer.importing.draft import ImportedConfiguration, variable_for
from postbearer.importing.storetables import KINDS, StoreTables

if TYPE_CHECKING:
    from postbearer.importing.directory import Directory, Object, Value


@dataclass(slots=True)
class Passphrases:
    """Every passphrase provider, and the reference that stands for it."""

    directory: Directory
    draft: ImportedConfiguration
    root: str  # folder of the directory server, where its relative paths begin
    tables: StoreTables = field(init=False)
    references: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tables = StoreTables(self.directory, self.draft)

    def read_all(self) -> None:
        """Turn each of them into a reference; name those that cannot be."""
        for provider in self.directory.of("passphrase-provider"):
            self.references[provider.title] = self._reference(provider)

    def reference(self, named: Value) -> str:
        """The reference for the provider with this name; a variable to be set, if it is not there."""
        found = self.directory.find("passphrase-provider", named.text)
        if found is None:
            self.draft.leave(
                f"The passphrase provider {named.text} is not created in this file.",
                f"Set {variable_for(named.text)}, or write another reference.",
                named.line,
            )
            return self.draft.environment(named.text, f"what the passphrase provider {named.text} gives")
        if found.title not in self.asked:
            self.asked.add(found.title)
            self._tell_use(found)
        return self.references[found.title]

    def report_spare(self) -> None:
        """Tell the references of providers that no account asked for."""
        self.draft.spare |= {each: text for each, text in self.references.items() if each not in self.asked}

    def _tell_use(self, provider: Object) -> None:
        reference = self.references[provider.title]
        if reference.startswith("env:"):
            self.draft.to_set.setdefault(
                reference[4:], f"what the passphrase provider {provider.title} gives"
            )
        if not provider.enabled:
            self.draft.note(
                f"{provider.title} is not enabled; its secret is used all the same.",
                "Check that it is the right one.",
                provider.line_of("enabled"),
            )

    def _reference(self, provider: Object) -> str:
        match provider.type:
            case "environment-variable" if variable := provider.text("environment-variable"):
                return f"env:{variable}"
            case "file-based" if path := provider.text("password-file"):
                path, cache = self._path(provider, path), self._cache(provider)
                scheme = self._table(provider, {"type": "file", "cache": cache}) if cache else "file"
                return f"{scheme}:{path}"
            case "vault" if path := provider.text("vault-secret-path"):
                return self._stored(provider, _with_field(path, provider.text("vault-secret-field-name")))
            case "amazon-secrets-manager" if name := provider.text("secret-id"):
                return self._stored(provider, _with_field(name, provider.text("secret-field-name")))
            case "azure-key-vault" if name := provider.text("secret-name"):
                return self._key_vault(provider, name)
            case "conjur" if path := provider.text("conjur-secret-relative-path"):
                return self._stored(provider, path)
            case _:
                return self._not_carried(provider)

    def _not_carried(self, provider: Object) -> str:
        """What only the directory server can read has to be put elsewhere by a person."""
        variable = variable_for(provider.title)
        hint = f"Put the secret into the variable {variable}, or write another reference."
        if provider.type == "obscured-value":
            provider.used.add("obscured-value")
            message = f"{provider.title} is obscured: only the directory server can read it."
        elif provider.type == "third-party":
            provider.used.update(("extension-class", "extension-argument"))
            message = f"{provider.title} is made by a class of somebody's own, which does not run here."
            hint += " A store of your own can be plugged in under postbearer.secret_stores."
        else:
            kind = provider.type or "none"
            message = f"{provider.title} lacks what its type needs, or that is not known: {kind}."
        self.draft.leave(message, hint, provider.line)
        return f"env:{variable}"

    def _key_vault(self, provider: Object, name: str) -> str:
        """A vault goes by its name, which is the first part of its host; one elsewhere needs its address."""
        url = provider.text("key-vault-uri").rstrip("/")
        vault, _, domain = (urlsplit(url).hostname or "vault").partition(".")
        usual = domain == "vault.azure.net" or not domain
        return self._stored(provider, f"{vault}/{name}", {} if usual else {"endpoint": url})

    def _stored(self, provider: Object, rest: str, more: Mapping[str, str] | None = None) -> str:
        """A reference into a store: by a table of its own, as far as the file says enough for one."""
        scheme = KINDS[provider.type].scheme
        settings = self.tables.settings(provider) | dict(more or {})
        cache = self._cache(provider)
        if not settings and not cache:
            return f"{scheme}:{rest}"
        table = {"type": scheme, **settings, **({"cache": cache} if cache else {})}
        if self.tables.usable(table):
            return f"{self._table(provider, table)}:{rest}"
        lost = ", ".join(key for key in table if key != "type")
        self.draft.leave(
            f"The store of {provider.title} cannot be used as the file says: {lost}.",
            f"Set {KINDS[provider.type].variables}, or write a table [secret-stores.…] by hand.",
            provider.line,
        )
        return f"{scheme}:{rest}"

    def _table(self, provider: Object, table: dict[str, Any]) -> str:
        """The name of a table: one that is there, if it says the same."""
        for name, there in self.draft.stores.items():
            if there == table:
                return name
        link = KINDS[provider.type].link if provider.type in KINDS else ""
        title = (provider.text(link) if link else "") or provider.title
        name = self.draft.unused(title, [*self.draft.stores, *SCHEMES])
        self.draft.stores[name] = table
        return name

    def _path(self, provider: Object, path: str) -> str:
        if os.path.isabs(path):
            return path
        if self.root:
            return os.path.join(os.path.abspath(self.root), path)
        self.draft.note(
            f"The path {path} of {provider.title} begins at the directory server's folder.",
            "Import again with --root FOLDER, or write the whole path.",
            provider.line_of("password-file"),
        )
        return path

    def _cache(self, provider: Object) -> str:
        """How long a value may be kept; empty if not at all."""
        duration = provider.one("max-cache-duration")
        if duration is None:
            return ""
        try:
            return duration.text if parse_duration(duration.text) else ""
        except ValueError:
            self.draft.leave("This is not a duration: the secret is read every time.", "", duration.line)
            return ""


def _with_field(path: str, name: str) -> str:
    return f"{path}#{name}" if name else path
