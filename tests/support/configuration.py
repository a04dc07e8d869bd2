"""A configuration that passes every check, for tests that change one thing in it."""

from __future__ import annotations

COMPLETE = """\
# the mailbox of the shop
[accounts.alerts]
provider = "smtp"
servers = ["mail.example.org:587"]
address = "alerts@example.org"
grant = "client-credentials"
token-url = "https://login.example.org/token"
client-id = "shop"                       # as registered
client-secret = "env:ALERTS_SECRET"
"""
