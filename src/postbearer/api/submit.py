"""``POST /v1/messages``: mail in by HTTP, by the rights, limits and queue of all other ways in."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import encode
from starlette.responses import Response

from postbearer.api import composing
from postbearer.api.asgi import media_type
from postbearer.api.composing import MOST_RECIPIENTS, PRIORITIES, NewMessage
from postbearer.api.endpoint import WHOLE_MESSAGE, Call, Endpoint
from postbearer.api.problems import Problem, at, of_reply, retry_after
from postbearer.api.tokens import Scope
from postbearer.control import Time, recipient_id
from postbearer.engine import MessageIntake, Submission
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.reply import Reply
from postbearer.store import IdempotencyKey
from postbearer.store import Priority as Lane
from postbearer.submission import take

RAW = "message/rfc822"
LARGE = 256 * 1024  # octets of JSON, above which the loop does not compose the message itself
LONGEST_KEY = 255


class Departure(Struct, frozen=True, kw_only=True):
    """When it can leave at the earliest, behind what waits already; null: not before a person has acted."""

    earliest: Time | None
    waits: Annotated[str, Meta(description="for what, if not for its turn")] = ""


class Addressee(Struct, frozen=True, kw_only=True):
    """One recipient, and the account by which the message leaves for it."""

    id: str | UnsetType = UNSET
    address: str
    account: str


class Accepted(Struct, frozen=True, kw_only=True):
    """A message that is on the disk, or, without an id, one that would be taken (`dry-run`).

    `account` is empty if it leaves by several.
    """

    id: str | UnsetType = UNSET
    account: str
    recipients: tuple[Addressee, ...]
    leaves: Departure


class RawEnvelope(Struct, rename="kebab", frozen=True, kw_only=True):
    """The envelope of a raw message, and what else a structured one says in its body."""

    from_: str | None = None
    to: tuple[str, ...] = ()
    priority: composing.Priority | UnsetType = UNSET
    dry_run: bool = False


async def submit(call: Call) -> Response:
    """Take one message, and answer once it is on the disk."""
    key = _key(call)
    if media_type(call.request) == RAW:
        return await _submit_raw(call, call.query or RawEnvelope(), key)
    if parameter := call.request.url.query.partition("=")[0]:
        raise at("The envelope of a structured message stands in its body.", parameter=parameter[:80])
    return await _submit_parts(call, call.body, key)


async def _submit_parts(call: Call, given: NewMessage, key: str) -> Response:
    _admit(call, dry_run=given.dry_run)
    composing.check_mailboxes(given)
    made = composing.draft(given, _usual_sender(call, given))
    if given.size > LARGE:
        envelope, content = await asyncio.to_thread(composing.octets, made, given)
    else:
        envelope, content = composing.octets(made, given)
    envelope = replace(envelope, priority=_mt_priority(given.priority))
    _check(call, envelope, "/from", composing.recipients(given))
    digest = hashlib.sha256(encode(given, order="sorted"))

    async def blocks() -> AsyncIterator[bytes]:
        yield content

    taking = await _take(call, envelope, len(content), blocks())
    return await _finish(call, taking, envelope, (key, digest.hexdigest()), dry_run=given.dry_run)


async def _submit_raw(call: Call, given: RawEnvelope, key: str) -> Response:
    """A message as it is, streamed into the queue."""
    _admit(call, dry_run=given.dry_run)
    envelope = _raw_envelope(call, given)
    declared = call.request.headers.get("content-length", "")
    digest = hashlib.sha256(encode([envelope.reverse_path, envelope.addresses, envelope.priority]))

    async def blocks() -> AsyncIterator[bytes]:
        async for block in call.request.stream():
            digest.update(block)
            yield block

    size = int(declared) if declared.isdecimal() else None
    taking = await _take(call, envelope, size, blocks())
    return await _finish(call, taking, envelope, (key, digest.hexdigest()), dry_run=given.dry_run)


async def _take(
    call: Call, envelope: Envelope, size: int | None, blocks: AsyncIterator[bytes]
) -> MessageIntake:
    submission = Submission(
        client=call.by.client,
        envelope=envelope,
        peer=call.peer,
        protocol=call.request.url.scheme.upper(),
        size=size,
        checked=True,
    )
    taking = await take(call.services.intake, submission, blocks)
    if isinstance(taking, Reply):
        raise of_reply(taking)
    return taking


async def _finish(
    call: Call, taking: MessageIntake, envelope: Envelope, key: tuple[str, str], *, dry_run: bool
) -> Response:
    """Make it durable, or only say whether it would be. `key`: the client's, and a digest of what it sent."""
    if dry_run:
        if refusal := await taking.examine():
            raise of_reply(refusal)
        return _response(200, _accepted(call, None, envelope.addresses, taking.lanes))
    known = IdempotencyKey(client=call.by.client.name, key=key[0], digest=key[1]) if key[0] else None
    done = await taking.finish(known)
    if isinstance(done, Reply):
        raise of_reply(done)
    headers = {"location": f"{call.request.scope.get('root_path', '')}/v1/messages/{done}"}
    addresses: Sequence[str] = envelope.addresses
    lanes: Mapping[str, tuple[str, Lane]] = taking.lanes
    if taking.repeated:
        headers["idempotent-replayed"] = "true"
        addresses, lanes = await _first(call, done, addresses, lanes)
    return _response(202, _accepted(call, done, addresses, lanes), headers)


