"""What people do to the queue and to accounts: for the command line, the control socket and the HTTP face.

All answers can be written as JSON; times are Unix seconds. Works on a spool alone, or beside the worker
that empties it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from postbearer.address import Address
from postbearer.clock import Clock
from postbearer.control.transfer import ExportedMessage, read
from postbearer.engine import BY_HAND, AccountState, Dispatcher
from postbearer.envelope import Recipient
from postbearer.errors import ConfigError, PostbearerError, UsageError
from postbearer.forecast import Expiry, Facts, forecast
from postbearer.oauth import handed_out
from postbearer.store import (
    Attempt,
    Entry,
    Message,
    NewDelivery,
    Pause,
    Priority,
    Query,
    Row,
    Spool,
    Staging,
    Status,
)
from postbearer.suggestion import did_you_mean
from postbearer.verdict import advise

Json = dict[str, Any]
Jsons = list[Json]  # where `list` is the method
Foresight = Callable[[], Awaitable[Mapping[str, Facts]]]
CHUNK = 48 * 1024
_CAN_GO = (Status.READY, Status.DEFERRED, Status.HELD)


class Process(Protocol):
    """The relay's own process, as far as people tell it what to do."""

    async def reload(self) -> None:
        """Read the configuration anew. Raises `ConfigError` or `SecretError`; then the old one stays."""

    async def examine(self, account: str, send_to: str) -> Json:
        """Look at the whole way of an account's mail."""

    def stop(self) -> None:
        """Finish what is under way, and end."""


