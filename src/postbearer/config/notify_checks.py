"""Checks of ``[notify]`` as a whole: who tells must be able to tell, also of their own trouble."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from postbearer.config.relay import NotifySettings, WebhookSettings
from postbearer.config.validation import Problem


def check_notify(given: Mapping[str, Any], accounts: Collection[str]) -> Iterator[Problem]:
    """Problems of `notify`; `given` holds what stands in the file, perhaps with wrong values."""
    account, mail_to = given.get("account"), given.get("mail-to")
    if account is not None and len(accounts) == 1 and account in accounts:
        yield Problem(
            ("notify", "account"),
            f"is {account!r}, the only account: it could not tell that it cannot send",
            "Add another account for it, or use webhooks or command.",
        )
    command = given.get("command")
    if isinstance(command, str) and (wrong := _unquoted(command)):
        yield Problem(("notify", "command"), wrong, "Quote as for a shell, or write a list of words.")
    if account in accounts and len(accounts) > 1 and not mail_to:
        yield Problem(
            ("notify", "account"),
            "has no effect without mail-to",
            'Add mail-to = ["ops@example.org"].',
        )
    if "heartbeat-every" in given and not given.keys() & {"heartbeat", "heartbeat-file"}:
        yield Problem(
            ("notify", "heartbeat-every"),
            "has no effect without heartbeat or heartbeat-file",
            'Add heartbeat = "env:HEARTBEAT_URL".',
        )


def _unquoted(command: str) -> str:
    try:
        return "" if shlex.split(command) else "names no program"
    except ValueError as error:
        return f"cannot be split: {error}"


def notify_doubts(notify: NotifySettings, accounts: Collection[str]) -> Iterator[Problem]:
    """What works but should be looked at."""
    if notify.mail_to and len(accounts) == 1:
        yield Problem(
            ("notify", "mail-to"),
            "has only one account to leave from, which cannot tell that it cannot send",
            "Add another account for it, or webhooks or command.",
        )
    for index, each in enumerate(notify.webhooks):
        if not isinstance(each, WebhookSettings) or each.secret is None:
            yield Problem(
                ("notify", "webhooks", index),
                "is called without a signature, so its receiver cannot know who calls",
                'Write { url = "…", secret = "env:HOOK_SECRET" }.',
            )
