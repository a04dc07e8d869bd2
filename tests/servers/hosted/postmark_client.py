"""Sends by Postmarker, a client of Postmark for Python; prints what was answered."""

import json
import os

from postmarker.core import PostmarkClient
from postmarker.exceptions import ClientError

client = PostmarkClient(server_token=os.environ["API_TOKEN"], root_api_url=os.environ["BASE_URL"])
first = client.emails.send(
    From="Shop <alerts@example.org>",
    To=["You <you@example.org>", "other@example.org"],
    Cc="copy@example.org",
    Bcc="hidden@example.org",
    ReplyTo="help@example.org",
    Subject="1 Grüße",
    TextBody="Hallo",
    HtmlBody='<p>Hallo <img src="cid:logo"></p>',
    Headers={"X-Order": "17"},
    Attachments=[
        ("r.csv", "YTti\nCg==\n", "text/csv"),
        ("report", "JVBERg==", "application/pdf"),
        {"Name": "logo.png", "Content": "iVBORw==", "ContentType": "image/png", "ContentID": "cid:logo"},
    ],
)
small = {"From": "alerts@example.org", "To": "you@example.org", "TextBody": "x"}
batch = client.emails.send_batch(
    {**small, "Subject": "2"}, {**small, "Subject": "3"}, {**small, "Subject": "4", "To": "you"}
)


def refused(who=client, **change):
    try:
        who.emails.send(**{**small, "Subject": "0", **change})
    except ClientError as error:
        return [error.error_code, str(error)]
    return None


stranger = PostmarkClient(server_token="no", root_api_url=os.environ["BASE_URL"])
told = {
    "first": first,
    "batch": batch,
    "tracked": refused(TrackOpens=True),
    "links": refused(TrackLinks="HtmlOnly"),
    "token": refused(stranger),
}
print(json.dumps(told))
