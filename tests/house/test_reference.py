"""The reference names all there is, and nothing that is not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import click
import pytest
from msgspec import Struct

from house.test_exports import PUBLIC
from house.tree import PACKAGE, ROOT
from postbearer import errors, events
from postbearer.cli.exit_codes import ExitCode
from postbearer.cli.root import COMMANDS, command_named
from postbearer.config.relay import (
    ClientSettings,
    HttpSettings,
    ListenerSettings,
    MessageWebhookSettings,
    NotifySettings,
    RelaySettings,
    RetrySettings,
    RouteSettings,
    WebhookSettings,
)
from postbearer.config.schema import Settings
from postbearer.config.stores import TYPES
from postbearer.providers import Preset, Rule
from postbearer.providers.model import Cloud, EhloPreset, GrantPreset, SetupStep
from postbearer.settings import AccountSettings, Limits
from postbearer.store import Status
from postbearer.submission import SessionLimits
from postbearer.testing.faults import Faults, SmtpFault, TokenFault

EVERYWHERE = {"--json", "--config", "-v", "--verbose", "--debug"}


def section(page: str, heading: str) -> str:
    """What stands below `heading`, up to the next heading of its level or above."""
    text = (ROOT / "docs" / "reference" / page).read_text()
    level = heading.split(" ")[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert found, f"{page} has no section {heading!r}"
    return found[1]


def listed(page: str, heading: str) -> list[str]:
    """The names in the first column of the tables below `heading`."""
    rows = re.findall(r"^\|([^|]*)\|", section(page, heading), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def keys(settings: type[Struct]) -> list[str]:
    return sorted(settings.__struct_encode_fields__)


@pytest.mark.parametrize(
    ("page", "heading", "settings"),
    [
        ("configuration.md", "## The whole file", Settings),
        ("configuration.md", "## accounts.NAME", AccountSettings),
        ("configuration.md", "## accounts.NAME.limits", Limits),
        ("configuration.md", "## relay", RelaySettings),
        ("configuration.md", "## relay.listeners", ListenerSettings),
        ("configuration.md", "## relay.clients", ClientSettings),
        ("configuration.md", "## relay.routes", RouteSettings),
        ("configuration.md", "## relay.retry", RetrySettings),
        ("configuration.md", "## http", HttpSettings),
        ("configuration.md", "## notify", NotifySettings),
        ("configuration.md", "## webhooks", MessageWebhookSettings),
        ("configuration.md", "## notify.webhooks", WebhookSettings),
        ("sandbox.md", "### All faults", Faults),
        ("sandbox.md", "### At the token endpoint", TokenFault),
        ("sandbox.md", "### In the conversation", SmtpFault),
        ("providers.md", "## grants.NAME", GrantPreset),
        ("providers.md", "## setup", SetupStep),
        ("providers.md", "## ehlo", EhloPreset),
        ("providers.md", "## clouds.NAME", Cloud),
        ("providers.md", "## rule", Rule),
    ],
)
def test_every_key_is_listed_once(page: str, heading: str, settings: type[Struct]) -> None:
    made = {"provider"} if settings is Rule else set()  # set when loaded
    assert sorted(listed(page, heading)) == sorted(set(keys(settings)) - made)


@pytest.mark.parametrize("kind", TYPES)
def test_every_setting_of_a_store_is_listed_once(kind: str) -> None:
    settings = set(keys(TYPES[kind])) - {"type", "cache"}  # which all of them have
    assert sorted(listed("configuration.md", f"### {kind}")) == sorted(settings)


def test_every_key_of_a_preset_is_listed_once() -> None:
    made = {"written", "cloud"}  # set when a cloud is chosen
    assert sorted(listed("providers.md", "## Keys of a preset")) == sorted(set(keys(Preset)) - made)


def test_the_kinds_of_token_faults_are_told() -> None:
    told = section("sandbox.md", "### At the token endpoint")
    kinds = get_args(get_type_hints(TokenFault)["kind"])
    assert [kind for kind in kinds if f"`{kind}`" not in told] == []


def test_every_public_name_is_listed_once() -> None:
    names = [re.sub(r"\(.*", "", name) for name in listed("library.md", "## Names")]
    assert sorted(names) == sorted(PUBLIC.split())


def test_every_error_is_in_the_tree() -> None:
    tree = re.findall(r"[├└]─ (\w+)", section("errors.md", "## The tree"))
    classes = [
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__ and name != "PostbearerError"
    ]
    assert sorted(tree) == sorted(classes)


def test_every_exit_code_is_told() -> None:
    told = [int(row) for row in re.findall(r"^\| (\d+) \|", section("commands.md", "## Exit codes"), re.M)]
    assert told == sorted(ExitCode)


def commands() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = command_named(name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", inner) for each, inner in command.commands.items())
        else:
            yield name, command


ALL = list(commands())


def options(command: click.Command) -> set[str]:
    found: list[Any] = [each for each in command.params if isinstance(each, click.Option)]
    return {name for option in found for name in (*option.opts, *option.secondary_opts)} - EVERYWHERE


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_option_of_a_command_is_listed_once(name: str, command: click.Command) -> None:
    told = [word for names in listed("commands.md", f"## {name}") for word in re.findall(r"--?[\w-]+", names)]
    assert sorted(told) == sorted(options(command))


def test_every_event_and_its_fields_are_told() -> None:
    told = section("relay.md", "## The log")
    kinds = [each for name in events.__all__ if isinstance(each := getattr(events, name), type)]
    kinds = [kind for kind in kinds if issubclass(kind, events.Event) and kind is not events.Event]
    named = [(kind.__name__, field.name) for kind in kinds for field in fields(kind)]
    verbose = {"Connected", "TlsStarted", "Authenticated", "Attempted"}
    missing = [
        (kind, field)
        for kind, field in named
        if f"`{kind}`" not in told or (kind not in verbose and f"`{field}`" not in told)
    ]
    assert missing == []


def test_every_crash_point_is_told() -> None:
    written = "".join(path.read_text() for path in sorted((PACKAGE / "store").glob("*.py")))
    written += (PACKAGE / "state" / "token_file.py").read_text()
    named = re.findall(r'"(\w+)"', "".join(re.findall(r"names=(\(.*\))", written)))
    named += re.findall(r'crash\("(\w+)\.', written)
    assert sorted(listed("relay.md", "## Crash points")) == sorted(set(named))


def test_the_limits_of_the_relay_are_told() -> None:
    told = re.findall(r"[\d.]+", section("relay.md", "## Limits"))
    assert [field.name for field in fields(SessionLimits) if f"{field.default:g}" not in told] == []


def test_every_state_of_a_recipient_is_told() -> None:
    told = re.findall(r"^\| `(\w+)`", section("relay.md", "## States of a recipient"), re.MULTILINE)
    assert told == [str(status) for status in Status]


def test_every_page_is_in_the_navigation_once() -> None:
    named = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(named) == sorted(pages)
