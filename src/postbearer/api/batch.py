"""``POST /v1/messages/batch``: many messages in one commit, all or none of them, or those that can be."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec import json as msgspec_json
from msgspec.structs import replace
from starlette.responses import Response

from postbearer.api.composing import NewMessage
from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.handing_in import (
    IDEMPOTENCY_KEY,
    AcceptedMessage,
    Departure,
    accepted,
    admit,
    alone,
    key_of,
    take_parts,
)
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
AT_A_TIME = 16  # messages, between which nobody else is served: some milliseconds
VALIDATION = "x-batch-validation"
VALIDATION_FIELD: Mapping[str, Any] = {
    "name": VALIDATION,
    "in": "header",
    "schema": {"type": "string", "enum": ["strict", "permissive"], "default": "strict"},
    "description": "permissive: what can be taken is, and the answer tells of each",
}


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


@dataclass(frozen=True, slots=True)
class HandedIn:
    """Each message at its place: accepted, or why not. `repeated`: they are known by their key."""

    items: Sequence[AcceptedMessage | HttpProblem]
    repeated: bool

    @property
    def messages(self) -> Sequence[AcceptedMessage]:
        return [each for each in self.items if isinstance(each, AcceptedMessage)]

    @property
    def problems(self) -> Mapping[int, HttpProblem]:
        return {number: each for number, each in enumerate(self.items) if isinstance(each, HttpProblem)}

    def refuse_what_may_come_again(self) -> None:
        """Raise `HttpProblem` if none was taken, and one only because it cannot be now."""
        later = [each for each in self.problems.values() if each.headers]
        if later and not self.messages:
            raise later[0]


async def submit_batch(call: Call) -> Response:
    """Take all, or with ``x-batch-validation: permissive`` those that can be taken, in one commit."""
    key, permissive = key_of(call), permissive_of(call)
    octets = await call.request.body()
    given = [partial(parse_json, bytes(each), NewMessage) for each in parse_json(octets, _Items).messages]
    done = await take_batch(
        call, given, key, partial(meaning_of, octets), permissive=permissive, within="/messages"
    )
    if not done.messages:
        raise all_in_one(done.problems, len(given), "/messages")
    headers = {"idempotent-replayed": "true"} if done.repeated else {}
    body = BatchResult(
        accepted=len(done.messages),
        messages=tuple(
            BatchItem(problem=each.document()) if isinstance(each, HttpProblem) else BatchItem(message=each)
            for each in done.items
        ),
    )
    return Response(msgspec_json.encode(body), 202, headers, "application/json")


async def take_batch(
    call: Call,
    readers: Iterable[Callable[[], NewMessage]],
    key: str,
    meaning: Callable[[], bytes],
    *,
    permissive: bool,
    within: str,
) -> HandedIn:
    """Take the messages in one commit: all or none, or, if `permissive`, those that can be taken.

    Each of the `readers` says what one is. `meaning` tells what all of them say, for a `key`; `within`, where
    in the body they stand. Raises `HttpProblem`.
    """
    items: list[_Item] = []
    with alone(call, key):
        try:
            for read in readers:
                item = await _item(call, read)
                items.append(item)  # so that it is forgotten if a later one fails
                if len(items) % AT_A_TIME == 0:
                    await asyncio.sleep(0)  # others are served meanwhile
            wrong = {number: item.problem for number, item in enumerate(items) if item.problem is not None}
            if wrong and not permissive:
                raise all_in_one(wrong, len(items), within)
            digest = hashlib.sha256(meaning()).hexdigest() if key else ""
            return await _store(call, items, key, digest)
        except BaseException:  # the peer or we go away, too
            for item in items:
                if item.taking is not None:
                    await item.taking.abort()
            raise


async def _item(call: Call, read: Callable[[], NewMessage]) -> _Item:
    try:
        given = read()
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


async def _store(call: Call, items: Sequence[_Item], key: str, digest: str) -> HandedIn:
    """Make them durable. What is known by its key is told as the first time."""
    intake = call.services.intake
    good = {number: item.taking for number, item in enumerate(items) if item.taking is not None}
    client = call.by.client.name
    keys = {
        number: IdempotencyKey(client=client, key=f"{key}\n{number}", digest=digest)
        for number in (good if key else ())
    }
    ids = {number: taking.id for number, taking in good.items()}
    repeated = False
    try:
        if good and (refusal := await intake.store([(each, keys.get(n)) for n, each in good.items()])):
            raise of_reply(refusal)
    except AlreadyAccepted:
        repeated = True
        known = await intake.spool.accepted(list(keys.values()))
        ids = {number: identifier for number, identifier in zip(keys, known, strict=True) if identifier}
        for taking in good.values():
            await taking.abort()
    times = {number: taking.send_at for number, taking in good.items()}
    for number in [each for each, send_at in times.items() if repeated and send_at is not None]:
        entry = await intake.spool.show(ids.get(number, ""))
        times[number] = entry.message.send_at if entry is not None else None  # as the first time
    departures: dict[Hashable, Departure] = {}
    told = [_told(call, item, ids.get(n, ""), times.get(n), departures) for n, item in enumerate(items)]
    return HandedIn(told, repeated)


def _told(
    call: Call,
    item: _Item,
    identifier: str,
    send_at: float | None,
    departures: dict[Hashable, Departure],
) -> AcceptedMessage | HttpProblem:
    if item.taking is None or item.envelope is None or not identifier:
        return item.problem or HttpProblem("invalid", "It was not taken the first time.")
    addresses, lanes = item.taking.addresses, item.taking.lanes
    return accepted(call, identifier, addresses, lanes, send_at, departures=departures)


def all_in_one(found: Mapping[int, HttpProblem], count: int, within: str) -> HttpProblem:
    """What is wrong with `count` messages: all of it that fits, each with its place."""
    faults = [
        replace(fault, pointer=f"{within}/{number}{fault.pointer}")
        for number, problem in found.items()
        for fault in (problem.errors or at(problem.detail).errors)
    ]
    number, first = next(iter(found.items()))
    counts = f"{len(found)} of {count} messages cannot be accepted, so none was."
    return HttpProblem(
        first.kind,
        f"{counts} {within}/{number}: {first.detail}",
        hint=first.hint,
        errors=faults[:TOLD],
        headers=first.headers,
    )


def permissive_of(call: Call) -> bool:
    """Whether those that can be taken are."""
    given: list[str] = call.request.headers.getlist(VALIDATION)
    if given not in ([], ["strict"], ["permissive"]):
        raise at("It is strict or permissive.", header=VALIDATION)
    return given == ["permissive"]


def meaning_of(octets: bytes) -> bytes:
    """What JSON says, whatever the order of its names. Raises `HttpProblem`."""
    return msgspec_json.encode(parse_json(octets, object), order="sorted")


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
            VALIDATION_FIELD,
        ),
        problems=("rate-limited", "no-room", "idempotency-key-reused", "in-progress"),
    ),
)
