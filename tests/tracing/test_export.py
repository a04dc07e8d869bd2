"""A relay whose environment names a collector sends it spans, from every way in, over restarts."""

from __future__ import annotations

import json
import os
import smtplib
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from relay.running import SENDER, Relay, eventually, plain_account, relay_table
from servers.sink import Sink
from support.collector import Collector
from support.ports import free_ports

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def otel(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """The environment of who has a collector."""
    for name in [each for each in os.environ if each.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    return collector


def configuration(target: int) -> tuple[str, int]:
    [port] = free_ports(1)
    return plain_account(target) + relay_table() + f'[http]\nlisten = ["127.0.0.1:{port}"]\n', port


def post(home: Path, port: int, **fields: str) -> str:
    token = (home / "state" / "api-token").read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/messages",
        json.dumps({"to": "you@example.org", "subject": "x"}).encode(),
        {"authorization": f"Bearer {token}", "content-type": "application/json", **fields},
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["id"])


def test_what_came_by_http_is_in_its_clients_trace_and_its_attempts_are_linked(
    otel: Collector, home: Path
) -> None:
    [dead] = free_ports(1)
    text, port = configuration(dead)
    with Relay(home, text) as relay:
        assert relay.start(), relay.log
        identifier = post(home, port, traceparent=PARENT, tracestate="congo=t61rcWkgMzE")
        (accepted,) = otel.named("accept message")
        assert (accepted.trace_id.hex(), accepted.parent_span_id.hex()) == (TRACE, SPAN)
        assert accepted.trace_state == "congo=t61rcWkgMzE"
        assert otel.resource["service.name"] == "postbearer"
        assert otel.headers[0]["x-key"] == "canary"
        otel.named("deliver message")
        assert relay.stop() == 0
        otel.spans.clear()
        assert relay.start(), relay.log  # the trace was kept with the message
        later = otel.named("deliver message")[-1]
        (link,) = later.links
        assert (link.trace_id.hex(), link.span_id) == (TRACE, accepted.span_id)
        assert later.trace_id != accepted.trace_id
        attributes = {pair.key: pair.value for pair in later.attributes}
        assert attributes["messaging.message.id"].string_value == identifier
        assert attributes["error.type"].string_value
        assert "canary" not in relay.log


def test_a_field_of_the_header_says_it_too_and_leaves_with_the_message(otel: Collector, home: Path) -> None:
    sink = Sink()
    text, _ = configuration(sink.port)
    with Relay(home, text) as relay:
        assert relay.start(), relay.log
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            letter = f"Traceparent: {PARENT}\r\nTracestate: a=1\r\nSubject: traced\r\n\r\nx\r\n"
            client.sendmail(SENDER, ["you@example.org"], letter)
            client.sendmail(SENDER, ["you@example.org"], "Traceparent: 00-1-2\r\nSubject: none\r\n\r\nx\r\n")
        first, second = otel.named("accept message", 2)
        assert (first.trace_id.hex(), first.parent_span_id.hex(), first.trace_state) == (TRACE, SPAN, "a=1")
        assert second.trace_id.hex() != TRACE
        assert second.parent_span_id == b""
        assert relay.drain()
    (arrived,) = sink.messages(b"Subject: traced\r\n")
    assert f"Traceparent: {PARENT}\r\n".encode() in arrived.content
    sink.close()


def test_a_program_that_submits_within_a_span_of_its_own_is_its_parent(otel: Collector, home: Path) -> None:
    text, _ = configuration(9)
    program = (
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from postbearer import submit\n"
        "with TracerProvider().get_tracer('app').start_as_current_span('order') as span:\n"
        "    submit(sender='a@example.org', to='you@example.org', subject='x')\n"
        "print(format(span.get_span_context().span_id, '016x'))\n"
    )
    with Relay(home, text) as relay:
        assert relay.start(), relay.log
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "POSTBEARER_STATE": relay.state.path},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        (accepted,) = otel.named("accept message")
        assert accepted.parent_span_id.hex() == done.stdout.strip()


def test_a_collector_that_is_away_is_told_of_and_keeps_no_mail(otel: Collector, home: Path) -> None:
    sink = Sink()
    otel.status = 400
    text, port = configuration(sink.port)
    with Relay(home, text) as relay:
        assert relay.start(), relay.log
        post(home, port)
        assert relay.drain()
        assert eventually(lambda: "opentelemetry" in relay.log)
        assert relay.stop() == 0
        assert "canary" not in relay.log
    assert sink.messages(b"Subject: x\r\n")
    sink.close()


def test_a_collector_that_hangs_does_not_keep_the_relay_from_ending(
    otel: Collector, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
        text, port = configuration(9)
        with Relay(home, text) as relay:
            assert relay.start(), relay.log
            post(home, port)
            assert relay.stop(25.0) == 0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "jaeger", "'jaeger'"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf only"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", ""),
    ],
)
def test_what_cannot_be_is_said_and_the_relay_runs(
    otel: Collector, home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    text, port = configuration(9)
    with Relay(home, text) as relay:
        assert relay.start(), relay.log
        post(home, port)
        if said:
            assert relay.wait_for("Warned", text="There are no traces")
            assert said in relay.log
            assert otel.spans == []
