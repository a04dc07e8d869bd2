"""Errors are told by names that stand in the documentation, whatever class tells them apart inside."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import postbearer
from postbearer import errors
from postbearer.errors import PostbearerError

TREE = re.compile(r"^\s*(?:│\s+)*(?:[├└]─ )?([A-Z][A-Za-z]+)", re.MULTILINE)
OPTIONAL = ("postbearer.integrations", "postbearer.testing.fixtures", "postbearer.secrets.aws")


def classes() -> set[type[PostbearerError]]:
    """Every class of the package, those of its inner parts too."""
    for module in pkgutil.walk_packages(postbearer.__path__, "postbearer."):
        if not module.name.startswith(OPTIONAL) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = set(), [PostbearerError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.startswith("postbearer."):
            found.add(kind)
            waiting += kind.__subclasses__()
    return found


def documented() -> set[str]:
    page = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
    return set(TREE.findall(page.read_text().split("```")[1].partition("\n")[2]))


def test_the_tree_in_the_documentation_is_the_one_there_is() -> None:
    own = {kind.__name__ for kind in classes() if kind.__module__ == errors.__name__}
    assert own == documented()
    drawn = (errors.__doc__ or "").partition("::")[2].partition("A refusal by")[0]
    assert own == set(TREE.findall(drawn))


@pytest.mark.parametrize(
    "kind", sorted(classes(), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__
)
def test_an_error_is_called_by_a_documented_name(kind: type[PostbearerError]) -> None:
    error = kind.__new__(kind)
    assert error.name in documented()
    assert isinstance(error, getattr(errors, error.name))
