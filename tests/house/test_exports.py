"""Public names: what a lazy root promises, type checkers see and users can import are the same."""

from __future__ import annotations

import ast
import pydoc
from importlib import import_module

import pytest

from house.tree import sources

PUBLIC = """
    Account AsyncMailer Mailer Retry SendResult Limits StateFolder __version__
    Envelope Recipient Outcome Receipt State Reply Secret
    CachedSource Token TokenSource token_source
    ClientCredentials CommandToken Password RefreshToken StaticToken JwtBearer WorkloadIdentity
    ManagedIdentity ClientKey
    PostbearerError UsageError SenderNotAllowed ConfigError
    ProtocolError LocalProtocolError RemoteProtocolError
    NetworkError ConnectFailed TlsFailed TimedOut Disconnected ServerRefused
    CredentialError TokenUnavailable GrantRefused CredentialRefused MechanismMissing
    SecretError SecretUnavailable
    Rejected BudgetSpent StoreError
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
