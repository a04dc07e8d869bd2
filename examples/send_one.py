# setup: sandbox
"""Send one message, from a program that has no configuration file."""

import os
from email.message import EmailMessage

from postbearer import ClientCredentials
from postbearer.account import Account
from postbearer.blocking import Mailer

account = Account.smtp(
    "alerts@example.org",
    servers=[f"localhost:{os.environ['SANDBOX_SMTP_STARTTLS_PORT']}"],
    tls="starttls",
    ca_file=os.environ["SANDBOX_CA_FILE"],
    token_url=os.environ["SANDBOX_TOKEN_URL"],
    grant=ClientCredentials(
        os.environ["SANDBOX_CLIENT_ID"],
        client_secret="env:SANDBOX_CLIENT_SECRET",  # a reference: no secret stands in the program
        scopes=["smtp.send"],
    ),
)

message = EmailMessage()
message["To"] = "Ada <ada@example.org>"
message["Subject"] = "Disk full"
message.set_content("90 % of /var are used.")

with Mailer(account) as mailer:
    receipt = mailer.send(message)

print(f"accepted as {receipt.queue_id}")
