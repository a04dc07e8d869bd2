"""Which scopes a person granted, out of those that were asked for."""

from __future__ import annotations

import pytest

from postbearer.oauth import missing_scopes

SEND = "https://outlook.office.com/SMTP.Send"
GMAIL = "https://mail.google.com/"


@pytest.mark.parametrize(
    ("asked", "given", "missing"),
    [
        ([SEND, "offline_access"], "https://outlook.office.com/SMTP.Send", []),
        ([SEND, "offline_access"], "SMTP.Send", []),
        ([SEND], "https://outlook.office.com/smtp.send openid", []),
        ([SEND], "https://outlook.office.com/IMAP.AccessAsUser.All", [SEND]),
        ([GMAIL, "openid", "email"], "https://mail.google.com/ openid", []),
        ([GMAIL, "openid", "email"], "openid https://www.googleapis.com/auth/userinfo.email", [GMAIL]),
        (["mail-w"], "mail-r mail-w", []),
        (["https://outlook.office365.com/.default"], "anything", []),
        (["a", "b"], "c", ["a", "b"]),
        (["a"], "", []),  # RFC 6749 5.1: nothing named means as asked
        ([], "a", []),
    ],
)
def test_what_was_left_out(asked: list[str], given: str, missing: list[str]) -> None:
    assert missing_scopes(asked, given.split()) == missing
