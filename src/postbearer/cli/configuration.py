"""``postbearer config``: show, change and check the configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli import completion
from postbearer.cli.groups import Group
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json, warn
from postbearer.errors import ConfigError

if TYPE_CHECKING:
    from postbearer.config import Configuration


@click.group("config", cls=Group)
@common_options
def command() -> None:
    """Show, change and check the configuration.

    Keys are named with dots: accounts.alerts.client-id
    """


@command.command("show")
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Also the defaults.")
@common_options
@pass_common
def show(common: Common, name: str | None, everything: bool) -> None:
    """Print what holds: the file with what the environment overrides.

    Secrets are shown as the references that the file holds. NAME restricts it to one table.
    """
    from postbearer.config import masked, with_defaults

    configuration = common.configuration()
    values = with_defaults(configuration.settings) if everything else configuration.data
    shown = masked(_at(values, name, configuration.path) if name else values)
    if common.as_json:
        print_json(shown)
        return
    click.echo(f"# {configuration.path}")
    for path, variable in configuration.origins.items():
        click.echo(f"# {'.'.join(map(str, path))} comes from {variable}")
    click.echo(_toml(shown), nl=False)


@command.command("path")
@common_options
@pass_common
def path(common: Common) -> None:
    """Print which file is read; exit code 78 if there is none.

    Whether it is right is told by: postbearer config validate
    """
    from postbearer.config import find

    found = find(common.config, os.environ)
    if common.as_json:
        print_json({"file": found})
        return
    click.echo(found)


@command.command("get")
@click.argument("name", shell_complete=completion.keys)
@common_options
@pass_common
def get(common: Common, name: str) -> None:
    """Print the value of one key, also if it is a default."""
    from postbearer.config import masked, with_defaults

    configuration = common.configuration()
    try:
        value = masked(_at(configuration.data, name, configuration.path))
    except ConfigError:
        value = masked(_at(with_defaults(configuration.settings), name, configuration.path))
    if common.as_json:
        print_json({"key": name, "value": value})
    else:
        click.echo(value if isinstance(value, str) else _toml(value).rstrip("\n"))


@command.command("set")
@click.argument("name", shell_complete=completion.keys)
@click.argument("value")
@common_options
@pass_common
def set_(common: Common, name: str, value: str) -> None:
    """Set one key, and leave all else in the file as it is.

    VALUE is read as TOML, and as a text if it is none. Nothing is written unless the whole file
    is right afterwards.
    """
    from postbearer.config import set_key

    path = set_key(common.config, name, value, os.environ)
    _changed(common, path, name, "is set")


@command.command("unset")
@click.argument("name", shell_complete=completion.keys)
@common_options
@pass_common
def unset(common: Common, name: str) -> None:
    """Take one key away, so that its default holds again."""
    from postbearer.config import unset_key

    path = unset_key(common.config, name, os.environ)
    _changed(common, path, name, "is gone")


@command.command("validate")
@common_options
@pass_common
def validate(common: Common) -> None:
    """Check the whole configuration, and name everything that is wrong."""
    configuration = common.configuration()
    _validate_plugged(common, configuration)
    warnings = (*configuration.warnings(), *_validate_relay(common, configuration))
    accounts = sorted(configuration.settings.accounts)
    if common.as_json:
        found = [warning_as_json(each) for each in warnings]
        print_json({"valid": True, "file": configuration.path, "accounts": accounts, "warnings": found})
        return
    for each in warnings:
        warn(each.told, each.hint)
    count = f"{len(accounts)} account{'' if len(accounts) == 1 else 's'}"
    click.echo(f"{configuration.path} is right: {count}.")


def _changed(common: Common, path: str, name: str, what: str) -> None:
    """Tell what was done, and what `serve` would refuse now.

    The latter is no error: a listener and its certificate are two keys.
    """
    problems: Sequence[ConfigError] = ()
    try:
        _validate_relay(common, common.configuration())
    except ConfigError as error:
        problems = error.problems
    if common.as_json:
        print_json({"file": path, "key": name, "warnings": [warning_as_json(each) for each in problems]})
        return
    click.echo(f"{path}: {name} {what}.", err=True)
    for each in problems:
        warn(f"The relay would not start: {each.key}: {each.message}", each.hint)


def warning_as_json(warning: ConfigError) -> dict[str, Any]:
    """A warning, for programs."""
    return {"key": warning.key, "line": warning.line, "message": warning.message, "hint": warning.hint}


def _validate_plugged(common: Common, configuration: Configuration) -> None:
    """Raise `ConfigError` for a grant of another package that cannot be loaded, or not with its settings."""
    from postbearer.oauth import grant_names

    accounts = configuration.settings.accounts.items()
    if plugged := [name for name, each in accounts if each.grant not in (None, *grant_names())]:
        from postbearer.assembly import Assembly

        assembly = Assembly.load(common.config)
        for name in plugged:
            assembly.account(name)


def _validate_relay(common: Common, configuration: Configuration) -> Sequence[ConfigError]:
    """What people should know of where mail goes in the end.

    Raises `ConfigError` for what `serve` would refuse, but for sockets that only systemd can give it.
    """
    relay = configuration.settings.relay
    if relay is None:
        return ()
    addresses = (*relay.listen, *(listener.address for listener in relay.listeners))
    if any(address.startswith("systemd:") for address in addresses):
        return ()
    from postbearer.assembly import Assembly
    from postbearer.daemon import RelayPlan
    from postbearer.state import StateFolder

    plan = RelayPlan.of(Assembly(configuration, StateFolder(), os.environ))
    return plan.recipients.doubts


@command.command("schema")
@common_options
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from postbearer.config import json_schema

    print_json(json_schema())


def _at(values: Any, name: str, file: str) -> Any:
    from postbearer.config import key_path

    for part in key_path(name):
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            raise ConfigError("This key is not set.", key=name, file=file, hint=near_key(name)) from None
    return values


def near_key(name: str) -> str:
    """What to do about a key that is not set: the one that was meant, if it is a slip."""
    from postbearer.config import setting_names
    from postbearer.suggestion import meant

    account = name.split(".")[1:2] if name.startswith("accounts.") else []
    near = [each for each in meant(name, setting_names(account)) if each != name]
    return f"Did you mean {' or '.join(near)}?" if near else "`postbearer config show --all` lists all keys."


def _toml(value: Any) -> str:
    import tomlkit

    return tomlkit.dumps(value) if isinstance(value, dict) else tomlkit.item(value).as_string()