class Operations:
    """`dispatcher` is there in the relay's own process only; `accounts` names those that are configured.
    `foresee` tells what is known ahead of them, and `changed` has a paused one tried again. `process` is
    there where a relay runs by itself.

    All methods raise `UsageError` for what does not exist or cannot be done, and `StoreError`.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        dispatcher: Dispatcher | None = None,
        accounts: Sequence[str] = (),
        foresee: Foresight | None = None,
        changed: Callable[[str], Awaitable[bool]] | None = None,
        *,
        process: Process | None = None,
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._dispatcher = dispatcher
        self._configured = tuple(accounts)
        self._foresee = foresee
        self._changed = changed
        self._process = process

    # Messages -------------------------------------------------------------------------------

    async def list(self, query: Query | None = None) -> Jsons:
        """Messages that fit `query`, oldest first."""
        now = self._clock.now()
        return [_summary(entry, now) for entry in await self._spool.search(query or Query())]

    async def show(self, message: str) -> Json:
        """All that is known about one message."""
        entry = await self._entry(message)
        return _summary(entry, self._clock.now()) | {
            "attempts": [_attempt(each) for each in entry.attempts],
            "received": entry.message.received,
            "sha256": entry.message.sha256,
        }

    async def hold(self, message: str, address: str = "") -> Json:
        """Keep the open recipients of a message until they are released."""
        return await self._change(message, Status.HELD, address)

    async def release(self, message: str, address: str = "") -> Json:
        """Let what was held go. `paused` tells of the accounts that it has to wait for."""
        return await self._let_go(message, address)

    async def retry(self, message: str, address: str = "") -> Json:
        """Try now what would be tried later. `paused` tells of the accounts that it has to wait for."""
        return await self._let_go(message, address)

    async def cancel(self, message: str, address: str = "") -> Json:
        """Give up the open recipients of a message; nobody is told."""
        return await self._change(message, Status.CANCELLED, address)

    async def stats(self) -> Json:
        """Recipients by status and account, and the age of the oldest open message."""
        found = await self._spool.statistics()
        return {
            "counts": _counts(found.counts),
            "oldest": found.oldest,
            "age": None if found.oldest is None else max(0.0, self._clock.now() - found.oldest),
            "accounts": {name: _counts(counts) for name, counts in sorted(found.by_account.items())},
        }

    async def _let_go(self, message: str, address: str) -> Json:
        entry = await self._entry(message)
        changed = await self._change(message, Status.READY, address)
        return changed | {"paused": await self._in_the_way(entry, address)}

    async def _in_the_way(self, entry: Entry, address: str) -> Jsons:
        """The pauses that the open recipients of a message wait for, and how many wait for each."""
        wanted = Address.parse(address).canonical if address else ""
        waiting = Counter(
            row.account
            for row in entry.rows
            if row.status in _CAN_GO and (not wanted or Address.parse(row.address).canonical == wanted)
        )
        return [
            {"account": pause.account, "recipients": waiting[pause.account]} | _pause(pause)
            for pause in await self._spool.pauses()
            if waiting[pause.account] and not self._stands_in(pause.account)
        ]

    def _stands_in(self, account: str) -> bool:
        """Whether the mail of a paused account leaves by its fallback."""
        account_states: Mapping[str, AccountState] = (
            self._dispatcher.account_states if self._dispatcher is not None else {}
        )
        other = (
            account_states.get(account_states[account].policy.fallback) if account in account_states else None
        )
        return other is not None and not other.paused

    async def _change(self, message: str, status: Status, address: str) -> Json:
        await self._entry(message)
        changed = await self._spool.change(message, status, self._clock.now(), address)
        if self._dispatcher is not None:
            self._dispatcher.wake()
        return {"id": message, "changed": changed}

    async def _entry(self, message: str) -> Entry:
        entry = await self._spool.show(message)
        if entry is None:
            raise UsageError(
                f"There is no message {message!r} in the queue.", hint="`postbearer queue list` shows them."
            )
        return entry

    # Between stores -------------------------------------------------------------------------

    async def export(self) -> AsyncIterator[Json]:
        """Every open message, as records for one line each: the message, its content in pieces, its end."""
        async for entry, content in self._spool.export():
            yield {"message": _exported(entry)}
            for block in content.blocks(CHUNK):
                yield {"content": b64encode(block).decode()}
            yield {"end": entry.message.id}

    async def import_(self, records: AsyncIterator[bytes]) -> int:
        """Take the lines of what `export` gave; returns how many messages.

        A message that is here already is left alone. Each is taken whole or not at all. Raises `UsageError`
        at the first strange record.
        """
        taken = 0
        current: tuple[ExportedMessage, Staging] | None = None
        digest = hashlib.sha256()
        try:
            async for each in records:
                record = read(each)
                if record.message is not None:
                    if current is not None:
                        raise _ends_within(current[0])
                    current = record.message, self._spool.stage(record.message.id)
                    digest = hashlib.sha256()
                elif current is None:
                    raise UsageError("This is no export of a queue, or its beginning is missing.")
                elif record.content is not None:
                    digest.update(record.content)
                    await current[1].write(record.content)
                elif record.end != current[0].id:
                    raise _ends_within(current[0])
                else:
                    taken += await self._import_one(*current, digest.hexdigest())
                    current = None
            if current is not None:
                raise _ends_within(current[0])
        finally:
            if current is not None:
                await current[1].discard()
        if self._dispatcher is not None:
            self._dispatcher.wake()
        return taken

    async def _import_one(self, said: ExportedMessage, staging: Staging, digest: str) -> int:
        message = said.message()
        if digest != message.sha256 or staging.size != message.size:
            raise UsageError(f"The content of {message.id} is damaged; it was not taken.")
        if await self._spool.show(message.id) is not None:
            await staging.discard()
            return 0
        await self._spool.accept(message, staging, _open_deliveries(message, said.rows))
        return 1

    # The relay itself -----------------------------------------------------------------------

    async def reload(self) -> Json:
        """Have the relay read its configuration. Raises `ConfigError` or `SecretError` if it is wrong."""
        await self._running().reload()
        return {"reloaded": True}

    async def stop(self) -> Json:
        """Have the relay finish what is under way, and end."""
        self._running().stop()
        return {"stopping": True}

    async def check(self, name: str = "", send_to: str = "") -> Json:
        """Examine an account with the secrets of the relay: `accounts`, `findings` and `conversations`.

        `file` is the configuration that was read for it, `pause` why and until when it is paused, or null.
        """
        found = await self._running().examine(name, send_to)
        paused = [pause for pause in await self._spool.pauses() if pause.account == name]
        return found | {"pause": _pause(paused[0]) if paused else None}

    def _running(self) -> Process:
        if self._process is None:
            raise UsageError("No relay runs by itself here.", hint="Start one by: postbearer serve")
        return self._process

    # Accounts -------------------------------------------------------------------------------

    async def accounts(self) -> Jsons:
        """The state of every account."""
        counts = (await self._spool.statistics()).by_account
        pauses = {pause.account: pause for pause in await self._spool.pauses()}
        account_states: Mapping[str, AccountState] = (
            self._dispatcher.account_states if self._dispatcher is not None else {}
        )
        names = sorted({*self._configured, *account_states, *counts, *pauses})
        found = await self._foresee() if self._foresee is not None else {}
        facts = [found.get(name) or Facts(account=name) for name in names]
        now = self._clock.now()
        return [
            _account(known, pauses.get(known.account), _counts(counts.get(known.account, {})))
            | await _working(account_states.get(known.account))
            | {"runs_out": [_ending(each, now) for each in forecast(known)]}
            for known in facts
        ]

    async def account(self, name: str) -> Json:
        """The state of one account."""
        found = next((each for each in await self.accounts() if each["name"] == name), None)
        if found is None:
            known = [each["name"] for each in await self.accounts()]
            raise ConfigError(f"There is no account {name!r:.80}.", hint=did_you_mean(name, known))
        return found

    async def token(self, name: str) -> Json:
        """A valid access token of an account, from the source that the account itself sends with.

        Raises what that source raises, and `UsageError` unless the relay runs and the account uses tokens.
        """
        account_states: Mapping[str, AccountState] = (
            self._dispatcher.account_states if self._dispatcher is not None else {}
        )
        if name not in account_states:
            raise UsageError(
                f"No running relay sends for an account {name!r}.", hint="`postbearer accounts` lists them."
            )
        source = account_states[name].channel.source
        if source is None:
            raise UsageError(f"The account {name} does not use OAuth tokens.")
        try:
            token = await source.token()
        except PostbearerError as error:
            advise(error, account_states[name].policy.smarthost.rules)
            raise
        return handed_out(token, name, self._clock.monotonic())

    async def pause(self, name: str) -> Json:
        """Stop an account until it is resumed."""
        await self.account(name)
        if self._dispatcher is not None:
            await self._dispatcher.pause(name)
        else:
            await self._spool.pause(Pause(account=name, since=self._clock.now(), reason=BY_HAND))
        return await self.account(name)

    async def changed(self, name: str) -> Json:
        """Somebody signed in for an account, or changed its secret: a paused one is tried again at once."""
        await self.account(name)
        tried = await self._changed(name) if self._changed is not None else False
        return {"name": name, "tried": tried}

    async def resume(self, name: str) -> Json:
        """Let an account send again."""
        await self.account(name)
        if self._dispatcher is not None:
            await self._dispatcher.resume(name)
        else:
            await self._spool.resume(name)
        return await self.account(name)


def _summary(entry: Entry, now: float) -> Json:
    message = entry.message
    return {
        "id": message.id,
        "accepted": message.accepted,
        "age": max(0.0, now - message.accepted),
        "expires": message.expires,
        "client": message.client,
        "sender": message.envelope.reverse_path,
        "size": message.size,
        "message_id": message.message_id,
        "author": message.author,
        "subject": message.subject,
        "report_of": message.report_of,
        "recipients": [_row(row) for row in entry.rows],
    }


def _row(row: Row) -> Json:
    said = "accepted by the provider" if row.status is Status.DELIVERED else str(row.status)
    fields = {name: value for name, value in asdict(row).items() if name != "status"}
    return fields | {"state": str(row.status), "meaning": said, "priority": row.priority.name.lower()}


def _attempt(attempt: Attempt) -> Json:
    return asdict(attempt)


def _counts(counts: Mapping[Status, int]) -> dict[str, int]:
    return {str(status): counts[status] for status in Status if counts.get(status)}


def _account(known: Facts, pause: Pause | None, counts: dict[str, int]) -> Json:
    state: Json = {"name": known.account, "state": "ready", "counts": counts}
    if pause is not None:
        return state | {"state": "paused"} | _pause(pause)
    if known.awaits_sign_in:
        return state | {
            "state": "not-signed-in",
            "reason": "Nobody has signed in for it as it is configured now.",
            "remedy": f"Sign in: postbearer login {known.account}",
        }
    return state


def _pause(pause: Pause) -> Json:
    by_hand = f"Let it send again: postbearer accounts resume {pause.account}"
    return {
        "since": pause.since,
        "reason": pause.reason,
        "remedy": by_hand if pause.reason == BY_HAND else pause.remedy,
        "tried_again": pause.probe,
    }


def _ending(ending: Expiry, now: float) -> Json:
    """`level`: how many days are not left any more, of those at which somebody is told."""
    return {
        "what": ending.what,
        "title": ending.title,
        "at": ending.at,
        "level": ending.level(now),
        "remedy": ending.remedy,
    }


async def _working(account_state: AccountState | None) -> Json:
    """What only the relay itself knows."""
    if account_state is None:
        return {}
    return {
        "address": account_state.policy.address,
        "under_way": account_state.busy,
        "connections": account_state.connections,
        "resting": account_state.resting,
        "budget": asdict(await account_state.budget.left()),
        "token_expires": account_state.channel.token_expires(),
        "last_error": account_state.last_error,
    }


def _exported(entry: Entry) -> Json:
    return asdict(entry.message) | {"rows": [asdict(row) for row in entry.rows]}


def _ends_within(message: ExportedMessage) -> UsageError:
    return UsageError(f"The export ends within the message {message.id}.")


def _open_deliveries(message: Message, rows: Sequence[Row]) -> list[NewDelivery]:
    """The deliveries that are still to be made."""
    wishes = {each.address: each for each in message.envelope.recipients}
    groups: dict[tuple[str, Priority, float, bool], list[Recipient]] = {}
    for row in rows:
        if row.status.final:
            continue
        key = row.account, row.priority, row.due or message.accepted, row.status is Status.HELD
        groups.setdefault(key, []).append(wishes.get(row.address) or Recipient(row.address))
    return [
        NewDelivery(
            account=account,
            recipients=tuple(recipients),
            priority=priority,
            client=message.client,
            due=due,
            held=held,
        )
        for (account, priority, due, held), recipients in groups.items()
    ]
