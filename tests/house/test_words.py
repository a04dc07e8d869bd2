"""A word that nobody reads is a fault: fields, functions, members, keys of files, events, and exceptions."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest

from house.test_layers import IO_ALLOWED, LAYER, SIBLINGS, imports, io_uses, parts
from house.test_reference import section
from house.tree import PACKAGE, files, sources

DATA = ("dataclass", "Struct", "NamedTuple", "Event", "TypedDict")
ENUMERATIONS = ("Enum", "StrEnum", "IntEnum", "Flag", "IntFlag")
PROVIDERS = PACKAGE / "providers"

NOT_BY_NAME = {  # fields that the code does not name where it reads them: who reads them
    "AccountSettings.*_expires": "assembly puts the name together, of a credential and this end",
    "EhloPreset.before_tls": "`postbearer providers NAME --json` shows all of a preset",
    "Departure.*": "the client of the HTTP API reads when its message may leave",
    "AcceptedMessage.leaves": "the same",
    "*Refused.*": "what a hosted mail API has and the relay has not: a field only so that it may be null",
    "PostmarkAnswer.*": "the client of Postmark's API",
    "ResendStored.*": "the client of Resend's API",
    "DeliveryStatus.jmap": "the reference has JMAP's words for ours; a test holds both to this",
    "DeliveryStatus.anymail": "the same of django-anymail's",
    "Rule.sample": "tests/verdict holds each rule to its own",
}
CALLED_BY = {  # functions that the package does not call itself: who does
    "run_in_executor": "asyncio, of a loop",
    "format_commands": "click",
    "get_buffer": "asyncio (BufferedProtocol)",
    "buffer_updated": "the same",
    "pytest_configure": "pytest",
    "write_manual": "hatch_build.py, when a wheel is made",
    "write_completions": "the same",
    "leaked": "tests that look at what a sandbox was sent",
}
REGISTERS = ("property", "classmethod", "staticmethod", "override", "abstractmethod", "overload")
SHOWN = {  # enumerations whose members may also stand in the files of providers only: who reads them
    "Who": "people",
}


def classes(*kinds: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class with one of these words in its decorators or bases, with its module."""
    for name, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                marks = " ".join(ast.unparse(each) for each in (*node.decorator_list, *node.bases))
                if any(kind in marks for kind in kinds):
                    yield name, node


def fields(node: ast.ClassDef) -> list[str]:
    """What the class declares, without class variables and private names."""
    return [
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and not each.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(each.annotation)
    ]


def members(node: ast.ClassDef) -> dict[str, object]:
    """The members of an enumeration with their values."""
    return {
        target.id: each.value.value if isinstance(each.value, ast.Constant) else None
        for each in node.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name) and not target.id.startswith("_")
    }


@cache
def words_read() -> frozenset[str]:
    """Names that are read as an attribute, matched, or looked up by their text, anywhere in the package.

    Templates are part of it.
    """
    found: set[str] = set()
    for template in PACKAGE.glob("*/templates/*.html"):
        found.update(re.findall(r"\.(\w+)", template.read_text()))
    for tree in sources().values():
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name, ctx=ast.Load()):
                    found.add(name)
                case ast.MatchClass(kwd_attrs=names):
                    found.update(names)
                case ast.Constant(value=str(text)) if re.fullmatch(r"[\w.-]{2,40}", text):
                    found.update((text, text.replace("-", "_")))
                case _:
                    pass
    return frozenset(found)


def unread_fields() -> list[str]:
    return [
        f"{node.name}.{name}"
        for _, node in classes(*DATA)
        for name in fields(node)
        if name not in words_read()
    ]


def excused(field: str) -> bool:
    return any(fnmatchcase(field, pattern) for pattern in NOT_BY_NAME)


