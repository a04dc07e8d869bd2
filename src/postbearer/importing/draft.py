"""What was found in another program's configuration, on its way into ours."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from postbearer.account import name_for
from postbearer.errors import ConfigError
from postbearer.secret import Secret

LARGEST = 1024 * 1024  # octets of a source; no configuration is near that

Seal = Callable[[Secret], str]


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing a person has to know: what, what to do, and the line of the source that says it.

    It never holds a value that may be a secret.
    """

    message: str
    hint: str = ""
    line: int | None = None


@dataclass(slots=True)
class AccountDraft:
    """One account: its keys, and for each key the line of the source it comes from."""

    name: str
    title: str  # what the source calls it
    line: int
    keys: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def put(self, key: str, value: Any, line: int | None = None) -> None:
        """Set a key of the account; None and the empty text say nothing."""
        if value is not None and value != "":
            self.keys[key] = value
            self.lines[key] = line or self.line


@dataclass(slots=True)
class ImportedConfiguration:
    """A configuration in the making. `seal`, if given, turns secrets written out into references at once."""

    file: str  # the source, as errors call it
    program: str  # the word behind ``postbearer import``
    seal: Seal | None = None
    accounts: list[AccountDraft] = field(default_factory=list)
    stores: dict[str, dict[str, Any]] = field(default_factory=dict)
    relay: dict[str, Any] = field(default_factory=dict)
    left: list[Remark] = field(default_factory=list)  # not carried over
    notes: list[Remark] = field(default_factory=list)  # carried over, but to be looked at
    to_set: dict[str, str] = field(default_factory=dict)  # environment variable → what it is
    spare: dict[str, str] = field(default_factory=dict)  # secret that no account uses → its reference
    relay_lines: dict[str, int] = field(default_factory=dict)  # key of the relay → the line it comes from

    def account(self, title: str, line: int) -> AccountDraft:
        """A new account, named after what the source calls it."""
        made = AccountDraft(self.unused(title, [each.name for each in self.accounts]), title, line)
        self.accounts.append(made)
        return made

    @staticmethod
    def unused(title: str, taken: list[str]) -> str:
        """A name that a table of ours can have and none of `taken` has."""
        name = name_for(title)
        others = (f"{name}-{number}" for number in range(2, len(taken) + 3))
        return name if name not in taken else next(each for each in others if each not in taken)

    def leave(self, message: str, hint: str = "", line: int | None = None) -> None:
        """Something cannot be carried over."""
        _add(self.left, Remark(message, hint, line))

    def note(self, message: str, hint: str = "", line: int | None = None) -> None:
        """Something was carried over, and should be looked at."""
        _add(self.notes, Remark(message, hint, line))

    def environment(self, name: str, meaning: str) -> str:
        """A reference to an environment variable that a person sets; `name` is made fit for one."""
        variable = variable_for(name)
        self.to_set.setdefault(variable, meaning)
        return f"env:{variable}"

    def secret(self, account: AccountDraft, key: str, value: str, line: int | None = None) -> None:
        """Keep a secret that the source writes out: sealed, or as a reference to a variable to be set."""
        if value:
            account.put(key, self.keep(f"{account.name}_{key}", f"the {key} of {account.title}", value), line)

    def keep(self, name: str, meaning: str, value: str) -> str:
        """A reference for a secret that the source writes out."""
        return self.seal(Secret(value)) if self.seal else self.environment(name, meaning)

    def path(self, text: str, line: int | None = None) -> str:
        """A path of the source, whole: a relative one began elsewhere than one in our configuration does."""
        path = os.path.expanduser(text)
        if not path or os.path.isabs(path):
            return path
        whole = os.path.abspath(os.path.join(os.path.dirname(self.file), path))
        self.note(f"{text} is taken as {whole}.", "Correct it, if the program began paths elsewhere.", line)
        return whole

    def error(self, message: str, hint: str = "", line: int | None = None) -> ConfigError:
        """The source cannot be used at all."""
        return ConfigError(message, file=self.file, line=line, hint=hint)


def _add(remarks: list[Remark], remark: Remark) -> None:
    if remark not in remarks:  # a default that several accounts have is told once
        remarks.append(remark)


def variable_for(name: str) -> str:
    """A name for an environment variable: ``Lab Token`` → ``LAB_TOKEN``."""
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return variable if re.match("[A-Z]", variable) else f"SECRET_{variable}".rstrip("_")


def bounded(content: bytes, file: str) -> bytes:
    """`content`, if it has no more than `LARGEST` octets: one more need be read. Raises `ConfigError`."""
    if len(content) > LARGEST:
        raise ConfigError(
            "It is larger than 1 MiB, and so no configuration.",
            file=file,
            hint="Name the configuration file itself; see: postbearer import --help",
        )
    return content


_COMMENT = re.compile(rb"[ \t]*(?:#|;|//)")


def decoded(content: bytes, file: str) -> str:
    """The text of a source, which has to be UTF-8 but for comment lines. Raises `ConfigError`."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return "\n".join(_line(line, number, file) for number, line in enumerate(lines, 1))


def _line(line: bytes, number: int, file: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        if _COMMENT.match(line):
            return line.decode("latin-1")
        raise ConfigError(
            "The file is not UTF-8.", file=file, line=number, hint="Save the file as UTF-8."
        ) from None
