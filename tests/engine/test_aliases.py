"""Names that stand for others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.engine import Alias, Aliases, read_aliases
from postbearer.errors import ConfigError

HERE = {"localhost", "host.example.org"}
DEBIAN = """\
# /etc/aliases
mailer-daemon: postmaster
postmaster: root
nobody: root
root: admin@example.org,
    "On Call" , ops
"On Call": oncall@example.net
ops: admin@example.org, second@example.org
Sales@Example.COM: sales@example.org
"""


def aliases(text: str) -> Aliases:
    return Aliases.of(read_aliases(text), HERE)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("root@localhost", ("admin@example.org", "oncall@example.net", "second@example.org")),
        ("ROOT@Host.Example.org", ("admin@example.org", "oncall@example.net", "second@example.org")),
        ("mailer-daemon@localhost", ("admin@example.org", "oncall@example.net", "second@example.org")),
        ("postmaster", ("admin@example.org", "oncall@example.net", "second@example.org")),
        ("sales@example.com", ("sales@example.org",)),
        ("root@example.com", None),
        ("admin@example.org", None),
        ("somebody@localhost", None),
    ],
)
def test_who_an_address_stands_for(address: str, found: tuple[str, ...] | None) -> None:
    assert aliases(DEBIAN).expand(address) == found


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a: b\nb: c\nc: a\n", 3, "a → b → c → a"),
        ("a: x@example.org\n\nA: y@example.org", 3, "twice; the first time in line 1"),
        ("a: x@example.org\nroot\n", 2, "no alias"),
        ("a:\n", 1, "no alias"),
        (": x@example.org\n", 1, "no alias"),
        ("a: x@@example.org", 1, "x@@example.org"),
        ("a: x@example.org, y z@example.org", 1, "y z@example.org"),
        ("".join(f"a{n}: a{n + 1}\n" for n in range(60)) + "a60: x@example.org\n", 1, "more than 50 names"),
        ("all: " + ", ".join(f"a{n}@example.org" for n in range(1001)), 1, "1001 addresses"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        aliases(text)
    assert caught.value.line == line
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "left", "told"),
    [
        ("root: localuser, admin@example.org", ("admin@example.org",), "no alias says which address"),
        ("root: \\root, admin@example.org", ("admin@example.org",), "no alias says which address"),
        ("root: root, admin@example.org", ("admin@example.org",), "no alias says which address"),
        ('root: "|/usr/bin/vacation root"', (), "a program is not run"),
        ("root: |/usr/bin/vacation", (), "a program is not run"),
        ("root: /var/mail/root", (), "a file is not written"),
        ("root: :include:/etc/team", (), "lists in other files are not read"),
    ],
)
def test_what_a_relay_cannot_do_is_a_doubt(text: str, left: tuple[str, ...], told: str) -> None:
    found = aliases(f"# first\n{text}\n")
    assert found.expand("root@localhost") == left
    ((line, doubt),) = found.doubts
    assert line == 2
    assert told in doubt


def test_an_address_may_stand_for_itself_among_others() -> None:
    found = aliases("boss@example.org: boss@example.org, archive@example.org")
    assert found.expand("boss@example.org") == ("boss@example.org", "archive@example.org")


def test_names_that_meet_again_are_followed_once() -> None:
    """Thirty names that each name the next twice are two to the thirtieth ways."""
    doubled = "".join(f"a{n}: a{n + 1}, a{n + 1}\n" for n in range(30))
    assert aliases(f"{doubled}a30: x@example.org\n").expand("a0@localhost") == ("x@example.org",)


def tried(entries: Sequence[Alias]) -> Aliases | ConfigError:
    try:
        return Aliases.of(entries, HERE)
    except ConfigError as error:
        return error


@given(st.text(st.sampled_from('ab@.example:,"| /\\#\n\t'), max_size=60))
def test_any_file_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        found = tried(read_aliases(text))
    except ConfigError as error:
        found = error
    if isinstance(found, ConfigError):
        assert found.line
    else:
        assert all("@" in each for ends in found.found.values() for each in ends)


NAMES = st.sampled_from("abcdef")


@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1), min_size=1))
def test_any_circle_ends(names: dict[str, list[str]]) -> None:
    found = tried([Alias(name, targets, line) for line, (name, targets) in enumerate(names.items(), 1)])
    if isinstance(found, ConfigError):
        assert "circle" in found.message
    else:
        assert not any(found.found.values())  # no address stands anywhere
