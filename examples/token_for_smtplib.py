# setup: sandbox
"""Keep the mail code you have, and take only the token: here for smtplib of the standard library."""

import os
import smtplib
import ssl

from postbearer.assembly import Assembly

ADDRESS = "alerts@example.org"

tokens = Assembly.load(os.environ["SANDBOX_CONFIGURATION"]).token_source("sandbox")
token = tokens.token_blocking()  # from the cache all programs of this user share, or a new one


def xoauth2(challenge: bytes | None = None) -> str:
    if challenge:
        return ""  # the server explains why it refuses, and wants an empty answer
    return f"user={ADDRESS}\x01auth=Bearer {token.access.reveal()}\x01\x01"


port = int(os.environ["SANDBOX_SMTP_STARTTLS_PORT"])
with smtplib.SMTP("localhost", port) as smtp:
    smtp.starttls(context=ssl.create_default_context(cafile=os.environ["SANDBOX_CA_FILE"]))
    smtp.ehlo()
    smtp.auth("XOAUTH2", xoauth2, initial_response_ok=False)
    smtp.sendmail(ADDRESS, ["ada@example.org"], f"From: {ADDRESS}\r\nSubject: hello\r\n\r\nIt works.\r\n")

print("sent")