def members_used() -> set[tuple[str, str]]:
    """``(class, member)`` wherever one is named, also by a second name of the class."""
    used = set()
    for tree in sources().values():
        second = {
            target.id: node.value.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used.add((second.get(node.value.id, node.value.id), node.attr))
    return used


@cache
def provider_files() -> dict[str, dict[str, Any]]:
    return {file.name: tomllib.loads(file.read_text()) for file in sorted(PROVIDERS.glob("*.toml"))}


def leaves(value: object) -> Iterator[object]:
    """All that is neither a table nor a list, with the keys of tables left out."""
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def uncalled() -> set[str]:
    """Functions and classes whose name stands nowhere else, but for what a decorator hands on."""
    texts = [file.read_text() for file in files()]
    words = Counter(word for text in texts for word in re.findall(r"\w+", text))
    return {
        node.name
        for tree in sources().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and words[node.name] == 1
        and not node.name.startswith("__")
        and all(ast.unparse(each) in REGISTERS for each in node.decorator_list)
    }


def test_every_function_is_called() -> None:
    assert uncalled() == set(CALLED_BY)


def test_every_field_is_read() -> None:
    assert [field for field in unread_fields() if not excused(field)] == []


def test_every_excuse_is_needed() -> None:
    unread = unread_fields()
    assert [each for each in NOT_BY_NAME if not any(fnmatchcase(field, each) for field in unread)] == []


def test_every_member_of_an_enumeration_is_used() -> None:
    used = members_used()
    written = set(map(str, leaves(list(provider_files().values()))))
    unused = [
        f"{module}: {node.name}.{name}"
        for module, node in classes(*ENUMERATIONS)
        for name, value in members(node).items()
        if (node.name, name) not in used and not (node.name in SHOWN and value in written)
    ]
    assert unused == []


def test_every_enumeration_that_is_only_shown_has_to_be_excused() -> None:
    used = members_used()
    needed = {
        node.name
        for _, node in classes(*ENUMERATIONS)
        if any((node.name, name) not in used for name in members(node))
    }
    assert needed == set(SHOWN)


def test_every_field_of_an_event_is_filled() -> None:
    events = {node.name: fields(node) for _, node in classes("Event")}
    filled: dict[str, set[str]] = {name: set() for name in events}
    for tree in sources().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                if name in events:
                    filled[name].update(each.arg for each in node.keywords if each.arg)
                    filled[name].update(["account", *events[name]][: len(node.args)])
    assert [
        f"{name}.{word}" for name, words in events.items() for word in words if word not in filled[name]
    ] == []


def test_every_key_of_a_provider_file_has_a_reader() -> None:
    """Their types take no other keys; so that each is a field, and one that is read."""
    unread = {field.rpartition(".")[2] for field in unread_fields() if not excused(field)}
    tables = [*provider_files().values()]
    tables += [rule for file in provider_files().values() for rule in file.get("rule", ())]
    assert sorted({key for table in tables for key in table if key.replace("-", "_") in unread}) == []


def test_every_word_of_a_cloud_stands_in_a_text_of_its_provider() -> None:
    lost = [
        f"{name}: {word}"
        for name, file in provider_files().items()
        for cloud in file.get("clouds", {}).values()
        for word in cloud.get("words", {})
        if not any(f"{{{word}}}" in str(text) for text in leaves(file))
    ]
    assert lost == []


def test_every_catalogue_of_replies_is_named_by_a_provider() -> None:
    named = {name for file in provider_files().values() for name in file.get("replies", ())}
    catalogues = {name.removesuffix("-replies.toml") for name in provider_files() if "-replies" in name}
    assert catalogues - named == set()


def test_every_exception_among_siblings_is_needed() -> None:
    meeting = {each.units for name, tree in parts() for each in imports(name, tree)}
    idle = [
        f"{here} imports {there}"
        for here, allowed in SIBLINGS.items()
        for there in allowed
        if (here, there) not in meeting or LAYER[here] != LAYER[there]
    ]
    assert idle == []


def test_every_exception_for_input_and_output_is_needed() -> None:
    doing = {name for name, tree in parts() if any(io_uses(tree)) and LAYER[name.split(".")[0]] < 3}
    idle = [
        each for each in IO_ALLOWED if not any(name == each or name.startswith(f"{each}.") for name in doing)
    ]
    assert idle == []


def test_every_error_stands_in_the_table_of_what_to_do() -> None:
    named = set(re.findall(r"`(\w+)`", section("errors.md", "## What to do about each")))
    tree = re.findall(r"[├└]─ (\w+)", section("errors.md", "## The tree"))
    assert [name for name in tree if name not in named] == []


@pytest.mark.parametrize(
    ("code", "judge", "expected"),
    [
        ("class A(Enum):\n    B = 1\n    C = 'c'", members, {"B": 1, "C": "c"}),
        ("class A:\n    b: int\n    c: ClassVar[int] = 1\n    _d: int = 2", fields, ["b"]),
    ],
)
def test_the_judges(code: str, judge: Callable[[ast.ClassDef], object], expected: object) -> None:
    (node,) = ast.parse(code).body
    assert isinstance(node, ast.ClassDef)
    assert judge(node) == expected
