"""Sends by the SDK of Resend; prints what it answered."""

import json
import os

import resend

resend.api_key = os.environ["API_TOKEN"]
resend.api_url = os.environ["BASE_URL"]  # as the SDK reads it from RESEND_API_URL

full: resend.Emails.SendParams = {
    "from": "Shop <alerts@example.org>",
    "to": ["You <you@example.org>", "other@example.org"],
    "cc": "copy@example.org",
    "bcc": ["hidden@example.org"],
    "reply_to": "help@example.org",
    "subject": "1 Grüße",
    "text": "Hallo",
    "html": '<p>Hallo <img src="cid:logo"></p>',
    "headers": {"X-Order": "17"},
    "attachments": [
        {"filename": "r.csv", "content": list(b"a;b\n")},
        {"filename": "report", "content": "JVBERg==", "content_type": "application/pdf"},
        {"filename": "logo.png", "content": "iVBORw==", "content_id": "logo"},
    ],
}
first = resend.Emails.send(full, {"idempotency_key": "order-17"})
again = resend.Emails.send(full, {"idempotency_key": "order-17"})
small = {"from": "alerts@example.org", "to": "you@example.org", "text": "x"}
batch = resend.Batch.send([{**small, "subject": "2"}, {**small, "subject": "3"}])
some = resend.Batch.send(
    [{**small, "subject": "4"}, {**small, "subject": "5", "to": "you"}], {"batch_validation": "permissive"}
)
seen = resend.Emails.get(first["id"])


def refused(**change):
    try:
        resend.Emails.send({**small, "subject": "0", **change}, change.pop("options", None))
    except resend.exceptions.ResendError as error:
        return [type(error).__name__, error.code, error.error_type, str(error)]
    return None


told = {
    "ids": [first["id"], again["id"]],
    "batch": [each["id"] for each in batch["data"]],
    "some": [len(some["data"]), some["errors"]],
    "seen": {**seen, "http_headers": None},
    "template": refused(template={"id": "welcome"}),
    "to": refused(to=["you"]),
}
resend.api_key = "re_123"
told["key"] = refused()
print(json.dumps(told))
