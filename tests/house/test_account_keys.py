"""A key of an account is declared once: its type and its default stand in `postbearer.settings`."""

from __future__ import annotations

import ast
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from msgspec.structs import replace

from house.tree import sources
from postbearer import arguments
from postbearer.account import Account, Options
from postbearer.settings import DEFAULTS, AccountSettings
from postbearer.testing import Sandbox

KEYS = set(AccountSettings.__struct_fields__)
GIVEN_AS_OBJECTS = {"certificate", "password", "limits", "expires"}
CALLED = {"rule": "sender"}  # by another name where it is held
PATHS = {"ca_file", "token_ca_file"}


def choices() -> dict[frozenset[object], str]:
    """What a key may be, for each that has a choice."""
    hints = get_type_hints(AccountSettings)
    found: dict[frozenset[object], str] = {}
    for name, hint in hints.items():
        for kind in (hint, *get_args(hint)):
            if get_origin(kind) is Literal:
                found[frozenset(get_args(kind))] = name
    return found


def test_no_choice_of_a_key_is_written_twice() -> None:
    known, places = choices(), list[str]()
    assert len(known) >= 8
    spelled = dict.fromkeys(known.values(), 0)
    for module, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
                constants = [each.value for each in ast.walk(node.slice) if isinstance(each, ast.Constant)]
                if key := known.get(frozenset(constants)):
                    spelled[key] += 1
                    places.append(f"{module}:{node.lineno} spells {key}")
    assert set(spelled.values()) == {1}, places


def test_no_default_of_a_key_is_written_twice() -> None:
    """An account and its options take them from the settings; None and empty say that there is none."""
    twice = []
    holders = (
        "postbearer.account",
        "postbearer.arguments",
        "postbearer.message.sender",
        "postbearer.transport.smarthost",
    )
    for module, node in ((each, node) for each in holders for node in ast.walk(sources()[each])):
        match node:
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), default]):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as default):
                pass
            case _:
                continue
        own = getattr(DEFAULTS, CALLED.get(name, name), None)
        if own and isinstance(default, ast.Constant) and default.value:
            twice.append(f"{module}:{node.lineno} has a default for {name}")
    assert twice == []


@pytest.mark.parametrize("name", sorted(Options.__optional_keys__ & KEYS - GIVEN_AS_OBJECTS - PATHS))
def test_an_option_has_the_type_of_its_key(name: str) -> None:
    option, key = get_type_hints(Options)[name], arguments._types()[name]
    if get_origin(key) is tuple:  # a program may give any sequence
        assert get_args(option)[0] == get_args(key)[0]
    else:
        assert option == key


def test_an_account_that_says_nothing_has_the_defaults(postbearer_sandbox: Sandbox) -> None:
    made: Any = Account.smtp("alerts@example.org", servers=["mail.example.org:587"], authentication="none")
    given = {"provider": "", "address": "", "servers": None, "authentication": DEFAULTS.authentication}
    assert replace(made.settings, **given) == DEFAULTS
    assert made.sender.rule == DEFAULTS.sender
    assert made.smarthost.mechanism == DEFAULTS.mechanism
