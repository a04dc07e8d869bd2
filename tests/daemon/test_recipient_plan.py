"""What the configuration makes of aliases and staging, and what of it is refused, by line and key."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import RelayPlan
from postbearer.engine import RecipientRules
from postbearer.errors import ConfigError
from support.configuration import COMPLETE

Planned = Callable[[str], RelayPlan]


@pytest.fixture
def plan(tmp_path: Path) -> Planned:
    """Reads what stands in ``[relay]`` of a complete configuration."""

    def planned(text: str) -> RelayPlan:
        file = tmp_path / "postbearer.toml"
        file.write_text(f"{COMPLETE}\n[relay]\n{text}\n")
        return RelayPlan.of(Assembly.load(file, {"POSTBEARER_STATE": str(tmp_path / "state")}))

    return planned


def rules(plan: RelayPlan) -> RecipientRules:
    assert plan.recipients.rules is not None
    return plan.recipients.rules


def test_nothing_said_means_that_mail_goes_to_whom_it_is_for(plan: Planned) -> None:
    assert plan("").recipients.rules is None


def test_a_file_of_aliases_is_read_beside_the_configuration(plan: Planned, tmp_path: Path) -> None:
    (tmp_path / "aliases").write_text("postmaster: root\nroot: admin@example.org\n")
    found = rules(plan('aliases = "aliases"'))
    for domain in ("localhost", socket.gethostname()):
        assert found.resolve(f"root@{domain}") == ("admin@example.org",)
    assert found.resolve("root@example.com") == ("root@example.com",)


def test_a_doubt_names_the_file_by_its_whole_path(plan: Planned, tmp_path: Path) -> None:
    (tmp_path / "aliases").write_text("root: a@example.org\nops: |/bin/page\n")
    (doubt,) = plan('aliases = "aliases"').recipients.doubts
    assert (doubt.file, doubt.line) == (str(tmp_path / "aliases"), 2)


def test_aliases_stand_in_the_configuration_as_well(plan: Planned) -> None:
    found = rules(plan('aliases = { root = "admin@example.org, ops", ops = "ops@example.net" }'))
    assert found.resolve("root@localhost") == ("admin@example.org", "ops@example.net")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("# who\na: b\nb: a\n", 3, "go in a circle: a → b → a"),
        ("root\n", 1, "no alias"),
        ("root: x@example.org\nroot: y@example.org\n", 2, "twice"),
    ],
)
def test_a_fault_in_the_file_is_told_by_its_line(
    plan: Planned, tmp_path: Path, text: str, line: int, told: str
) -> None:
    (tmp_path / "aliases").write_text(text)
    with pytest.raises(ConfigError, match=told) as caught:
        plan('aliases = "aliases"')
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "aliases"), line)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ('aliases = "missing"', "relay.aliases", "missing cannot be read: No such file"),
        ('aliases = { a = "b", b = "a" }', "relay.aliases", "circle"),
        ('aliases = { a = "x@@example.org" }', "relay.aliases", "x@@example.org"),
        ('allow-recipients = ["@example.org", "nobody"]', "relay.allow-recipients", "'nobody' allows nobody"),
    ],
)
def test_a_fault_in_the_configuration_is_told_by_its_key(
    plan: Planned, text: str, key: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        plan(text)
    assert (caught.value.key, caught.value.file.rpartition("/")[2]) == (key, "postbearer.toml")
    assert caught.value.line


def test_a_file_that_is_no_text_is_told_by_its_line(plan: Planned, tmp_path: Path) -> None:
    (tmp_path / "aliases").write_bytes(b"root: admin@example.org\n\xff: x\n")
    with pytest.raises(ConfigError, match="no UTF-8") as caught:
        plan('aliases = "aliases"')
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'redirect-all-to = "test@example.org"',
            "all mail goes to test@example.org instead of its recipients",
        ),
        ('allow-recipients = ["@example.org"]', "mail reaches @example.org only; what is for others is held"),
        ('aliases = { root = "|/bin/vacation, a@example.org" }', "root stands for |/bin/vacation"),
    ],
)
def test_what_people_should_know_is_told_with_its_place(plan: Planned, text: str, told: str) -> None:
    (doubt,) = plan(text).recipients.doubts
    assert told in doubt.message
    assert doubt.file
    assert doubt.line