async def _first(
    call: Call, identifier: str, addresses: Sequence[str], lanes: Mapping[str, tuple[str, Lane]]
) -> tuple[Sequence[str], Mapping[str, tuple[str, Lane]]]:
    """Where the recipients of a message went that is known already; it may have left the queue for good."""
    entry = await call.services.intake.spool.show(identifier)
    if entry is None:
        return addresses, lanes
    return entry.message.envelope.addresses, {row.address: (row.account, row.priority) for row in entry.rows}


def _response(status: int, body: Accepted, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode(body), status, headers, "application/json")


def _accepted(
    call: Call, identifier: str | None, addresses: Sequence[str], lanes: Mapping[str, tuple[str, Lane]]
) -> Accepted:
    accounts = {account for account, _ in lanes.values()}
    return Accepted(
        id=UNSET if identifier is None else identifier,
        account=accounts.pop() if len(accounts) == 1 else "",
        recipients=tuple(
            Addressee(
                id=UNSET if identifier is None else recipient_id(identifier, number),
                address=address,
                account=lanes[address][0],
            )
            for number, address in enumerate(addresses, 1)
        ),
        leaves=_departure(call, set(lanes.values())),
    )


def _departure(call: Call, lanes: Iterable[tuple[str, Lane]]) -> Departure:
    """When the first of the lanes may go."""
    clock, states = call.services.intake.clock, call.services.dispatcher.account_states
    now, first, waits = clock.now(), math.inf, ""
    for account, priority in sorted(lanes):
        state = states.get(account)
        if state is None:  # it is not configured any more
            waits = f"The account {account} is not configured any more."
        elif state.pause is not None and state.pause.probe is None:
            waits = f"The account {account} is paused: {state.pause.reason}"
        else:
            at_ = state.free_at(priority, now)
            first = min(first, now if at_ == math.inf else at_)  # as soon as a connection is free
    return Departure(earliest=None if first == math.inf else first, waits=waits if first == math.inf else "")


def _usual_sender(call: Call, given: NewMessage) -> str:
    """The address of the account by which a message leaves that does not say who it is from."""
    if given.from_ is not None:
        return ""
    intake, client = call.services.intake, call.by.client
    if client.default_sender:
        return client.default_sender
    first = next((address for address, _ in composing.recipients(given)), "")
    account = intake.accounts.get(intake.router.choose(client, "", first).account)
    if account is None:
        raise Problem("forbidden", "No account is set up that this could leave from.")
    return account.address


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
    _check(call, envelope, "", [(address, "") for address in envelope.addresses])
    return replace(envelope, priority=_mt_priority(given.priority))


def _check(call: Call, envelope: Envelope, sender: str, recipients: Iterable[tuple[str, str]]) -> None:
    """Raise `Problem` for what the client may not; `sender`, and the second halves, say where it stands."""
    intake, client = call.services.intake, call.by.client
    if refusal := intake.refuse_sender(client, envelope.reverse_path):
        raise _at_reply(refusal, sender)
    for address, pointer in recipients:
        if refusal := intake.refuse_recipient(client, envelope.reverse_path, address):
            raise _at_reply(refusal, pointer)


def _at_reply(refusal: Reply, pointer: str) -> Problem:
    problem = of_reply(refusal)
    return at(problem.detail, pointer=pointer, kind=problem.kind) if pointer else problem


def _admit(call: Call, *, dry_run: bool) -> None:
    if call.services.stopping.is_set():
        raise Problem("unavailable", "The relay is about to end.", headers=retry_after("unavailable"))
    if not dry_run and not call.services.rate_limit.admit(call.by.client):
        raise Problem(
            "rate-limited",
            f"{call.by.client.name} has had its messages of this minute.",
            headers=retry_after("rate-limited"),
        )


def _mt_priority(given: composing.Priority | UnsetType) -> int | None:
    return None if given is UNSET else PRIORITIES[given]


def _key(call: Call) -> str:
    """The idempotency key, if there is one."""
    fields = call.request.headers.getlist("idempotency-key")
    if not fields:
        return ""
    text: str = fields[0]
    if len(fields) > 1 or not 1 <= len(text) <= LONGEST_KEY or not text.isascii() or not text.isprintable():
        raise at(
            f"A key has 1 to {LONGEST_KEY} visible ASCII characters, and stands there once.",
            header="Idempotency-Key",
            kind="malformed",
        )
    return text


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "description": "what is sent again under it is the same message: known for a day at least, and as long "
    "as the message is",
}

ENDPOINTS = (
    Endpoint(
        name="submit",
        method="POST",
        path="/v1/messages",
        needs=Scope.SUBMIT,
        summary="Hand in a message. 202: it is on the disk (queued), not sent yet. 200: with dry-run.",
        do=submit,
        takes=NewMessage,
        also_takes=(RAW,),
        asks=RawEnvelope,
        answers=Accepted,
        status=202,
        most=WHOLE_MESSAGE,
        parameters=(_IDEMPOTENCY_KEY,),
        problems=("rate-limited", "no-room", "idempotency-key-reused"),
    ),
)
