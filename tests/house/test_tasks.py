"""Every task has an owner that tells of its defects: `postbearer.tasks`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from house.tree import sources

ALLOWED = {  # module.function: who waits for what it began, and so hears of its defects
    "tasks._own": "the owner",
    "clock.event_or_time": "both end here",
    "engine.dispatcher.drain": "both end here",
    "oauth.single_flight.__init__": "the result goes to whoever waits for it, its defects too",
    "daemon.process._stop": "both end here",
    "sending.loop.begin": "the caller waits for the result, in another thread",
    "sending.many.side_by_side": "all are awaited at its end",
    "oauth.single_flight._board": "the result goes to all who wait for it, its defects too",
    "store.postgres.transaction_runner._begin": "the caller waits for the result, in another thread",
    "store.postgres.transaction_runner.close": "the same",
    "testing.sandbox._serving": "awaited at the end of the block",
}
BEGINS = {"create_task", "ensure_future", "run_coroutine_threadsafe", "TaskGroup"}


def begun(name: str, tree: ast.Module) -> Iterator[str]:
    """Where `name` starts a task: ``module.function``."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _called(node) in BEGINS:
                yield f"{name.removeprefix('postbearer.')}.{function.name}"


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=found) | ast.Name(id=found):
            return found
        case _:
            return ""


def test_every_task_has_an_owner() -> None:
    found = {place for name, tree in sources().items() for place in begun(name, tree)}
    assert found - ALLOWED.keys() == set()
    assert ALLOWED.keys() - found == set()  # each exception is still needed


@pytest.mark.parametrize("call", ["asyncio.create_task(work())", "loop.create_task(x)", "ensure_future(x)"])
def test_the_rule_sees(call: str) -> None:
    tree = ast.parse(f"class A:\n    async def f(self):\n        self.t = {call}\n")
    assert set(begun("postbearer.a", tree)) == {"a.f"}


def takes_begun_work(name: str, tree: ast.Module) -> Iterator[str]:
    """Where a coroutine is handed another one: never awaited if the first is cancelled unbegun."""
    for function in ast.walk(tree):
        if isinstance(function, ast.AsyncFunctionDef):
            parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            if any(_is_begun(each.annotation) for each in parameters):
                yield f"{name.removeprefix('postbearer.')}.{function.name}"


def _is_begun(annotation: ast.expr | None) -> bool:
    match annotation:
        case ast.Subscript(value=ast.Name(id="Awaitable" | "Coroutine")):
            return True
        case _:
            return False


def test_work_is_handed_to_a_coroutine_as_a_function() -> None:
    assert {place for name, tree in sources().items() for place in takes_begun_work(name, tree)} == set()


@pytest.mark.parametrize("kind", ["Awaitable[None]", "Coroutine[Any, Any, None]"])
def test_the_rule_sees_begun_work(kind: str) -> None:
    tree = ast.parse(f"async def f(work: {kind}): ...\n")
    assert set(takes_begun_work("postbearer.a", tree)) == {"a.f"}
    tree = ast.parse(f"async def f(work: Callable[[], {kind}]): ...\n")
    assert set(takes_begun_work("postbearer.a", tree)) == set()
