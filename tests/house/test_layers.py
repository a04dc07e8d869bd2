"""Imports go downward, through package roots; and nothing below layer 3 does I/O."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from house.tree import PACKAGE, ROOT, sources

LAYERS: dict[int, tuple[str, ...]] = {
    7: ("cli", "daemon", "testing"),
    6: (
        *("submission", "control", "api", "console", "alerts", "webhooks", "log", "metrics", "tracing"),
        *("importing", "integrations", "backup", "outbox"),
    ),
    5: ("config", "assembly", "mailer", "blocking", "sending", "tokens"),
    4: ("engine", "account", "arguments", "forecast", "diagnosis", "tracking"),
    3: ("transport", "store", "serving", "handover"),
    2: ("sasl", "oauth", "state", "secrets", "verdict"),
    1: (
        *("wire", "message", "providers", "settings"),
        *("http", "http_addresses", "http_guard", "http_proxy", "http_session", "standard_webhooks"),
    ),
    0: (
        "errors",
        "address",
        "address_words",
        "envelope",
        "reply",
        "answer",
        "meaning",
        "outcome",
        "secret",
        "encodings",
        "redaction",
        "clock",
        "moments",
        "delivery_status",
        "events",
        "tasks",
        "crash",
        "suggestion",
        "tags",
        "timestamps",
        "trace_context",
    ),
}
LAYER = {unit: layer for layer, units in LAYERS.items() for unit in units}

SIBLINGS = {  # who may import a unit of the same layer; layer 0 is one vocabulary
    "http": {"http_addresses", "http_proxy", "http_session"},  # the parts of a request
    "http_session": {"http_addresses"},  # connects to them
    "message": {"settings"},  # what an account says of senders
    "providers": {"settings"},  # how a client may prove itself
    "settings": {"wire"},  # the extensions that an account may leave out have names there
    "state": {"oauth"},  # keeps its tokens
    "secrets": {"state", "oauth"},  # some are sealed there; a cloud's store wants a token
    "account": {"arguments"},  # has what a program says of it checked
    "arguments": {"account"},  # that check
    "engine": {"account"},  # whose mail it is
    "forecast": {"account"},  # what of it will run out
    "diagnosis": {"account", "forecast"},  # looks at one
    "assembly": {"config"},  # turns it into objects
    "mailer": {"assembly", "sending"},  # can be had from a configuration; what it is told beside a message
    "blocking": {"mailer", "assembly", "sending"},  # the same in a thread of its own
    "tokens": {"assembly"},  # so can these
    "api": {"control", "submission"},  # what people do, and who submits how much, by another protocol
    "outbox": {"integrations"},  # what a mail backend of Django is
    "console": {"api", "control", "submission"},  # the same for a browser, at the same addresses
    "cli": {"testing", "daemon"},  # demo and sandbox, and serve
}
ANYWHERE = {"_lazy", "_version"}

IO_MODULES = {
    *("asyncio", "ctypes", "fcntl", "ftplib", "httpx2", "logging", "mmap", "multiprocessing"),
    *("select", "selectors", "shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "urllib.request", "http.client"),
}
IO_CALLS = re.compile(
    r"open|print|input"
    r"|os\.(?!environ\b|fspath\b|linesep\b|sep\b|path\.(join|basename|sep))\w+.*"
    r"|.+\.(read_text|read_bytes|write_text|write_bytes|unlink|mkdir|iterdir|glob)"  # of a Path
)
IO_ALLOWED = {  # a module, or a package with all that is in it: why
    "clock": "the one that tells the time",
    "crash": "tests die in it",
    "tasks": "it runs what goes on in the background",
    "http": "the door to token endpoints and vaults",
    "http_proxy": "the environment names it, in the way of the standard library",
    "http_session": "it looks names up for that, and keeps connections",
    "secrets": "files, commands and stores are where they come from",
    "state": "it is made of files and locks",
    "oauth.arc": "Azure Arc proves by a file who asks",
    "oauth.blocking": "a thread without an event loop runs one to get a token",
    "oauth.source": "a token is asked for once, however many want it",
    "oauth.single_flight": "the waiting that this takes, over threads and event loops",
    "providers.loading": "presets are data files",
    "message.compose": "the Date of a message is the time at which it is made",
    "message.content": "content too large for memory is read while it is sent",
}


@dataclass(frozen=True)
class Import:
    importer: str  # oauth.source
    target: str  # wire.reply, or "" for postbearer itself
    line: int

    @property
    def units(self) -> tuple[str, str]:
        return self.importer.split(".")[0], self.target.split(".")[0]

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports postbearer.{self.target}".rstrip(".")


def unit_names() -> set[str]:
    """The packages and modules right below postbearer."""
    packages = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    return packages | {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "__main__"} - ANYWHERE


def imports(name: str, tree: ast.Module) -> Iterator[Import]:
    """What `name` imports of this package, also by ``import_module("postbearer.…")``."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                targets = [alias.name for alias in names]
            case ast.ImportFrom(module="postbearer", level=0, names=names):
                targets = [f"postbearer.{alias.name}" for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                targets = [module]
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(module)), *_]):
                targets = [module]
            case _:
                continue
        for target in targets:
            package, _, rest = target.partition(".")
            if package == "postbearer":
                yield Import(name, rest, node.lineno)


