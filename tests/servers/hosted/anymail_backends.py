"""Sends by the backend of django-anymail that BACKEND names; prints what it says of the recipients."""

import json
import os

import django
from anymail.exceptions import AnymailAPIError
from anymail.message import attach_inline_image
from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives

backend, base, token = os.environ["BACKEND"], os.environ["BASE_URL"], os.environ["API_TOKEN"]
places = {
    "resend": {"RESEND_API_KEY": token, "RESEND_API_URL": base},
    "postmark": {"POSTMARK_SERVER_TOKEN": token, "POSTMARK_API_URL": base},
    "sendgrid": {"SENDGRID_API_KEY": token, "SENDGRID_API_URL": f"{base}/v3/"},
}
settings.configure(
    EMAIL_BACKEND=f"anymail.backends.{backend}.EmailBackend", ANYMAIL=places[backend], SECRET_KEY="for tests"
)
django.setup()

full = EmailMultiAlternatives(
    "1 Grüße",
    "Hallo",
    "Shop <alerts@example.org>",
    ["You <you@example.org>", "other@example.org"],
    cc=["copy@example.org"],
    bcc=["hidden@example.org"],
    reply_to=["help@example.org"],
    headers={"X-Order": "17"},
)
cid = attach_inline_image(full, b"\x89PNG", "logo.png", subtype="png", domain="example.org")
full.attach_alternative(f'<p>Hallo <img src="cid:{cid}"></p>', "text/html")
full.attach("r.csv", b"a;b\n", "text/csv")
full.attach("report", b"%PDF", "application/pdf")
full.tags = ["welcome"]
full.metadata = {"order": "17"}
full.send()

each = EmailMessage("2", "x", "alerts@example.org", ["a@example.org", "b@example.org"])
each.merge_data = {}  # one message for each recipient
if backend == "sendgrid":
    each.merge_metadata = {"a@example.org": {"order": "1"}}
else:
    each.merge_headers = {"a@example.org": {"X-For": "a"}}
each.send()

try:
    EmailMessage("0", "x", "alerts@example.org", ["you@example.org", "you@[1"]).send()
    refused = ""
except AnymailAPIError as error:
    refused = f"{error.status_code} {error}"
told = {
    "cid": cid,
    "first": {to: status.status for to, status in full.anymail_status.recipients.items()},
    "ids": [status.message_id for status in each.anymail_status.recipients.values()],
    "refused": refused,
}
print(json.dumps(told))
