"""Configurations of other programs, said in ours; what cannot be said is named, with what to do."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.importing.draft import Draft as Draft
    from postbearer.importing.draft import Remark as Remark
    from postbearer.importing.dsconfig import read_dsconfig as read_dsconfig
    from postbearer.importing.finishing import Imported as Imported
    from postbearer.importing.finishing import finish as finish

_EXPORTS = {
    "draft": ["Draft", "Remark"],
    "dsconfig": ["read_dsconfig"],
    "finishing": ["Imported", "finish"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