def complaint(found: Import) -> str | None:
    """Why this import may not be, or None."""
    here, there = found.units
    if here == there or there in ANYWHERE:
        return None
    if there not in LAYER:
        return f"{found}, which has no layer: import from the part that defines the name"
    if "." in found.target:
        return f"{found}: import through the package root, postbearer.{there}"
    if LAYER[there] > LAYER[here]:
        return f"{found}: layer {LAYER[here]} imports upward from layer {LAYER[there]}"
    if LAYER[there] == LAYER[here] != 0 and there not in SIBLINGS.get(here, ()):
        return f"{found}: siblings of layer {LAYER[here]}"
    return None


def io_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """I/O modules imported and I/O functions called; imports for type checkers alone do not count."""
    for node in walk_runtime(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0, names=names):
                modules = [module, *(f"{module}.{alias.name}" for alias in names)]
            case ast.Call(func=function) if IO_CALLS.fullmatch(ast.unparse(function)):
                modules = [f"{ast.unparse(function)}()"]
            case _:
                continue
        yield from ((node.lineno, module) for module in modules if module[-1:] == ")" or is_io(module))


def is_io(module: str) -> bool:
    return module in IO_MODULES or module.split(".")[0] in IO_MODULES


def walk_runtime(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from walk_runtime(child)


def part(module: str) -> str:
    return module.removeprefix("postbearer").removeprefix(".")


def parts() -> list[tuple[str, ast.Module]]:
    return [(part(name), tree) for name, tree in sources().items() if part(name) not in ("", "__main__")]


def test_every_part_has_its_layer_and_every_layer_its_parts() -> None:
    assert unit_names() == set(LAYER)


def test_contributing_shows_this_very_table() -> None:
    rows = re.findall(r"^\| *(\d) *\|([^|]*)\|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    shown = {int(layer): tuple(re.findall(r"`(\w+)[^`]*`", units)) for layer, units in rows}
    assert shown == LAYERS


def test_imports_go_downward_and_through_roots() -> None:
    found = [
        complaint(each)
        for name, tree in parts()
        if name.split(".")[0] in LAYER
        for each in imports(name, tree)
    ]
    assert [each for each in found if each] == []


def test_the_engine_knows_transports_and_no_smarthost() -> None:
    """What it knows of a transport are its settings, its answers and what was said, whatever it speaks."""
    found = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in parts()
        if name.split(".")[0] == "engine"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "smarthost")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "postbearer.transport"
            and {each.name for each in node.names} - {"Transport", "TransportSettings", "recording"}
        )
    ]
    assert found == []


def test_no_relative_imports() -> None:
    relative = [
        f"{name}:{node.lineno}"
        for name, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_no_io_below_layer_three() -> None:
    uses = [
        f"{name}:{line} uses {what}"
        for name, tree in parts()
        if LAYER.get(name.split(".")[0], 9) < 3 and not {name, name.split(".")[0]} & IO_ALLOWED.keys()
        for line, what in io_uses(tree)
    ]
    assert uses == []


@pytest.mark.parametrize(
    ("importer", "code", "expected"),
    [
        ("wire.client", "from postbearer.reply import Reply", None),
        ("wire.client", "from postbearer.wire.grammar import xtext", None),
        ("secrets.vault", "from postbearer.oauth import TokenSource", None),
        ("oauth.source", "from postbearer.secrets import source", "siblings"),
        ("wire.client", "from postbearer import transport", "upward"),
        ("transport.session", "from postbearer.wire.client import Client", "through the package root"),
        ("transport.session", "from postbearer import Mailer", "has no layer"),
        ("cli.main", 'import_module("postbearer.config.load")', "through the package root"),
        ("errors", "if TYPE_CHECKING:\n    from postbearer.outcome import Receipt", None),
    ],
)
def test_the_judge_of_imports(importer: str, code: str, expected: str | None) -> None:
    (found,) = imports(importer, ast.parse(code))
    verdict = complaint(found)
    assert verdict is None if expected is None else expected in str(verdict)


@pytest.mark.parametrize(
    ("code", "uses"),
    [
        ("import socket", ["socket"]),
        ("from asyncio import Lock", ["asyncio", "asyncio.Lock"]),
        ("from urllib import request, parse", ["urllib.request"]),
        ("import os\nos.open('x', 0)", ["os.open()"]),
        ("import os\nos.path.exists('x')", ["os.path.exists()"]),
        ("open('x')", ["open()"]),
        ("from pathlib import Path\nPath('x').read_bytes()", ["Path('x').read_bytes()"]),
        ("if TYPE_CHECKING:\n    from ssl import SSLContext", []),
        ("from urllib.parse import quote\nimport os.path\nos.path.join('a', 'b')", []),
    ],
)
def test_the_judge_of_io(code: str, uses: list[str]) -> None:
    assert [what for _, what in io_uses(ast.parse(code))] == uses
