"""Options that every command has, and what they say."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from postbearer.config import Configuration, Providers

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Common:
    """What the shared options said, before or behind the name of the command."""

    config: str | None = None
    verbose: bool = False
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


def common_options(function: F) -> F:
    """Add ``--config`` and ``--verbose``; their values are in `Common`."""
    function = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=_keep, help="Say more; show tracebacks."
    )(function)
    return click.option(
        "--config",
        metavar="FILE",
        type=click.Path(),
        expose_value=False,
        callback=_keep,
        help="Configuration to use instead of the one that is found.",
    )(function)


def json_option(function: F) -> F:
    """Add ``--json``; its value is in `Common.as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Print one JSON object, for programs.",
    )(function)
