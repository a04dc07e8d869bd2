"""Mail providers as data: one TOML file each, with endpoints, limits, set-up and known replies."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.providers.catalogue import Catalogue as Catalogue
    from postbearer.providers.ids import Ids as Ids
    from postbearer.providers.loading import generic_rules as generic_rules
    from postbearer.providers.loading import names as names
    from postbearer.providers.loading import parse as parse
    from postbearer.providers.loading import preset as preset
    from postbearer.providers.loading import unknown_provider as unknown_provider
    from postbearer.providers.model import Cloud as Cloud
    from postbearer.providers.model import EhloPreset as EhloPreset
    from postbearer.providers.model import GrantPreset as GrantPreset
    from postbearer.providers.model import Note as Note
    from postbearer.providers.model import Preset as Preset
    from postbearer.providers.model import SenderDomain as SenderDomain
    from postbearer.providers.model import SetupStep as SetupStep
    from postbearer.providers.rules import Disposition as Disposition
    from postbearer.providers.rules import ImmediateAction as ImmediateAction
    from postbearer.providers.rules import Mark as Mark
    from postbearer.providers.rules import Phase as Phase
    from postbearer.providers.rules import Rule as Rule
    from postbearer.providers.rules import Scope as Scope
    from postbearer.providers.rules import Who as Who

_EXPORTS = {
    "catalogue": ["Catalogue"],
    "ids": ["Ids"],
    "loading": ["generic_rules", "names", "parse", "preset", "unknown_provider"],
    "model": ["Cloud", "EhloPreset", "GrantPreset", "Note", "Preset", "SenderDomain", "SetupStep"],
    "rules": ["Disposition", "ImmediateAction", "Mark", "Phase", "Rule", "Scope", "Who"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
