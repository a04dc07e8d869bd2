"""Where secrets come from, and where tokens are kept: references, sealing, the state on disk."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.keeping.cached import CachedSecret as CachedSecret
    from postbearer.keeping.command import quoted as quoted
    from postbearer.keeping.command import run_program as run_program
    from postbearer.keeping.files import read_private as read_private
    from postbearer.keeping.files import sync_folder as sync_folder
    from postbearer.keeping.files import trouble as trouble
    from postbearer.keeping.files import whole_file as whole_file
    from postbearer.keeping.files import write_private as write_private
    from postbearer.keeping.folder import SYSTEM_FOLDER as SYSTEM_FOLDER
    from postbearer.keeping.folder import StateFolder as StateFolder
    from postbearer.keeping.folder import chosen_folder as chosen_folder
    from postbearer.keeping.folder import default_state_folder as default_state_folder
    from postbearer.keeping.key import KeyFile as KeyFile
    from postbearer.keeping.key import rotate_key as rotate_key
    from postbearer.keeping.lock import FileLock as FileLock
    from postbearer.keeping.quick import peek as peek
    from postbearer.keeping.quick import shortcut as shortcut
    from postbearer.keeping.reference import Place as Place
    from postbearer.keeping.reference import SecretStore as SecretStore
    from postbearer.keeping.reference import configured as configured
    from postbearer.keeping.reference import is_reference as is_reference
    from postbearer.keeping.reference import source as source
    from postbearer.keeping.sealed import seal_reference as seal_reference
    from postbearer.keeping.sealing import Key as Key
    from postbearer.keeping.sealing import SealedBox as SealedBox
    from postbearer.keeping.sealing import parse_keys as parse_keys
    from postbearer.keeping.tokenfile import TokenFile as TokenFile

_EXPORTS = {
    "cached": ["CachedSecret"],
    "command": ["quoted", "run_program"],
    "files": ["read_private", "sync_folder", "trouble", "whole_file", "write_private"],
    "folder": ["SYSTEM_FOLDER", "StateFolder", "chosen_folder", "default_state_folder"],
    "key": ["KeyFile", "rotate_key"],
    "lock": ["FileLock"],
    "quick": ["peek", "shortcut"],
    "reference": ["Place", "SecretStore", "configured", "is_reference", "source"],
    "sealed": ["seal_reference"],
    "sealing": ["Key", "SealedBox", "parse_keys"],
    "tokenfile": ["TokenFile"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
