"""The id under which a server filed a message, as its 250 tells."""

from __future__ import annotations

import re

from postbearer.reply import Reply
from postbearer.verdict.reply_text import plain_text

LONGEST = 200
_ID = r"(<?[A-Za-z0-9][A-Za-z0-9._@+=/-]*>?)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(<[^<>\s]+>) \[(?:InternalId|Hostname)=",  # Exchange: its own name for it is the Message-ID
        rf"\bqueued (?:as|under|with id) {_ID}",  # Postfix and most others
        rf"\bqueued on \S+ (?:as )?{_ID}",  # Yandex
        rf"^(?:OK )?\d+ {_ID} - gsmtp",  # Gmail: time, session, host
        rf"\bid[=:] ?{_ID}",  # Exim, Dovecot
        rf"^{_ID} Message accepted for delivery",  # Sendmail, OpenSMTPD
        rf"^ok \d+ qp {_ID}",  # qmail
        r"\b(?:message|accepted|received)\b.*?(<[^<>\s]+@[^<>\s]+>)",  # Apache James
        rf"^ok:? (?=\S*\d){_ID}$",  # Amazon SES; a word alone is no id
    )
)


def provider_queue_id(reply: Reply) -> str:
    """The id in `reply`, at most 200 characters; empty if it is not positive or names none."""
    if not reply.positive:
        return ""
    text = plain_text(reply.lines)
    for form in _FORMS:
        if found := form.search(text):
            return found[1].rstrip(".,;")[:LONGEST]
    return ""
