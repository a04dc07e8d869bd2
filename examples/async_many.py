# setup: sandbox
"""Send many messages at once: they share two connections, one token and the account's budget."""

import asyncio
import os
from email.message import EmailMessage

from postbearer.errors import PostbearerError, Rejected
from postbearer.mailer import AsyncMailer


def invoice(number: int) -> EmailMessage:
    message = EmailMessage()
    message["To"] = f"customer{number}@example.org"
    message["Subject"] = f"Invoice {number}"
    message.set_content("It is attached.")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename=f"{number}.pdf")
    return message


async def send(mailer: AsyncMailer, number: int) -> str:
    try:
        receipt = await mailer.send(invoice(number))
    except Rejected as error:  # the provider said no: each recipient has an outcome with its reply
        return f"{number}: {error.receipt.refused[0]}"
    except PostbearerError as error:  # nothing was sent: no token, no connection, no budget
        return f"{number}: {error}"
    return f"{number}: {receipt.queue_id}"


async def main() -> None:
    async with AsyncMailer.from_config("sandbox", config=os.environ["SANDBOX_CONFIGURATION"]) as mailer:
        for line in await asyncio.gather(*(send(mailer, number) for number in range(10))):
            print(line)


asyncio.run(main())
