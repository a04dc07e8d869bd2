"""What the shell completes beside commands and options: names that only this machine knows.

Whoever presses a key wants no error: where something cannot be told, nothing is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from postbearer.cli.options import Common

if TYPE_CHECKING:
    from postbearer.control import Page

Complete = Callable[[click.Context, click.Parameter, str], list[str]]
_MOST = 200  # message ids


def completing(names: Callable[[Common], Iterable[str]]) -> Complete:
    """What click asks for the values of an argument or option: those of `names` that begin so."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        found: list[str] = []
        with suppress(Exception):  # whatever it is: the command itself will tell
            found += names(context.find_object(Common) or Common())
        return sorted(name for name in found if name.startswith(incomplete))

    return complete


def _accounts(common: Common) -> Iterable[str]:
    return common.configuration().settings.accounts


def _keys(common: Common) -> Iterable[str]:
    from postbearer.config import setting_names

    return setting_names(_accounts(common))


def _grants(common: Common) -> Iterable[str]:
    from postbearer.oauth import grant_names

    return grant_names()


def _messages(common: Common) -> Iterable[str]:
    from postbearer.cli.queue_client import queue_client

    page: Page = queue_client(common).call("queue.list", limit=_MOST)
    return [each.id for each in page.messages]


def _providers(common: Common) -> Iterable[str]:
    return common.providers().names()


accounts, keys, grants = completing(_accounts), completing(_keys), completing(_grants)
messages, providers = completing(_messages), completing(_providers)
