"""Telling a relay that runs that an account may work again, so that its mail need not wait."""

from __future__ import annotations

from postbearer.errors import PostbearerError


def wake_relay(account: str) -> bool:
    """Whether a relay runs that had `account` paused, and tries it again now.

    A relay that cannot be asked looks by itself within a quarter of a minute, so that is no error.
    """
    from postbearer.control import ControlClient, Woken
    from postbearer.state import StateFolder

    try:
        client = ControlClient.find(StateFolder())
        if client is None:
            return False
        with client:
            woken: Woken = client.call("accounts.changed", name=account)
            return woken.tried
    except PostbearerError:
        return False
