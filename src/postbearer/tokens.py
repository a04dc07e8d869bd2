"""Tokens by themselves, for what sends mail without us or speaks another protocol.

::

    source = token_source("alerts")        # an account of the configuration file, or an `Account`
    token = await source.token()           # in a thread without an event loop: source.token_blocking()
"""

from __future__ import annotations

import os

from postbearer.account import Account
from postbearer.clock import Clock, SystemClock
from postbearer.events import Observer, Several, Silent
from postbearer.oauth import CachedSource
from postbearer.state import StateOption, chosen


def configured(account: str, config: str | os.PathLike[str] | None = None) -> Account:
    """The account of that name in the configuration file. Raises `ConfigError`."""
    from postbearer.assembly import Assembly  # who has no configuration need not load what reads it

    return Assembly.load(config).account(account)


def token_source(
    account: Account | str,
    *,
    config: str | os.PathLike[str] | None = None,
    state: StateOption | None = None,
    clock: Clock | None = None,
    observer: Observer | None = None,
) -> CachedSource:
    """Where the access tokens of an account come from; a name stands in the configuration file `config`.

    Tokens are kept in `state`, the user's folder unless given, together with all other processes of
    this user: however many ask, one request is made for each lifetime. ``"memory"`` keeps them in this
    object alone. Raises `ConfigError`, also for an account that does not use tokens.
    """
    if isinstance(account, str):
        account = configured(account, config)
    clock = clock or SystemClock()
    observer = Several(observer, clock=clock) if observer is not None else Silent()
    return account.token_source(account.usable(chosen(state), observer), clock=clock, observer=observer)
