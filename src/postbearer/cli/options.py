"""Options that every command has, and what they say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from postbearer.config import Configuration, Providers
    from postbearer.tags import Tags

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Common:
    """What the shared options said, before or behind the name of the command."""

    config: str | None = None
    verbose: bool = False
    debug: bool = False
    as_json: bool = False

    def configuration(self) -> Configuration:
        """The configuration that ``--config`` or the search order names. Raises `ConfigError`."""
        from postbearer.config import load

        return load(self.config)

    def providers(self) -> Providers:
        """The providers that the configuration may name, also where there is none yet."""
        from postbearer.config import Providers

        return Providers.found(self.config, os.environ)


pass_common = click.make_pass_decorator(Common, ensure=True)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    if value and parameter.name:
        setattr(context.ensure_object(Common), parameter.name, value)
    return value


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a duration; its value is in seconds."""
    from postbearer.config import parse_duration

    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}.") from None


def tags(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Tags:
    """Callback of an option that takes tags."""
    from postbearer.errors import UsageError
    from postbearer.tags import make_tags, parse_tag

    try:
        return make_tags(map(parse_tag, given))
    except UsageError as error:
        raise click.BadParameter(f"{error.message} {error.hint}".strip()) from None


def chosen_account(configuration: Configuration, named: str | None, sender: str | None = None) -> str:
    """The account that was named, else the usual one of mail from `sender`, else the only one.

    Raises `UsageError` where there are several to choose from, or none.
    """
    usual = configuration.usual_account(sender) if sender is not None and not named else None
    return named or usual or only_account(configuration.settings.accounts)


def only_account(names: Iterable[str]) -> str:
    """The one of `names` there is. Raises `UsageError`."""
    from postbearer.errors import UsageError

    known = sorted(names)
    if len(known) != 1:
        hint = f"Name one of {', '.join(known)}." if known else "Describe one: postbearer init"
        raise UsageError("Nothing says which account is meant.", hint=hint)
    return known[0]


def _shared(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_keep, **settings)


def common_options(function: F) -> F:
    """Add the options that every command has; their values are in `Common`."""
    for option in (
        _shared("--json", "as_json", is_flag=True, help="Print one JSON object, for programs."),
        _shared("--debug", is_flag=True, help="Show tracebacks of errors."),
        _shared("-v", "--verbose", is_flag=True, help="Say more."),
        _shared(
            "--config",
            metavar="FILE",
            type=click.Path(),
            help="Configuration to use instead of the one that is found.",
        ),
    ):
        function = option(function)
    return function
