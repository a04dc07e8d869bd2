"""One file with what a relay has, its queue, its state and its configuration; and the way back."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.backup.archive import Archive as Archive
    from postbearer.backup.archive import write_archive as write_archive
    from postbearer.backup.paths import ASIDE as ASIDE
    from postbearer.backup.paths import BackupPart as BackupPart
    from postbearer.backup.paths import RelayPaths as RelayPaths
    from postbearer.backup.restoring import restore as restore

_EXPORTS = {
    "archive": ["Archive", "write_archive"],
    "paths": ["ASIDE", "BackupPart", "RelayPaths"],
    "restoring": ["restore"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
