# setup: sandbox
"""What cron runs: tell a person if a disk fills up, and never hang or send twice because of the mail."""

import os
import shutil
import sys
from email.message import EmailMessage

from postbearer.blocking import Mailer
from postbearer.errors import BudgetSpent, CredentialError, NetworkError, PostbearerError

FULL = 0.0  # of 1: so that there is something to tell

usage = shutil.disk_usage("/")
if usage.used / usage.total < FULL:
    sys.exit()

alert = EmailMessage()
alert["To"] = "ops@example.org"
alert["Subject"] = f"{usage.used / usage.total:.0%} of / are used"
alert.set_content(f"{usage.free // 2**20} MiB are free.\n")

try:
    with Mailer.from_config("sandbox", config=os.environ["SANDBOX_CONFIGURATION"]) as mailer:
        mailer.send(alert, timeout=30)
except (NetworkError, BudgetSpent) as error:
    print(f"Not now, the next run tries again: {error}", file=sys.stderr)
    sys.exit(75)
except CredentialError as error:  # its hint says who has to do what
    print(f"A person must look after the account: {error}", file=sys.stderr)
    sys.exit(77)
except PostbearerError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
