"""What the demo does by HTTP: one message posted, and its events followed, by the standard library alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from postbearer.errors import StoreError

MESSAGE = {
    "from": "Shop <shop@build.example.org>",
    "to": "ops@example.org",
    "subject": "Order 17",
    "text": "It is paid.",
}
LAST = "message.accepted"  # by the provider


def post_and_follow(
    url: str, token_file: Path, told: Callable[[str], object], patience: float
) -> dict[str, Any]:
    """Post a message to the relay at `url`; its id, and the events until the provider has it.

    `told` is called with each step. Raises `StoreError`, or `OSError` when nothing comes for `patience`
    seconds.
    """
    fields = {"Authorization": f"Bearer {token_file.read_text().strip()}", "Content-Type": "application/json"}
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=patience)) as relay:
        relay.request("POST", "/v1/messages", json.dumps(MESSAGE), fields)
        answer = relay.getresponse()
        said = json.loads(answer.read())
        if answer.status != 202:
            raise StoreError(f"POST /v1/messages was answered by {answer.status}: {said.get('detail')}")
        told(f"POST /v1/messages: 202, the message has the id {said['id']}")
        relay.request("GET", f"/v1/events?after=0&message={said['id']}", headers=fields)
        events: list[str] = []
        for line in relay.getresponse():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                events.append(value)
            elif name == "data":
                told(f"GET /v1/events: {_brief(json.loads(value))}")
            if LAST in events and not line.strip():
                break
        return {"id": said["id"], "events": events}


def _brief(event: dict[str, Any]) -> str:
    """An event on one line."""
    return " ".join(filter(None, (event["type"], event["recipient"], event["said"])))
