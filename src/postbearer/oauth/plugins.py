"""Grants that other packages bring, by the entry-point group ``postbearer.grants``."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, cast

from postbearer.errors import ConfigError, PlugInFailed, PostbearerError
from postbearer.oauth.grants import Exchange, Grant, GrantContext, TokenGrant
from postbearer.oauth.token import TokenAnswer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "postbearer.grants"
_REPORT = "Report it to whoever wrote it; with -v its traceback is shown."


def plugged_grants() -> Collection[str]:
    """The names of the grants that installed packages bring."""
    return {entry.name for entry in _entries()}


def plugged_grant(name: str, settings: Mapping[str, object]) -> Grant:
    """The grant `name`, made with `settings` as keyword arguments, ``-`` in their names as ``_``.

    Raises `ConfigError` if there is none, it cannot be loaded, or does not take these settings.
    """
    entry = next((each for each in _entries() if each.name == name), None)
    if entry is None:
        raise ConfigError(f"No installed package brings the grant {name}.", key="grant")
    given = {key.replace("-", "_"): value for key, value in settings.items()}
    kind = _loaded(entry)
    try:
        inspect.signature(kind).bind(**given)
    except TypeError as error:  # it names an argument and never a value
        raise ConfigError(
            f"The grant {name} does not take these settings: {error}.",
            key="grant-settings",
            hint=f"It is made as {name}{inspect.signature(kind)}.",
        ) from None
    try:
        return cast(Grant, kind(**given))
    except PostbearerError:
        raise
    except Exception as error:  # a plug-in may fail in any way; the text may hold what it was given
        raise ConfigError(
            f"The grant {name} ({entry.value}) could not be made: {type(error).__name__}.",
            key="grant",
            hint=f"If grant-settings are right, it has a defect. {_REPORT}",
        ) from error


def guarded(grant: Grant, context: GrantContext) -> Exchange:
    """`grant.request`. What is unforeseen in code that is not ours is a `PlugInFailed`."""
    try:
        answer = yield from grant.request(context)
        if not isinstance(answer, TokenAnswer):
            raise TypeError("no TokenAnswer was returned")
    except PostbearerError:
        raise
    except Exception as error:  # a plug-in may fail in any way; a defect of ours stays one
        kind = type(grant)
        if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
            raise
        raise PlugInFailed(
            f"The grant {grant.name} ({kind.__module__}:{kind.__qualname__}) of "
            f"{context.account or 'the account'} has a defect: {type(error).__name__}.",
            account=context.account,
            hint=_REPORT,
        ) from error
    return answer


def _loaded(entry: EntryPoint) -> type[TokenGrant]:
    try:
        kind = entry.load()
    except Exception as error:  # a plug-in may fail in any way when it is imported
        raise ConfigError(
            f"The grant {entry.name} could not be loaded: {type(error).__name__}: {error}",
            key="grant",
            hint="Install what it needs, or remove it.",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, TokenGrant)):
        raise ConfigError(
            f"What {entry.value} brings as the grant {entry.name} is no subclass of TokenGrant.", key="grant"
        )
    if not callable(getattr(kind, "request", None)):
        raise ConfigError(f"The grant {entry.name} ({entry.value}) has no method request.", key="grant")
    return kind


def _entries() -> Collection[EntryPoint]:
    from importlib.metadata import entry_points  # slow to import, and most accounts need no plug-in

    return entry_points(group=GROUP)
