"""One account more: at the end of a file that is there, or in a new one, with a comment for each key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import inspect as types

from postbearer.config.edit import replace, with_key
from postbearer.config.loading import Configuration, parse
from postbearer.config.new_file import write_new
from postbearer.config.search import read, refuse_open_folders
from postbearer.config.values import account_name
from postbearer.errors import ConfigError
from postbearer.settings import AccountSettings

_WIDEST = 60  # columns after which a comment is not lined up with the others
_HEAD = """\
# The configuration of postbearer. Nothing in it is a secret: it says where each secret is kept.
# After a change: postbearer config validate
"""


@dataclass(slots=True)
class Addition:
    """An account that is to be added to the file at `path`, and perhaps the relay.

    `before` is what the file holds (None: it is to be made, or made anew), and `title` what the account's
    provider is called. Nothing is written before `write`.
    """

    path: str
    before: bytes | None
    name: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    listen: str = ""  # where the relay listens; empty: none is wanted

    @classmethod
    def to(cls, path: str, environ: Mapping[str, str], *, anew: bool = False) -> Addition:
        """An addition to the file at `path`, if it is there and not to be made anew.

        Raises `ConfigError` if the file is wrong, if others could replace it, or if we may not.
        """
        there = os.path.lexists(path) and not anew
        before = read(path) if there else None
        if before is not None:
            parse(before, path, environ)
        _refuse_locked_folder(path)
        refuse_open_folders(path)
        return cls(path, before)

    def accounts(self) -> tuple[str, ...]:
        """The accounts that the file has already."""
        return tuple(self._existing("accounts"))

    def tables(self) -> Mapping[str, Mapping[str, Any]]:
        """The accounts that the file has already, with their keys as they stand there."""
        return self._existing("accounts")

    def has_relay(self) -> bool:
        """Whether the file describes a relay already."""
        return bool(self._existing("relay"))

    def section(self) -> str:
        """What is added, as it will stand in the file."""
        parts = [_table(f"accounts.{self.name}", self._lines())]
        if self.listen:
            parts.append(_table("relay", _relay(self.listen, self.name)))
        return "\n".join(parts)

    def content(self) -> bytes:
        """The whole file. Raises `ConfigError` for a name that no account can have, or that is taken."""
        if wrong := account_name(self.name):
            raise ConfigError(f"{wrong[0]}.", key="accounts", file=self.path, hint=wrong[1])
        if self.name in self.accounts():
            raise ConfigError(
                "is there already.",
                key=f"accounts.{self.name}",
                file=self.path,
                hint="Choose another name, or change that account: postbearer config set",
            )
        if self.before is None:
            return f"{_HEAD}\n{self.section()}".encode()
        before = self.before
        if self.has_relay() and "account" not in self._existing("relay"):
            # Mail goes on leaving from where it left from, now that there is a choice.
            before = with_key(before, ("relay", "account"), (*self.accounts(), self.name)[0])
        newline = b"\r\n" if b"\r\n" in before else b"\n"
        added = self.section().encode().replace(b"\n", newline)
        gap = b"" if not before.strip() else newline if before.endswith(b"\n") else newline * 2
        return before + gap + added

    def parsed(self, environ: Mapping[str, str]) -> Configuration:
        """The configuration as it would be. Raises `ConfigError` with everything that is wrong."""
        content = self.content()
        if self.before is None:
            parse(content, self.path, {})  # it is right by itself, whatever the environment adds
        return parse(content, self.path, environ)

    def write(self, environ: Mapping[str, str], *, force: bool = False) -> None:
        """Put it into the file: all of it or nothing. A new file is for its owner alone.

        Raises `ConfigError`, and `FileExistsError` if a new file is there meanwhile; then nothing is changed.
        """
        self.parsed(environ)
        if self.before is not None:
            replace(self.path, self.before, self.content())
            return
        folder = os.path.dirname(os.path.abspath(self.path))
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"The folder {folder} cannot be made: {error.strerror}.",
                file=self.path,
                hint="Make it, or name another file with --config.",
            ) from None
        write_new(self.path, self.content(), replace=force)

    def _existing(self, table: str) -> Mapping[str, Any]:
        import tomllib

        found = tomllib.loads(self.before.decode()).get(table) if self.before else None
        return found if isinstance(found, dict) else {}

    def _lines(self) -> Iterator[tuple[str, Any, str]]:
        meanings = descriptions()
        for key, value in self.keys.items():
            note = meanings.get(key, "")
            if key == "provider" and self.title:
                note = f"{self.title}; what to set up there: postbearer providers {value}"
            yield key, value, note


def _refuse_locked_folder(path: str) -> None:
    """Raise `ConfigError` where nothing can be made: better before the first question than after the last."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"Nothing can be made in {folder}.",
            file=path,
            hint="Name another file with --config, or run it as who may write there.",
        )


def descriptions() -> dict[str, str]:
    """What each key of an account means."""
    info = types.type_info(AccountSettings)
    assert isinstance(info, types.StructType)
    return {
        each.encode_name: str((each.type.extra_json_schema or {}).get("description", ""))
        for each in info.fields
        if isinstance(each.type, types.Metadata)
    }


def _relay(listen: str, account: str) -> Iterator[tuple[str, Any, str]]:
    yield "listen", [listen], "Programs send here as to any mail server, while this runs: postbearer serve"
    yield "account", account, "Account their mail leaves from."


def _table(name: str, lines: Iterator[tuple[str, Any, str]]) -> str:
    listed = [(f"{key} = {_written(value)}", note) for key, value, note in lines]
    width = max((len(line) for line, _ in listed if len(line) <= _WIDEST), default=0)
    rows = (f"{line:{width}}  # {_shown(note)}" if note else line for line, note in listed)
    return "\n".join([f"[{name}]", *rows, ""])


def _written(value: Any) -> str:
    """`value` in one line of TOML."""
    import tomlkit

    if not isinstance(value, Mapping):
        return str(tomlkit.item(value).as_string())
    table = tomlkit.inline_table()
    table.update(value)
    return str(table.as_string())


def _shown(text: str) -> str:
    """`text` as a part of one line: nothing in it can end the line or act on a terminal."""
    return re.sub(r"\s+", " ", "".join(char if char.isprintable() else " " for char in text))
