"""Our own state on disk: the folder, its files and locks, the sealing key, the kept tokens."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.state.cached_token import peek as peek
    from postbearer.state.cached_token import shortcut as shortcut
    from postbearer.state.files import read_private as read_private
    from postbearer.state.files import sync_folder as sync_folder
    from postbearer.state.files import trouble as trouble
    from postbearer.state.files import whole_file as whole_file
    from postbearer.state.files import write_private as write_private
    from postbearer.state.folder import SYSTEM_FOLDER as SYSTEM_FOLDER
    from postbearer.state.folder import StateFolder as StateFolder
    from postbearer.state.folder import chosen_folder as chosen_folder
    from postbearer.state.folder import default_state_folder as default_state_folder
    from postbearer.state.key import KeyFile as KeyFile
    from postbearer.state.key import rotate_key as rotate_key
    from postbearer.state.lock import FileLock as FileLock
    from postbearer.state.sealing import Key as Key
    from postbearer.state.sealing import SealedBox as SealedBox
    from postbearer.state.sealing import parse_keys as parse_keys
    from postbearer.state.token_file import TokenFile as TokenFile

_EXPORTS = {
    "cached_token": ["peek", "shortcut"],
    "files": ["read_private", "sync_folder", "trouble", "whole_file", "write_private"],
    "folder": ["SYSTEM_FOLDER", "StateFolder", "chosen_folder", "default_state_folder"],
    "key": ["KeyFile", "rotate_key"],
    "lock": ["FileLock"],
    "sealing": ["Key", "SealedBox", "parse_keys"],
    "token_file": ["TokenFile"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
