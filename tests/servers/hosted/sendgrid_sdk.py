"""Sends by the SDK of SendGrid; prints what it answered."""

import json
import os

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import (
    Attachment,
    Bcc,
    Cc,
    ContentId,
    Disposition,
    FileContent,
    FileName,
    FileType,
    Header,
    Mail,
    ReplyTo,
    To,
)

client = SendGridAPIClient(os.environ["API_TOKEN"], host=os.environ["BASE_URL"])
full = Mail(("alerts@example.org", "Shop"), subject="1 Grüße", plain_text_content="Hallo")
full.to = [To("you@example.org", "You"), To("other@example.org")]
full.add_cc(Cc("copy@example.org"))
full.add_bcc(Bcc("hidden@example.org"))
full.reply_to = ReplyTo("help@example.org")
full.add_content('<p>Hallo <img src="cid:logo"></p>', "text/html")
full.add_header(Header("X-Order", "17"))
full.add_attachment(Attachment(FileContent("YTtiCg=="), FileName("r.csv"), FileType("text/csv")))
report = Attachment(FileContent("JVBERg=="), FileName("report"), FileType("application/pdf"))
full.add_attachment(report)
logo = Attachment(FileContent("iVBORw=="), FileName("logo.png"), FileType("image/png"))
logo.disposition, logo.content_id = Disposition("inline"), ContentId("logo")
full.add_attachment(logo)
first = client.send(full)
each = Mail("alerts@example.org", [To("a@example.org"), To("b@example.org")], "2", "x", is_multiple=True)
second = client.send(each)


def refused(who=client, **change):
    small = Mail("alerts@example.org", "you@example.org", "0", "x").get()
    try:
        who.client.mail.send.post(request_body={**small, **change})
    except HTTPError as error:
        return [error.status_code, error.to_dict]
    return None


told = {
    "first": [first.status_code, first.headers["X-Message-Id"]],
    "second": [second.status_code, second.headers["X-Message-Id"]],
    "template": refused(template_id="d-1"),
    "to": refused(personalizations=[{"to": [{"email": "you"}]}]),
    "key": refused(SendGridAPIClient("SG.no", host=os.environ["BASE_URL"])),
}
print(json.dumps(told))
