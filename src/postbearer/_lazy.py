"""Lazy package roots: a package is imported through its root, and pays only for what is used.

A root lists its public names by module; the module is loaded when a name is first asked for
(PEP 562). The same names stand in an ``if TYPE_CHECKING`` block for the type checkers;
``tests/house/test_exports.py`` proves that both lists agree.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing `typing` costs more than all that a short command imports itself
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


def lazy(package: str, exports: Mapping[str, Iterable[str]]) -> tuple[Callable[[str], Any], list[str]]:
    """Return ``(__getattr__, __all__)`` for `package`, whose `exports` map module → public names."""
    home = {name: module for module, names in exports.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807 - PEP 562 fixes this name
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home[name]}"), name)
        globals_of(package)[name] = value
        return value

    # dir(), help() and completion look here, also before any name was asked for; what a root needs itself
    # to be one (`lazy`, TYPE_CHECKING) is nobody else's
    globals_of(package)["__dir__"] = lambda: sorted({*filter(_is_dunder, globals_of(package)), *home})
    return __getattr__, sorted(home)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def globals_of(package: str) -> dict[str, Any]:
    """The namespace of an imported package, so that a resolved name is looked up only once."""
    return vars(import_module(package))
