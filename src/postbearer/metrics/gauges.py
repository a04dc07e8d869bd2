"""Readings as gauges. What they are called is a promise: docs/reference/metrics.md."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from postbearer._version import __version__
from postbearer.clock import Clock
from postbearer.metrics.readings import SHOWN, AccountReading, Readings, WebhookReading


class Gauges(Collector):
    """What was read last, with what is counted from now on as of now."""

    def __init__(self, clock: Clock) -> None:
        self.readings = Readings()
        self._clock = clock

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing that could be told before anything was read."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now, readings = self._clock.now(), self.readings
        yield from _of_relay(readings, now)
        yield from _of_accounts(readings.accounts, now)
        yield from _of_ends(readings, now)
        yield from _of_webhooks(readings.webhooks, now)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"postbearer_{name}", text, labels=labels)


def _of_relay(readings: Readings, now: float) -> Iterator[GaugeMetricFamily]:
    build = _gauge("build_info", "Always 1; the labels tell what runs.", "version", "python")
    build.add_metric([__version__, platform.python_version()], 1)
    yield build
    for name, text, value in (
        ("under_way", "Attempts that are under way.", readings.under_way),
        (
            "oldest_seconds",
            "For how long the oldest message that is not done might have left.",
            _since(readings.oldest, now),
        ),
        ("disk_free_bytes", "Room for the queue on its file system.", readings.disk_free),
        ("disk_size_bytes", "Size of the file system that the queue is on.", readings.disk_size),
        ("disk_free_inodes", "Files that may still be made there.", readings.inodes_free),
    ):
        if value is not None:
            family = _gauge(name, text)
            family.add_metric([], value)
            yield family


def _of_accounts(accounts: Iterable[AccountReading], now: float) -> Iterator[GaugeMetricFamily]:
    recipients = _gauge("queue_recipients", "Recipients that are not done, by state.", "account", "state")
    paused = _gauge("account_paused", "1: it sends nothing; `by` tells who stopped it.", "account", "by")
    token = _gauge("token_expires_seconds", "Until the access token in use ends.", "account")
    for each in accounts:
        for state in SHOWN:
            recipients.add_metric([each.name, state], each.recipients.get(state, 0))
        paused.add_metric([each.name, each.paused_by], each.paused_by != "nobody")
        if each.token_expires is not None:
            token.add_metric([each.name], each.token_expires - now)
    yield from (recipients, paused, token)
    for name, text, value in _SINGLE:
        family = _gauge(name, text, "account")
        for each in accounts:
            family.add_metric([each.name], value(each, now))
        yield family


def _of_ends(readings: Readings, now: float) -> Iterator[GaugeMetricFamily]:
    secrets = _gauge(
        "secret_expires_seconds",
        "Until a secret, certificate, consent or sign-in of the account ends.",
        *("account", "what"),
    )
    for each in readings.accounts:
        for ending in each.endings:
            secrets.add_metric([each.name, ending.what], ending.at - now)
    certificates = _gauge(
        "listener_certificate_expires_seconds", "Until the certificate of a listener ends.", "listener"
    )
    for listener, at in readings.certificates.items():
        certificates.add_metric([listener], at - now)
    yield from (secrets, certificates)


def _of_webhooks(webhooks: Iterable[WebhookReading], now: float) -> Iterator[GaugeMetricFamily]:
    for name, text, value in _OF_WEBHOOK:
        family = _gauge(f"webhook_{name}", text, "webhook")
        for each in webhooks:
            family.add_metric([each.name], value(each, now))
        yield family


def _since(at: float | None, now: float) -> float:
    return 0.0 if at is None else max(0.0, now - at)


_SINGLE: tuple[tuple[str, str, Callable[[AccountReading, float], float]], ...] = (
    (
        "queue_messages",
        "Messages that wait for the account or are under way; none that is held or scheduled.",
        lambda each, now: each.messages,
    ),
    (
        "queue_oldest_seconds",
        "For how long the oldest of them might have left.",
        lambda each, now: _since(each.oldest, now),
    ),
    (
        "ready_lag_seconds",
        "For how long a message might have been sent that was not begun.",
        lambda each, now: _since(each.due, now),
    ),
    (
        "budget_wait_seconds",
        "Until the limits of the account let its next ordinary message go.",
        lambda each, now: max(0.0, each.budget_opens - now),
    ),
    (
        "provider_wait_seconds",
        "Until the account goes on after a provider that wants, or needs, to be left alone.",
        lambda each, now: max(0.0, each.provider_opens - now),
    ),
)
_OF_WEBHOOK: tuple[tuple[str, str, Callable[[WebhookReading, float], float]], ...] = (
    ("waiting_events", "Events that are not sent yet.", lambda each, now: each.waiting),
    ("oldest_seconds", "Age of the oldest of them.", lambda each, now: _since(each.oldest, now)),
    ("failing_seconds", "For how long nothing has arrived.", lambda each, now: _since(each.failing, now)),
    ("disabled", "1: it is not called any more, until somebody enables it.", lambda each, now: each.disabled),
    ("dropped_events", "Events that will not be sent.", lambda each, now: each.dropped),
)
