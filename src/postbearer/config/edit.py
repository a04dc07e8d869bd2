"""Change one key of the file and nothing else: comments, order and blank lines stay."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from msgspec import inspect as types

from postbearer.config.environment import read_value, type_at
from postbearer.config.line_numbers import Path, dotted, split_dotted
from postbearer.config.loading import SCHEMA, parse, toml
from postbearer.config.search import find, read
from postbearer.config.validation import kind_of, plain
from postbearer.errors import ConfigError
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def set_key(named: str | None, name: str, value: str, environ: Mapping[str, str]) -> str:
    """Set a key to a value given as text; return the file. Raises `ConfigError`, and then changes nothing."""
    path, parsed = key_path(name), typed_value(name, value)

    def change(document: TOMLDocument) -> None:
        _table_of(document, path, create=True)[path[-1]] = parsed

    return _edit(named, environ, change)


def unset_key(named: str | None, name: str, environ: Mapping[str, str]) -> str:
    """Take a key or a table away; return the file. Raises `ConfigError`, and then changes nothing."""
    path = key_path(name)

    def change(document: TOMLDocument) -> None:
        table = _table_of(document, path, create=False)
        try:
            del table[path[-1]]
        except (KeyError, IndexError, TypeError):
            raise ConfigError("The file does not set this key.", key=dotted(path)) from None

    return _edit(named, environ, change)


def key_path(name: str) -> Path:
    """``accounts.alerts.tls`` as a path. Raises `ConfigError` for what is no name of a key."""
    try:
        return split_dotted(name)
    except ValueError as error:
        raise ConfigError(
            f"{name!r} {error}.", hint="Write it with dots: accounts.alerts.client-id"
        ) from None


def typed_value(name: str, value: str) -> Any:
    """A value given as text, as what the key `name` takes. Raises `ConfigError` for what is no key."""
    return read_value(value, _type_at(key_path(name)))


def setting_names(accounts: Iterable[str]) -> list[str]:
    """The dotted names of the keys of the file and of its accounts."""
    names = []
    for field in getattr(SCHEMA, "fields", ()):
        inner = plain(field.type)
        if isinstance(inner, types.StructType):
            names += [f"{field.encode_name}.{each.encode_name}" for each in inner.fields]
        elif field.encode_name == "accounts" and isinstance(inner, types.DictType):
            account = plain(inner.value_type)
            keys = [each.encode_name for each in getattr(account, "fields", ())]
            names += [f"accounts.{name}.{key}" for name in accounts for key in keys]
        else:
            names.append(field.encode_name)
    return names


def holds_secret(name: str) -> bool:
    """Whether the key `name` takes a reference to a secret. Raises `ConfigError` for what is no key."""
    return kind_of(_type_at(key_path(name))) == "secret"


def _type_at(path: Path) -> Any:
    try:
        return type_at(SCHEMA, path)
    except KeyError as error:
        part, known = error.args
        raise ConfigError(
            f"{part} is not a known key.", key=dotted(path), hint=did_you_mean(str(part), known)
        ) from None


def _edit(named: str | None, environ: Mapping[str, str], change: Callable[[TOMLDocument], None]) -> str:
    path = find(named, environ)
    before = read(path)
    toml(before, path)  # a file that is no TOML is told with its line, as everywhere
    after = changed_document(before, change)
    parse(after, path, environ)
    replace(path, before, after)
    return path


def changed_document(before: bytes, change: Callable[[TOMLDocument], None]) -> bytes:
    """The file `before` as `change` leaves it, not yet checked or written; comments and blank lines stay."""
    import tomlkit

    newline = "\r\n" if b"\r\n" in before else "\n"
    document = tomlkit.parse(before.decode().replace("\r\n", "\n"))
    change(document)
    return tomlkit.dumps(document).replace("\n", newline).encode()


def with_key(before: bytes, path: Path, value: object) -> bytes:
    """The file `before` with one key set, not yet checked or written."""

    def change(document: TOMLDocument) -> None:
        _table_of(document, path, create=True)[path[-1]] = value

    return changed_document(before, change)


def _table_of(document: TOMLDocument, path: Path, *, create: bool) -> Any:
    import tomlkit

    node: Any = document
    for depth, part in enumerate(path[:-1]):
        if create and isinstance(node, MutableMapping) and part not in node:
            # [accounts.new] alone reads better than an empty [accounts] above it.
            node[part] = tomlkit.table(is_super_table=depth < len(path) - 2)
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            raise ConfigError("The file does not set this key.", key=dotted(path)) from None
    return node


def replace(path: str, before: bytes, after: bytes) -> None:
    """Put `after` in the place of `before`: all of it or nothing, also when the power fails.

    Raises `ConfigError` when the file cannot be written, or has changed since it was read.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    scratch = os.path.join(folder, f".{os.path.basename(target)}.{secrets.token_hex(8)}")
    try:
        held = os.stat(target)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(after)
                file.flush()
                _take_over(descriptor, held)
                os.fsync(descriptor)
            if read(path) != before:
                raise ConfigError("Somebody else changed the file meanwhile.", file=path, hint="Try again.")
            os.replace(scratch, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
            raise
        _sync_folder(folder)
    except OSError as error:
        raise ConfigError(
            f"The configuration cannot be written: {error.strerror or error}.",
            file=path,
            hint="Nothing was changed.",
        ) from None


def _take_over(descriptor: int, held: os.stat_result) -> None:
    """Give the new file the mode and, as far as allowed, the owner of the old one."""
    if hasattr(os, "fchown"):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, held.st_uid, held.st_gid)
        os.fchmod(descriptor, held.st_mode & 0o777)


def _sync_folder(folder: str) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
