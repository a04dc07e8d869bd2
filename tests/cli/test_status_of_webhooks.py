"""``postbearer status`` about webhooks: a moment's failure is no alarm, a dead one is."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from postbearer.cli.status import CheckResult, Severity, webhook_problems
from postbearer.control import WebhookStatus

NOW = 1_800_000_000.0


def webhook(state: Literal["working", "failing", "disabled"], **more: Any) -> WebhookStatus:
    known: dict[str, Any] = {"place": "x.example.org", "events": (), "accounts": (), "clients": ()}
    known |= {"waiting": 2, "age": 5.0, "arrived": None, "tried_again": None, "dropped": 0}
    known |= {"error": "It answered 500.", "since": NOW}
    return WebhookStatus(name="shop", state=state, **(known | more))


@pytest.mark.parametrize(
    ("webhook", "level", "text"),
    [
        (webhook("working", since=None, error=""), Severity.OK, ""),
        (webhook("failing"), Severity.OK, ""),
        (webhook("failing", since=NOW - 301), Severity.WARNING, "the webhook shop fails: It answered 500."),
        (webhook("disabled"), Severity.CRITICAL, "postbearer hooks enable shop"),
    ],
)
def test_how_bad_it_is(webhook: WebhookStatus, level: Severity, text: str) -> None:
    found = CheckResult([*webhook_problems([webhook], NOW)])
    assert found.level is level
    assert text in found.text
