"""Sending a message once more: a new one of the same content, by the way that every message comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from msgspec.json import encode

from postbearer.address import canonical
from postbearer.control.acts import Act, AuditRecorder
from postbearer.control.answers import MessageResent
from postbearer.control.method import Method, Text
from postbearer.control.principal import Principal, Right
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import Conflict, NotPermitted, SubmissionRefused, UsageError
from postbearer.reply import Reply
from postbearer.store import IdempotencyKey, Message, Spool
from postbearer.wire import compose

if TYPE_CHECKING:
    from postbearer.engine import Intake, MessageIntake, Submitter

MOST_CHOSEN = 1000  # recipients, where not all get it


class Again(Struct, forbid_unknown_fields=True, frozen=True):
    """A message, and to whom it goes this time; to nobody named: to all that it was for.

    What is asked again under the same `key` makes no second copy.
    """

    message: Text
    to: Annotated[tuple[Text, ...], Meta(max_length=MOST_CHOSEN)] = ()
    key: Annotated[str, Meta(max_length=255)] = ""


@dataclass(frozen=True, slots=True)
class WayIn:
    """How mail comes into the relay that runs.

    `client` is who submits under a name, if anybody does any more; `admit` counts one message of it, and is
    false when it has had its share.
    """

    intake: Intake
    client: Callable[[str], Submitter | None]
    admit: Callable[[Submitter], bool]


class Resending:
    """Has the relay take messages of its queue once more. `way` is None where no relay runs."""

    def __init__(self, spool: Spool, recorder: AuditRecorder, way: WayIn | None) -> None:
        self._spool = spool
        self._recorder = recorder
        self._way = way

    async def resend(
        self, message: str, to: Sequence[str] = (), key: str = "", *, by: Principal
    ) -> MessageResent:
        """Make a new message of the content of one that is in the queue, or was until a while ago.

        It is taken as its client's, with the rights and limits that this has now. Others than those whom the
        message was for get it only by who may read messages. Raises `UsageError`, `NotPermitted`,
        `SubmissionRefused` for what may pass by itself, and `StoreError`.
        """
        if self._way is None:
            raise UsageError("No relay runs that could take it.", hint="Start one by: postbearer serve")
        entry = await self._spool.show(message)
        if entry is None:
            raise UsageError(
                f"There is no message {message!r:.80} in the queue.",
                hint="What is done with is forgotten after some days, content and all: send it anew where "
                "it came from.",
            )
        old = entry.message
        envelope = _envelope(old, to, by)
        taking = await self._take(self._way, old, envelope)
        done = await taking.finish(_key(old, envelope, key))
        if isinstance(done, Reply):
            raise _refusal(old, done)
        if not taking.repeated:
            act = Act(by=by, action="resend", message=old.id, detail=f"as {done}")
            await self._recorder.done(act, count=len(taking.addresses))
        return MessageResent(id=done, original=old.id, recipients=taking.addresses)

    async def _take(self, way: WayIn, old: Message, envelope: Envelope) -> MessageIntake:
        """The content, read and on its way in."""
        from postbearer.engine import Submission

        intake, client = way.intake, way.client(old.client)
        if client is None:
            raise UsageError(
                f"{old.id} was handed in by {old.client}, which is no client any more.",
                hint=f'Put [[relay.clients]] with name = "{old.client}" back, or send it anew as another.',
            )
        refusal = intake.refuse_sender(client, envelope.reverse_path)
        for address in envelope.addresses:
            refusal = refusal or intake.refuse_recipient(client, envelope.reverse_path, address)
        if refusal:
            raise _refusal(old, refusal)
        content = await self._spool.content(old)
        if not way.admit(client):
            spent = f"{client.name} has had its messages of this minute"
            raise _refusal(old, compose(450, spent, enhanced="4.7.1"))
        taking = await intake.begin(
            Submission(client=client, envelope=envelope, protocol="resend", size=content.size, tags=old.tags)
        )
        if isinstance(taking, Reply):
            raise _refusal(old, taking)
        try:
            for block in content.blocks():
                await taking.write(block)
        except BaseException:  # also when who asked goes away in the middle
            await taking.abort()
            raise
        return taking


def _envelope(old: Message, to: Sequence[str], by: Principal) -> Envelope:
    """That of the message, but for those whom it goes `to`, if they are named."""
    if old.report_of or not old.envelope.reverse_path:
        raise UsageError(
            f"{old.id} is a report about another message, which the relay makes itself.",
            hint="Resend the message that it is about." if old.report_of else "",
        )
    known = {_mailbox(each.address): each for each in old.envelope.recipients}
    wanted = {_mailbox(address): address for address in to}
    recipients = tuple(known.get(each) or Recipient(address) for each, address in wanted.items())
    if not by.may(Right.ADMIN) and (strangers := wanted.keys() - known.keys()):
        raise NotPermitted(
            f"{old.id} was not for {wanted[min(strangers)]}: to send it to others than its recipients needs "
            f'the right "{Right.ADMIN}", as reading it does.',
            hint="Resend it to those whom it was for.",
        )
    whom = recipients or old.envelope.recipients
    return replace(old.envelope, recipients=whom, traceparent="", tracestate="")


def _mailbox(address: str) -> str:
    """The same for all ways to write it; what is no address, as in a damaged row, stands for itself."""
    try:
        return canonical(address)
    except UsageError:
        return address


def _key(old: Message, envelope: Envelope, key: str) -> IdempotencyKey | None:
    if not key:
        return None
    digest = hashlib.sha256(encode(["resend", old.id, envelope.addresses])).hexdigest()
    return IdempotencyKey(client=old.client, key=key, digest=digest)


def _refusal(old: Message, reply: Reply) -> Exception:
    """What a refusal of the intake is to who resends."""
    status = str(reply.enhanced or "")
    text = reply.text.removeprefix(status).strip().rstrip(".")
    if not reply.permanent:
        return SubmissionRefused(f"{old.id} is not taken now: {text}.", reply=reply)
    if status == "5.5.0":
        return Conflict(f"{text}.", hint="Use a new key for each time that it is resent.")
    return UsageError(f"{old.id} may not come in again: {text}.")


METHODS: Mapping[str, Method] = {
    "queue.resend": Method(
        *(Again, MessageResent, Right.OPERATE),
        lambda on, given, by: on.resending.resend(given.message, given.to, given.key, by=by),
    ),
}
