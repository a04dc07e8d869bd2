"""With POSTBEARER_QUEUE Django hands its mail to the relay of this machine, which keeps and delivers it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.test import override_settings

import support.djangosite  # noqa: F401 - settings
from postbearer.errors import RelayNotRunning, SubmissionRefused
from postbearer.integrations.django import EmailBackend, NotSent
from postbearer.outcome import Status
from relay.running import SENDER, Relay, plain_account, relay_table
from servers.sink import Sink
from support.local import short_folder

BACKEND = "postbearer.integrations.django.EmailBackend"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as folder:
        monkeypatch.setenv("POSTBEARER_STATE", str(folder / "state"))
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        yield folder


@pytest.fixture
def site() -> Iterator[None]:
    """Of a site that knows no account, and may read no configuration."""
    chosen: dict[str, Any] = (
        {"MAILERS": {"default": {"BACKEND": BACKEND}}}
        if django.VERSION >= (6, 1)
        else {"EMAIL_BACKEND": BACKEND}
    )
    with override_settings(
        POSTBEARER_QUEUE=True, DEFAULT_FROM_EMAIL=f"Shop <{SENDER}>", POSTBEARER_TIMEOUT=5, **chosen
    ):
        yield


@pytest.mark.usefixtures("site")
def test_what_send_mail_gave_away_is_delivered_by_the_relay(home: Path) -> None:
    sink = Sink()
    with Relay(home, plain_account(sink.port) + relay_table()) as relay:
        assert relay.start(), relay.log
        assert mail.send_mail("Hello", "It works.", None, ["you@example.org"]) == 1
        message = EmailMultiAlternatives("Grüße", "Größer.", None, ["a@example.org"], bcc=["b@example.org"])
        message.attach_alternative("<p>Größer.</p>", "text/html")
        message.attach("o.bin", bytes(range(256)), "application/octet-stream")
        assert message.send() == 1
        assert relay.wait_for("Accepted", text=message.queue_id)  # type: ignore[attr-defined]
        assert relay.drain()
    (first,) = sink.messages(b"Subject: Hello\r\n")
    assert first.addresses == ("you@example.org",)
    (second,) = sink.messages(b"o.bin")
    assert set(second.addresses) == {"a@example.org", "b@example.org"}
    assert b"b@example.org" not in second.content
    sink.close()


def test_a_relay_that_refuses_is_told_as_django_documents(home: Path) -> None:
    with Relay(home, plain_account(9) + relay_table()) as relay:
        assert relay.start(), relay.log
        backend = EmailBackend(account="nobody", queue=True)
        message = EmailMultiAlternatives("Hello", "x", SENDER, ["a@example.org"])
        with pytest.raises(NotSent, match="There is no account nobody here") as caught:
            backend.send_messages([message])
        assert isinstance(caught.value.error, SubmissionRefused)
        assert EmailBackend(account="nobody", queue=True, fail_silently=True).send_messages([message]) == 0
        assert EmailBackend(account="out", queue=True).send_messages([message, message]) == 2


def test_a_message_says_when_it_is_to_leave_and_what_it_is_found_by(home: Path) -> None:
    with Relay(home, plain_account(9) + relay_table()) as relay:
        assert relay.start(), relay.log
        message = EmailMultiAlternatives("Later", "x", SENDER, ["a@example.org"])
        message.send_at = timedelta(days=1)  # type: ignore[attr-defined]
        message.tags = {"order": "17"}  # type: ignore[attr-defined]
        assert EmailBackend(queue=True).send_messages([message]) == 1
        message.send_at = "tomorrow"  # type: ignore[attr-defined]
        with pytest.raises(NotSent, match="send_at"):
            EmailBackend(queue=True).send_messages([message])
        assert relay.stop() == 0
        (entry,) = asyncio.run(relay.entries())
    assert {row.status for row in entry.rows} == {Status.SCHEDULED}
    assert "17" in str(entry.message.tags)


def test_without_a_relay_nothing_was_sent(home: Path) -> None:
    message = EmailMultiAlternatives("Hello", "x", SENDER, ["a@example.org"])
    with pytest.raises(NotSent) as caught:
        EmailBackend(queue=True).send_messages([message])
    assert isinstance(caught.value.error, RelayNotRunning)
    assert EmailBackend(queue=True).send_messages([EmailMultiAlternatives("Hello", "x", SENDER, [])]) == 0


def test_a_setting_that_is_neither_true_nor_false_is_told() -> None:
    with (
        override_settings(POSTBEARER_QUEUE="yes"),
        pytest.raises(ImproperlyConfigured, match="POSTBEARER_QUEUE is True or False"),
    ):
        EmailBackend(account="a")
