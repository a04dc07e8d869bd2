# setup: sandbox
"""Send bytes exactly as they are, such as a message that is signed, to several recipients."""

import os

from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.outcome import State

SIGNED = b"""\
From: alerts@example.org
To: everybody@example.org
Subject: Not one octet of this may change
Date: Thu, 01 Jan 2026 00:00:00 +0000
Message-ID: <1@example.org>

The  blanks  stay.
""".replace(b"\n", b"\r\n")

envelope = Envelope.of("alerts@example.org", ["ada@example.org", "bob@example.org"])

with Mailer.from_config("sandbox", config=os.environ["SANDBOX_CONFIGURATION"]) as mailer:
    receipt = mailer.send(SIGNED, envelope)

for outcome in receipt.outcomes:
    if outcome.state is State.DELIVERED:
        print(f"{outcome.recipient}: accepted as {outcome.queue_id}")
    else:
        print(f"{outcome.recipient}: {outcome.cause} {outcome.remedy}")
receipt.raise_for_refused()
