"""``POST /v1/messages/batch``: many messages in one commit, all or none of them, or those that can be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec import json as msgspec_json
from msgspec.structs import replace
from starlette.responses import Response

from postbearer.api.composing import NewMessage
from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.handing_in import IDEMPOTENCY_KEY, AcceptedMessage, accepted, admit, key_of, take_parts
from postbearer.api.problems import HttpProblem, ProblemDocument, at, of_reply
from postbearer.api.reading import parse_json
from postbearer.api.tokens import TokenScope
from postbearer.engine import MessageIntake
from postbearer.envelope import Envelope
from postbearer.errors import AlreadyAccepted
from postbearer.store import IdempotencyKey

MOST = 1000  # messages
LARGEST = 64 * 1024 * 1024  # octets of the request
TOLD = 100  # faults that are told at most
VALIDATION = "x-batch-validation"


class MessageBatch(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Messages by their parts."""

    messages: Annotated[list[NewMessage], Meta(min_length=1, max_length=MOST)]


class _Items(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The same, each message still as it came: what is wrong with one is told of that one."""

    messages: Annotated[list[Raw], Meta(min_length=1, max_length=MOST)]


class BatchItem(Struct, frozen=True, kw_only=True):
    """What became of the message at this place: it was accepted, or why not."""

    message: AcceptedMessage | UnsetType = UNSET
    problem: ProblemDocument | UnsetType = UNSET


class BatchResult(Struct, frozen=True, kw_only=True):
    """How many were accepted, and each at its place."""

    accepted: int
    messages: tuple[BatchItem, ...]


@dataclass(slots=True)
class _Item:
    """One message on its way."""

    problem: HttpProblem | None = None
    envelope: Envelope | None = None
    taking: MessageIntake | None = None


async def submit_batch(call: Call) -> Response:
    """Take all, or with ``x-batch-validation: permissive`` those that can be taken, in one commit."""
    key, permissive = key_of(call), _permissive(call)
    octets = await call.request.body()
    given = parse_json(octets, _Items).messages
    items: list[_Item] = []
    try:
        for each in given:
            item = await _item(call, bytes(each))
            items.append(item)  # so that it is forgotten if a later one fails
        wrong = [item for item in items if item.problem is not None]
        if wrong and (not permissive or len(wrong) == len(items)):
            raise _all(items)
        digest = hashlib.sha256(_meaning(octets)).hexdigest()
        return await _store(call, items, key, digest)
    except BaseException:  # the peer or we go away, too
        for item in items:
            if item.taking is not None:
                await item.taking.abort()
        raise


async def _item(call: Call, octets: bytes) -> _Item:
    try:
        given = parse_json(octets, NewMessage)
        if given.dry_run:
            raise at("A batch is not tried: it is sent.", pointer="/dry-run")
        admit(call, dry_run=False)
        envelope, taking = await take_parts(call, given)
    except HttpProblem as problem:
        return _Item(problem)
    if refusal := await taking.prepare():
        await taking.abort()
        return _Item(of_reply(refusal))
    return _Item(None, envelope, taking)


async def _store(call: Call, items: Sequence[_Item], key: str, digest: str) -> Response:
    """Make them durable. What is known by its key is told as the first time."""
    intake = call.services.intake
    good = {number: item.taking for number, item in enumerate(items) if item.taking is not None}
    keys = {
        number: IdempotencyKey(client=call.by.client.name, key=f"{key}\n{number}", digest=digest)
        for number in good
    }
    ids = {number: taking.id for number, taking in good.items()}
    headers = {}
    try:
        refusal = await intake.store([(good[n], keys[n] if key else None) for n in good])
        if refusal is not None:
            raise of_reply(refusal)
    except AlreadyAccepted:
        headers["idempotent-replayed"] = "true"
        known = await intake.spool.accepted(list(keys.values()))
        ids = {number: identifier for number, identifier in zip(keys, known, strict=True) if identifier}
        for taking in good.values():
            await taking.abort()
    told = tuple(_told(call, item, ids.get(number, "")) for number, item in enumerate(items))
    body = BatchResult(accepted=len(ids), messages=told)
    return Response(msgspec_json.encode(body), 202, headers, "application/json")


def _told(call: Call, item: _Item, identifier: str) -> BatchItem:
    if item.taking is None or item.envelope is None or not identifier:
        problem = item.problem or HttpProblem("invalid", "It was not taken the first time.")
        return BatchItem(problem=problem.document())
    return BatchItem(message=accepted(call, identifier, item.envelope.addresses, item.taking.lanes))


def _all(items: Sequence[_Item]) -> HttpProblem:
    """What is wrong with the batch: all of it that fits, each with its place."""
    found = [(number, item.problem) for number, item in enumerate(items) if item.problem is not None]
    faults = [
        replace(fault, pointer=f"/messages/{number}{fault.pointer}")
        for number, problem in found
        for fault in (problem.errors or at(problem.detail).errors)
    ]
    number, first = found[0]
    counts = f"{len(found)} of {len(items)} messages cannot be accepted, so none was."
    return HttpProblem(
        first.kind,
        f"{counts} /messages/{number}: {first.detail}",
        hint=first.hint,
        errors=faults[:TOLD],
        headers=first.headers,
    )


def _permissive(call: Call) -> bool:
    given: list[str] = call.request.headers.getlist(VALIDATION)
    if given not in ([], ["strict"], ["permissive"]):
        raise at("It is strict or permissive.", header=VALIDATION)
    return given == ["permissive"]


def _meaning(octets: bytes) -> bytes:
    """What JSON says, whatever the order of its names."""
    try:
        said: Any = msgspec_json.decode(octets)
    except RecursionError:
        raise HttpProblem("malformed", "The JSON is nested too deeply.") from None
    return msgspec_json.encode(said, order="sorted")


ENDPOINTS = (
    ApiEndpoint(
        name="submit_batch",
        method="POST",
        path="/v1/messages/batch",
        needs=TokenScope.SUBMIT,
        summary="Hand in up to 1000 messages in one commit: all or none, or those that can be taken.",
        do=submit_batch,
        takes=MessageBatch,
        reads_itself=True,
        answers=BatchResult,
        status=202,
        most=LARGEST,
        parameters=(
            IDEMPOTENCY_KEY,
            {
                "name": VALIDATION,
                "in": "header",
                "schema": {"type": "string", "enum": ["strict", "permissive"], "default": "strict"},
                "description": "permissive: what can be taken is, and the answer tells of each",
            },
        ),
        problems=("rate-limited", "no-room", "idempotency-key-reused"),
    ),
)
