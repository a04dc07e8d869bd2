"""What accounts keep between runs: tokens, ledgers, what was told; in the state folder, or in memory."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.state.backup_note import LastBackup as LastBackup
    from postbearer.state.backup_note import last_backup as last_backup
    from postbearer.state.backup_note import note_backup as note_backup
    from postbearer.state.cached_token import peek as peek
    from postbearer.state.cached_token import shortcut as shortcut
    from postbearer.state.charges import KEEP as KEEP
    from postbearer.state.charges import Charge as Charge
    from postbearer.state.charges import ChargeHistory as ChargeHistory
    from postbearer.state.charges import Charges as Charges
    from postbearer.state.charges import freed as freed
    from postbearer.state.charges import since as since
    from postbearer.state.connection_share import PATIENCE as PATIENCE
    from postbearer.state.connection_share import SHORT_TURN as SHORT_TURN
    from postbearer.state.connection_share import TURN as TURN
    from postbearer.state.connection_share import Claimant as Claimant
    from postbearer.state.connection_share import ConnectionShare as ConnectionShare
    from postbearer.state.connection_share import allotted as allotted
    from postbearer.state.document import Document as Document
    from postbearer.state.document import FileDocument as FileDocument
    from postbearer.state.document import MemoryDocument as MemoryDocument
    from postbearer.state.files import read_private as read_private
    from postbearer.state.files import sync_folder as sync_folder
    from postbearer.state.files import trouble as trouble
    from postbearer.state.files import whole_file as whole_file
    from postbearer.state.files import write_private as write_private
    from postbearer.state.folder import SYSTEM_FOLDER as SYSTEM_FOLDER
    from postbearer.state.folder import StateFolder as StateFolder
    from postbearer.state.folder import default_state_folder as default_state_folder
    from postbearer.state.key import KeyFile as KeyFile
    from postbearer.state.key import rotate_key as rotate_key
    from postbearer.state.ledger import Decide as Decide
    from postbearer.state.ledger import FileLedger as FileLedger
    from postbearer.state.ledger import Ledger as Ledger
    from postbearer.state.ledger import MemoryLedger as MemoryLedger
    from postbearer.state.ledger import claimant as claimant
    from postbearer.state.ledger import next_turn as next_turn
    from postbearer.state.lock import WAIT as WAIT
    from postbearer.state.lock import FileLock as FileLock
    from postbearer.state.permissions import USE as USE
    from postbearer.state.permissions import open_to_others as open_to_others
    from postbearer.state.persistence import MemoryState as MemoryState
    from postbearer.state.persistence import Persistence as Persistence
    from postbearer.state.persistence import StateOption as StateOption
    from postbearer.state.persistence import chosen as chosen
    from postbearer.state.sealed_grant import SealedGrant as SealedGrant
    from postbearer.state.sealing import Key as Key
    from postbearer.state.sealing import SealedBox as SealedBox
    from postbearer.state.sealing import parse_keys as parse_keys
    from postbearer.state.token_file import TokenFile as TokenFile
    from postbearer.state.turns import Turns as Turns

_EXPORTS = {
    "backup_note": ["LastBackup", "last_backup", "note_backup"],
    "cached_token": ["peek", "shortcut"],
    "charges": ["KEEP", "Charge", "ChargeHistory", "Charges", "freed", "since"],
    "connection_share": ["PATIENCE", "SHORT_TURN", "TURN", "Claimant", "ConnectionShare", "allotted"],
    "document": ["Document", "FileDocument", "MemoryDocument"],
    "files": ["read_private", "sync_folder", "trouble", "whole_file", "write_private"],
    "folder": ["SYSTEM_FOLDER", "StateFolder", "default_state_folder"],
    "key": ["KeyFile", "rotate_key"],
    "ledger": ["Decide", "FileLedger", "Ledger", "MemoryLedger", "claimant", "next_turn"],
    "lock": ["WAIT", "FileLock"],
    "permissions": ["USE", "open_to_others"],
    "persistence": ["MemoryState", "Persistence", "StateOption", "chosen"],
    "sealed_grant": ["SealedGrant"],
    "sealing": ["Key", "SealedBox", "parse_keys"],
    "token_file": ["TokenFile"],
    "turns": ["Turns"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
