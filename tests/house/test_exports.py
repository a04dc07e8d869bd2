"""Public names: what a lazy root promises, type checkers see and users can import are the same."""

from __future__ import annotations

import ast
import pydoc
from collections.abc import Iterator
from importlib import import_module

import pytest

from house.tree import ROOT, sources, tracked

PUBLIC = """
    Account AsyncMailer Mailer Retry SendResult Limits StateFolder __version__
    Envelope Recipient Outcome Receipt State Reply Secret
    CachedSource Token TokenSource submit token_source
    ClientCredentials CommandToken Password RefreshToken StaticToken JwtBearer WorkloadIdentity
    ManagedIdentity ClientKey
    PostbearerError UsageError SenderNotAllowed ConfigError
    ProtocolError LocalProtocolError RelayNotRunning RemoteProtocolError
    NetworkError OutcomeUnknown ConnectFailed TlsFailed TimedOut Disconnected ServerRefused
    CredentialError TokenUnavailable GrantRefused CredentialRefused MechanismMissing
    SecretError SecretUnavailable
    Rejected BudgetSpent StoreError SubmissionRefused
"""


def declared(tree: ast.Module) -> dict[str, str]:
    """Name → module of the imports under ``if TYPE_CHECKING`` at the top of a package root."""
    blocks = [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        alias.asname or alias.name: node.module or ""
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


LAZY = [
    name for name, tree in sources().items() if "_EXPORTS" in {ast.unparse(node) for node in ast.walk(tree)}
]


@pytest.mark.parametrize("package", LAZY)
def test_a_lazy_root_keeps_its_promise(package: str) -> None:
    root = import_module(package)
    exports = [name for names in root._EXPORTS.values() for name in names]
    seen = declared(sources()[package])
    assert sorted(seen) == sorted(exports) == sorted(root.__all__)
    different = [
        name
        for name, module in seen.items()
        if getattr(import_module(module), name) is not getattr(root, name)
    ]
    assert different == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = import_module("postbearer").Nothing


def test_the_library_offers_exactly_these_names() -> None:
    assert sorted(import_module("postbearer").__all__) == sorted(PUBLIC.split())


@pytest.mark.parametrize("package", LAZY)
def test_dir_shows_what_a_root_offers(package: str) -> None:
    root = import_module(package)
    shown = set(dir(root))
    assert set(root.__all__) <= shown
    assert {name for name in shown if not name.startswith("__")} <= set(root.__all__)


def test_help_shows_the_classes() -> None:
    page = pydoc.plain(pydoc.render_doc(import_module("postbearer")))
    assert "class Mailer(" in page
    assert "send_many(self, messages" in page


def unknown_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What is imported of a lazy root, or taken from one that is imported whole, and is not there.

    A type checker takes any name for one that the root's ``__getattr__`` knows.
    """
    nodes = list(ast.walk(tree))
    whole = any(isinstance(node, ast.Import) and "postbearer" in ast.unparse(node) for node in nodes)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in LAZY:
            names = [(node.module, alias.name) for alias in node.names]
        elif whole and isinstance(node, ast.Attribute) and (root := ast.unparse(node.value)) in LAZY:
            names = [(root, node.attr)]
        else:
            continue
        yield from ((node.lineno, f"{root}.{name}") for root, name in names if not offered(root, name))


def offered(root: str, name: str) -> bool:
    return name in import_module(root).__all__ or f"{root}.{name}" in sources() or name.startswith("__")


def test_what_is_imported_of_a_lazy_root_is_there() -> None:
    programs = [file for file in tracked() if file.suffix == ".py" and "node_modules" not in file.parts]
    assert len(programs) > 700
    unknown = [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for file in programs
        for line, name in unknown_names(ast.parse(file.read_text()))
    ]
    assert unknown == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from postbearer.oauth import Nothing", ["postbearer.oauth.Nothing"]),
        ("def f():\n    from postbearer import Nothing, Mailer", ["postbearer.Nothing"]),
        ("if TYPE_CHECKING:\n    from postbearer.store import Nothing as One", ["postbearer.store.Nothing"]),
        ("import postbearer\npostbearer.Nothing()", ["postbearer.Nothing"]),
        ("import postbearer\npostbearer.oauth.Nothing()", ["postbearer.oauth.Nothing"]),
        ("from postbearer.oauth import Grant\nfrom postbearer import oauth, Mailer, __version__", []),
        ("from postbearer.oauth.grants import Nothing", []),  # no lazy root, so type checkers see it
        ("import postbearer\npostbearer.oauth.Grant, postbearer.__name__", []),
    ],
)
def test_the_judge_of_imported_names(code: str, found: list[str]) -> None:
    assert [name for _, name in unknown_names(ast.parse(code))] == found
