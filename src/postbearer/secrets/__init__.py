"""Where secrets come from: references to the environment, files, commands and secret stores."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.secrets.cached import CachedSecret as CachedSecret
    from postbearer.secrets.command import quoted as quoted
    from postbearer.secrets.command import run_program as run_program
    from postbearer.secrets.reference import ReferenceContext as ReferenceContext
    from postbearer.secrets.reference import SecretStore as SecretStore
    from postbearer.secrets.reference import configured as configured
    from postbearer.secrets.reference import is_reference as is_reference
    from postbearer.secrets.reference import source as source
    from postbearer.secrets.sealed import seal_reference as seal_reference

_EXPORTS = {
    "cached": ["CachedSecret"],
    "command": ["quoted", "run_program"],
    "reference": ["ReferenceContext", "SecretStore", "configured", "is_reference", "source"],
    "sealed": ["seal_reference"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
