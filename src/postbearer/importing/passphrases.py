"""A directory server's passphrase providers as secret references."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from postbearer.config import parse_duration
from postbearer.importing.draft import Draft, variable_for

if TYPE_CHECKING:
    from postbearer.importing.directory import Directory, Object, Value


@dataclass(slots=True)
class Passphrases:
    """Every passphrase provider, and the reference that stands for it."""

    directory: Directory
    draft: Draft
    root: str  # folder of the directory server, where its relative paths begin
    references: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def read_all(self) -> None:
        """Turn each of them into a reference; name those that cannot be."""
        for provider in self.directory.of("passphrase-provider"):
            reference = self._reference(provider)
            self.references[provider.title] = self._cached(provider, reference)

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
                return f"file:{self._path(provider, path)}"
            case "vault" if path := provider.text("vault-secret-path"):
                self._server(provider, "vault-external-server", "VAULT_ADDR and VAULT_TOKEN")
                return f"hashicorp-vault:{_with_field(path, provider.text('vault-secret-field-name'))}"
            case "amazon-secrets-manager" if name := provider.text("secret-id"):
                self._server(provider, "aws-external-server", "AWS_REGION and the credentials of AWS")
                return f"aws-secrets-manager:{_with_field(name, provider.text('secret-field-name'))}"
            case "azure-key-vault" if name := provider.text("secret-name"):
                self._server(provider, "azure-authentication-method", "AZURE_TENANT_ID and AZURE_CLIENT_ID")
                vault = (urlsplit(provider.text("key-vault-uri")).hostname or "vault").split(".")[0]
                return f"azure-key-vault:{vault}/{name}"
            case "conjur" if path := provider.text("conjur-secret-relative-path"):
                self._server(provider, "conjur-external-server", "CONJUR_APPLIANCE_URL and its login")
                return f"conjur:{path}"
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

    def _server(self, provider: Object, name: str, variables: str) -> None:
        """The object that says where the store is and how to sign in there."""
        named = provider.one(name)
        if named is None:
            return
        self.draft.leave(
            f"{provider.title} signs in by {named.text}, which is not carried over.",
            f"Set {variables}.",
            named.line,
        )

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

    def _cached(self, provider: Object, reference: str) -> str:
        """A reference by a store of its own, if its values may be kept for a while."""
        duration = provider.one("max-cache-duration")
        if duration is None:
            return reference
        try:
            seconds = parse_duration(duration.text)
        except ValueError:
            self.draft.leave("This is not a duration: the secret is read every time.", "", duration.line)
            return reference
        scheme, _, rest = reference.partition(":")
        if not seconds or scheme == "env":
            return reference
        name = self.draft.unused(provider.title, list(self.draft.stores))
        self.draft.stores[name] = {"type": scheme, "cache": duration.text}
        return f"{name}:{rest}"


def _with_field(path: str, name: str) -> str:
    return f"{path}#{name}" if name else path
