"""A message that a program of this machine handed over in one piece, on its way into the spool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from postbearer.engine import Intake, MessageIntake, Submission, Submitter
from postbearer.errors import UsageError
from postbearer.reply import Reply
from postbearer.submission.submit_protocol import SubmitRequest
from postbearer.wire import LineCheck, compose

INCOMPLETE = compose(554, "The message is incomplete", enhanced="5.6.0")
BAD_LINES = compose(554, "The content holds a NUL, or a line that does not end with CRLF", enhanced="5.6.0")


async def enqueue(
    intake: Intake,
    client: Submitter,
    slip: SubmitRequest,
    size: int,
    blocks: AsyncIterator[bytes],
    *,
    id: str = "",
) -> str | Reply:
    """Take a message of `size` octets with the rights of `client`: its id once it is durable, or why not.

    The rules are those of SMTP; one recipient that is refused refuses the message, since one answer is
    all that a program waits for. `id` is what the program was told already, if it was.
    """
    if slip.account and slip.account not in intake.accounts:
        return compose(550, f"There is no account {plain(slip.account)} here", enhanced="5.7.1")
    if slip.account and not client.account:  # what is set for it here goes before what it asks for
        client = replace(client, account=slip.account)
    try:
        envelope = slip.envelope()
        refusal = intake.refuse_sender(client, envelope.reverse_path)
        for address in envelope.addresses:
            refusal = refusal or intake.refuse_recipient(client, envelope.reverse_path, address)
    except UsageError as error:
        return compose(553, plain(error.message), enhanced="5.1.3")
    if refusal is not None:
        return refusal
    submission = Submission(
        client=client,
        envelope=envelope,
        protocol="local",
        size=size,
        send_at=slip.send_at,
        tags=slip.tags,
        id=id,
    )
    taking = await take(intake, submission, blocks)
    if isinstance(taking, Reply):
        return taking
    return await taking.finish(slip.idempotency_key(client.name))


async def take(intake: Intake, submission: Submission, blocks: AsyncIterator[bytes]) -> MessageIntake | Reply:
    """Read a message, of the size that is declared if one is: what is to be finished, or why not."""
    taking = await intake.begin(submission)
    if isinstance(taking, Reply):
        return taking
    try:
        if refusal := await _fill(taking, submission.size, blocks):
            await taking.abort()
            return refusal
    except BaseException:  # the peer or we go away in the middle
        await taking.abort()
        raise
    return taking


async def _fill(taking: MessageIntake, size: int | None, blocks: AsyncIterator[bytes]) -> Reply | None:
    check, received, tail = LineCheck(), 0, b"\r\n"
    async for block in blocks:
        received += len(block)
        tail = (tail + block)[-2:]
        check.feed(block)
        await taking.write(block)
    if size is not None and received != size:
        return INCOMPLETE
    return BAD_LINES if check.defect or tail != b"\r\n" else None


def plain(text: str) -> str:
    """Fit for a reply."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)[:400]
