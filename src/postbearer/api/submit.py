"""``POST /v1/messages``: mail in by HTTP, by the rights, limits and queue of all other ways in."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import encode
from starlette.responses import Response

from postbearer.api.asgi import media_type
from postbearer.api.composing import MOST_RECIPIENTS, NewMessage, SendAt
from postbearer.api.endpoint import WHOLE_MESSAGE, ApiEndpoint, Call
from postbearer.api.handing_in import (
    IDEMPOTENCY_KEY,
    AcceptedMessage,
    accepted,
    admit,
    alone,
    check,
    digest_of,
    keep,
    key_of,
    mt_priority,
    tags_of,
    take_content,
    take_parts,
    time_of,
)
from postbearer.api.problems import at, of_reply
from postbearer.api.tokens import TokenScope
from postbearer.engine import MessageIntake
from postbearer.envelope import Envelope, PriorityName, Recipient
from postbearer.errors import UsageError
from postbearer.store import Priority as Lane

RAW = "message/rfc822"


class RawEnvelope(Struct, rename="kebab", frozen=True, kw_only=True):
    """The envelope of a raw message, and what else a structured one says in its body."""

    from_: str | None = None
    to: tuple[str, ...] = ()
    priority: PriorityName | UnsetType = UNSET
    send_at: SendAt | UnsetType = UNSET
    tag: Annotated[
        tuple[str, ...],
        Meta(description="NAME:VALUE to find it by; may be repeated"),
    ] = ()
    dry_run: bool = False


async def submit(call: Call) -> Response:
    """Take one message, and answer once it is on the disk."""
    key = key_of(call)
    with alone(call, key):
        return await _submit(call, key)


async def _submit(call: Call, key: str) -> Response:
    if media_type(call.request) == RAW:
        return await _submit_raw(call, call.query or RawEnvelope(), key)
    if parameter := call.request.scope["query_string"].decode("latin-1").partition("=")[0]:
        raise at("The envelope of a structured message stands in its body.", parameter=parameter[:80])
    return await _submit_parts(call, call.body, key)


async def _submit_parts(call: Call, given: NewMessage, key: str) -> Response:
    admit(call, dry_run=given.dry_run)
    _, taking = await take_parts(call, given)
    return await _finish(call, taking, (key, digest_of(given) if key else ""), dry_run=given.dry_run)


async def _submit_raw(call: Call, given: RawEnvelope, key: str) -> Response:
    """A message as it is, streamed into the queue."""
    admit(call, dry_run=given.dry_run)
    envelope = _raw_envelope(call, given)
    send_at, tags = time_of(call, given.send_at, parameter="send-at"), tags_of(given.tag, parameter="tag")
    declared = call.request.headers.get("content-length", "")
    said = [envelope.reverse_path, envelope.addresses, envelope.priority, given.send_at or None, tags]
    digest = hashlib.sha256(encode(said))

    async def blocks() -> AsyncIterator[bytes]:
        async for block in call.request.stream():
            digest.update(block)
            yield block

    size = int(declared) if declared.isdecimal() else None
    taking = await take_content(call, envelope, size, blocks(), send_at=send_at, tags=tags)
    return await _finish(call, taking, (key, digest.hexdigest()), dry_run=given.dry_run)


async def _finish(call: Call, taking: MessageIntake, key: tuple[str, str], *, dry_run: bool) -> Response:
    """Make it durable, or only say whether it would be. `key`: the client's, and a digest of what it sent."""
    if dry_run:
        if refusal := await taking.examine():
            raise of_reply(refusal)
        return _response(200, accepted(call, None, taking.addresses, taking.lanes, taking.send_at))
    done = await keep(call, taking, *key)
    headers = {"location": f"{call.request.scope.get('root_path', '')}/v1/messages/{done}"}
    addresses: Sequence[str] = taking.addresses
    lanes: Mapping[str, tuple[str, Lane]] = taking.lanes
    send_at = taking.send_at
    if taking.repeated:
        headers["idempotent-replayed"] = "true"
        entry = await call.services.intake.spool.show(done)
        if entry is not None:  # else it left the queue for good, and this is what is still known
            addresses, send_at = entry.message.envelope.addresses, entry.message.send_at
            lanes = {row.address: (row.account, row.priority) for row in entry.rows}
    return _response(202, accepted(call, done, addresses, lanes, send_at), headers)


def _response(status: int, body: AcceptedMessage, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode(body), status, headers, "application/json")


def _raw_envelope(call: Call, given: RawEnvelope) -> Envelope:
    """By the query, or by the header fields Postbearer-From and Postbearer-To."""
    fields = call.request.headers
    senders = fields.getlist("postbearer-from")
    if (given.from_ is not None and senders) or len(senders) > 1:
        raise at("The sender is given twice.", header="Postbearer-From")
    if given.from_ is None and not senders:
        raise at(
            "The sender of the envelope is missing.",
            parameter="from",
            hint="Give it in the query, or as Postbearer-From; empty for none.",
        )
    reverse_path = given.from_ if given.from_ is not None else senders[0]
    places = [(address, {"parameter": "to"}) for address in given.to]
    places += [(each, {"header": "Postbearer-To"}) for each in fields.getlist("postbearer-to")]
    if not places:
        raise at("A message needs at least one recipient.", parameter="to", hint="Or give Postbearer-To.")
    if len(places) > MOST_RECIPIENTS:
        raise at(f"There are {len(places)} recipients; {MOST_RECIPIENTS} are the most.", parameter="to")
    for address, place in places:
        try:
            Recipient(address)
        except UsageError as error:
            raise at(error.message, hint=error.hint, **place) from None
    try:
        envelope = Envelope.of(reverse_path, [address for address, _ in places])
    except UsageError as error:
        raise at(error.message, parameter="from", hint=error.hint) from None
    check(call, envelope, "", [(address, "") for address in envelope.addresses])
    return replace(envelope, priority=mt_priority(given.priority))


ENDPOINTS = (
    ApiEndpoint(
        name="submit",
        method="POST",
        path="/v1/messages",
        needs=TokenScope.SUBMIT,
        summary="Hand in a message. 202: it is on the disk (queued), not sent yet. 200: with dry-run.",
        do=submit,
        takes=NewMessage,
        also_takes=(RAW,),
        asks=RawEnvelope,
        answers=AcceptedMessage,
        status=202,
        dry_run=True,
        most=WHOLE_MESSAGE,
        parameters=(IDEMPOTENCY_KEY,),
        problems=("rate-limited", "no-room", "idempotency-key-reused", "in-progress"),
    ),
)
