"""The shape of the code: small files, small functions, few positional parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from statistics import median, quantiles

from house.tree import ROOT, files, sources

FILE, MEDIAN_FILE = 500, 150
FUNCTION, P90_FUNCTION = 60, 25
POSITIONAL = 6

EXCEPTIONS: dict[str, str] = {  # "path" or "module.function": why it is better over the limit
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    for module, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{module}.{node.name}", node


def length(node: Function) -> int:
    """Lines, the docstring's not counted."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def positional(node: Function) -> int:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def file_lengths() -> dict[str, int]:
    return {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files()}


def over_the_limits() -> dict[str, str]:
    over = {name: f"{lines} lines ({FILE})" for name, lines in file_lengths().items() if lines > FILE}
    for name, node in functions():
        if length(node) > FUNCTION:
            over[name] = f"{length(node)} lines ({FUNCTION})"
        if positional(node) > POSITIONAL:
            over[name] = f"{positional(node)} positional parameters ({POSITIONAL})"
    return over


def test_nothing_is_over_the_limits_but_what_has_a_reason() -> None:
    assert {name: what for name, what in over_the_limits().items() if name not in EXCEPTIONS} == {}


def test_each_exception_is_still_needed_and_reasoned() -> None:
    assert [name for name in EXCEPTIONS if name not in over_the_limits()] == []
    assert all(EXCEPTIONS.values())


def test_the_usual_file_and_function_are_small() -> None:
    assert median(file_lengths().values()) <= MEDIAN_FILE
    assert quantiles([length(node) for _, node in functions()], n=10)[-1] <= P90_FUNCTION


def test_the_measure() -> None:
    code = 'def f(self, a, /, b, *, c):\n    """One.\n\n    Two."""\n    return a\n'
    node = ast.parse(code).body[0]
    assert isinstance(node, Function)
    assert (length(node), positional(node)) == (2, 2)
