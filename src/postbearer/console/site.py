"""All pages of the console, and the application that serves them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from postbearer.console import (
    access,
    account_changes,
    account_settings,
    accounts,
    alerts,
    audit,
    checks,
    clients,
    connect,
    jobs,
    log,
    message,
    overview,
    provider_sign_in,
    queue,
    reading,
    resending,
    settings,
    signing_in,
    undoing,
    webhooks,
)
from postbearer.console.application import ConsoleApplication
from postbearer.console.services import ConsoleServices
from postbearer.console.visit import ConsolePage
from postbearer.http_guard import Application

PAGES: Sequence[ConsolePage] = (
    *signing_in.PAGES,
    *access.PAGES,
    *overview.PAGES,
    *queue.PAGES,
    *jobs.PAGES,
    *message.PAGES,
    *undoing.PAGES,
    *reading.PAGES,
    *resending.PAGES,
    *accounts.PAGES,
    *account_changes.PAGES,
    *account_settings.PAGES,
    *checks.PAGES,
    *connect.PAGES,
    *provider_sign_in.PAGES,
    *audit.PAGES,
    *log.PAGES,
    *alerts.PAGES,
    *webhooks.PAGES,
    *clients.PAGES,
    *settings.PAGES,
)


def console(services: ConsoleServices, *, hosts: Collection[str] | None, base_path: str = "") -> Application:
    """The console for requests to `hosts` (None: any)."""
    services.state.gate.use(services.settings.logins)
    return ConsoleApplication(services, PAGES, hosts=hosts, base_path=base_path)
