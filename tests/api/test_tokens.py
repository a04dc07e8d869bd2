"""Tokens of API clients: hashed, scoped, limited in time, and over at once when they are revoked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from postbearer.api import FIRST_FILE, ApiTokens, TokenScope
from postbearer.errors import StoreError, UsageError
from postbearer.state import StateFolder

NOW = 1_800_000_000.0


@pytest.fixture
def tokens(tmp_path: Path) -> ApiTokens:
    return ApiTokens(StateFolder(tmp_path / "state"))


def test_a_token_is_found_by_itself_and_stands_nowhere(tokens: ApiTokens, tmp_path: Path) -> None:
    made = tokens.create("app", [TokenScope.SUBMIT], now=NOW, client="shop", expires=NOW + 60)
    found = tokens.find(made.reveal())
    assert found is not None
    assert (found.name, found.scopes, found.client) == ("app", (TokenScope.SUBMIT,), "shop")
    assert (found.expired(NOW), found.expired(NOW + 60)) == (False, True)
    for file in (tmp_path / "state").iterdir():
        assert file.is_dir() or made.reveal().encode() not in file.read_bytes()
    assert os.stat(tmp_path / "state" / "api-tokens").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrong", ["", "pbt_", "x", "pbt_" + "A" * 43, "\udcff", "ü" * 40])
def test_what_is_no_token_is_nobodys(tokens: ApiTokens, wrong: str) -> None:
    tokens.create("app", [TokenScope.SUBMIT], now=NOW)
    assert tokens.find(wrong) is None


def test_what_another_process_makes_or_revokes_counts_at_once(tokens: ApiTokens, tmp_path: Path) -> None:
    other = ApiTokens(StateFolder(tmp_path / "state"))
    first, second = (other.create(name, [TokenScope.READ], now=NOW).reveal() for name in ("a", "b"))
    assert tokens.find(first) is not None
    other.revoke("a")
    assert tokens.find(first) is None
    assert tokens.find(second) is not None
    other.create("c", [TokenScope.READ], now=NOW)
    other.revoke("b")
    assert tokens.find(second) is None


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("submit", {"submit"}),
        ("read", {"read"}),
        ("operate", {"operate", "read"}),
        ("admin", {"submit", "read", "operate", "admin"}),
    ],
)
def test_what_a_scope_includes(tokens: ApiTokens, scope: str, allowed: set[str]) -> None:
    found = tokens.find(tokens.create("app", [TokenScope(scope)], now=NOW).reveal())
    assert found is not None
    assert found.allowed == allowed


@pytest.mark.parametrize("name", ["", "-x", "A", "a b", "x" * 65, "é", "a/b", "\x1b[2J"])
def test_names_that_are_none(tokens: ApiTokens, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        tokens.create(name, [TokenScope.READ], now=NOW)
    assert tokens.all() == ()


def test_one_name_is_one_token(tokens: ApiTokens) -> None:
    tokens.create("app", [TokenScope.READ], now=NOW)
    with pytest.raises(UsageError, match="already"):
        tokens.create("app", [TokenScope.READ], now=NOW)
    with pytest.raises(UsageError, match="There is no token 'apq'") as told:
        tokens.revoke("apq")
    assert "app" in told.value.hint


def test_the_first_token_is_made_once_and_anew_when_its_file_is_gone(
    tokens: ApiTokens, tmp_path: Path
) -> None:
    path = Path(tokens.ensure_first(NOW))
    assert (path.name, path.stat().st_mode & 0o777) == (FIRST_FILE, 0o600)
    first = path.read_text().strip()
    tokens.ensure_first(NOW)
    assert path.read_text().strip() == first
    path.unlink()
    tokens.ensure_first(NOW)
    assert path.read_text().strip() != first
    assert tokens.find(first) is None
    assert len(tokens.all()) == 1


def test_a_damaged_file_lets_nobody_in(tokens: ApiTokens, tmp_path: Path) -> None:
    made = tokens.create("app", [TokenScope.ADMIN], now=NOW).reveal()
    path = tmp_path / "state" / "api-tokens"
    for wrong in (b"", b"{", b"[]", b"\xff", json.dumps({"tokens": [{"name": "x"}]}).encode()):
        path.unlink()
        path.write_bytes(wrong)
        with pytest.raises(StoreError, match="damaged"):
            tokens.find(made)
