"""Where ``queue`` and ``accounts`` ask: the running relay, or else the spool itself, under its lock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

import click

from postbearer.cli.extras import need_relay
from postbearer.cli.output import note, warn
from postbearer.errors import ConfigError, SchemaMismatch, UsageError

if TYPE_CHECKING:
    from postbearer.assembly import Assembly
    from postbearer.cli.options import Common
    from postbearer.clock import Clock
    from postbearer.control import ControlClient, Operations
    from postbearer.forecast import Facts
    from postbearer.state import StateFolder
    from postbearer.store import Found, Spool, SpoolPlace

T = TypeVar("T")
_ELSEWHERE = "If the relay's state folder is another, set POSTBEARER_STATE."
_EDITING = tuple(f"accounts.{act}" for act in ("file", "add", "change", "rename", "remove"))
_WITHOUT_QUEUE = ("accounts.list", "accounts.show", *_EDITING)  # also for accounts that only send by hand


class QueueClient(Protocol):
    """Whoever answers. Both ways give the same answers, typed by `METHODS`, and raise the same errors."""

    def call(self, act: str, /, **given: Any) -> Any: ...

    def export(self) -> Iterator[dict[str, Any]]: ...

    def import_(self, records: Iterable[bytes]) -> int: ...


def queue_client(common: Common, *, changes: bool = False, of_accounts: bool = False) -> QueueClient:
    """The relay if it runs, else its database, else the relay of this machine.

    Unless something `changes`, whoever looks writes nothing: what a start finds is for the relay to tell.
    What is asked `of_accounts` one's own configuration tells too. Raises `NotPermitted` when the machine's
    relay does not answer this user; that there is none at all is told by what is asked.
    """
    from postbearer.state import StateFolder

    client = own_relay(common, of_accounts=of_accounts)
    return client if client is not None else Database(*_spool(common, StateFolder()), changes=changes)


def own_relay(common: Common, *, of_accounts: bool = True) -> ControlClient | None:
    """The running relay of this user, else that of the machine, for who has nothing else to ask.

    Raises `NotPermitted` when the machine's relay does not answer this user.
    """
    from postbearer.control import ControlClient
    from postbearer.state import StateFolder

    state = StateFolder()
    client: ControlClient | None = ControlClient.find(state)
    if client is None and not _has_own(common, state, of_accounts=of_accounts):
        client = ControlClient.of_machine()
    return client and _closing(client)


@overload
def running_relay(*, needed: Literal[True]) -> ControlClient: ...
@overload
def running_relay(*, needed: bool = False) -> ControlClient | None: ...
def running_relay(*, needed: bool = False) -> ControlClient | None:
    """The relay of this user if it runs, else that of the machine; None if neither does.

    Raises `NotPermitted` when the machine's relay does not answer this user, and `ConfigError` when one is
    `needed` and none runs.
    """
    client = connect()
    if client is None and needed:
        raise no_relay()
    return client and _closing(client)


def connect() -> ControlClient | None:
    """The same, for who closes it."""
    from postbearer.control import ControlClient
    from postbearer.state import StateFolder

    return ControlClient.find(StateFolder()) or ControlClient.of_machine()


def no_relay() -> ConfigError:
    """What to raise when a relay has to run, and none does."""
    from postbearer.state import StateFolder

    return ConfigError(
        f"No relay of {StateFolder().path} runs.", hint=f"Start one by: postbearer serve. {_ELSEWHERE}"
    )


def _closing(client: ControlClient) -> ControlClient:
    context = click.get_current_context(silent=True)
    return client if context is None else context.with_resource(client)


def _has_own(common: Common, state: StateFolder, *, of_accounts: bool) -> bool:
    """Whether this user has a queue, or the configuration of one, rather than those of the machine."""
    from postbearer.config import find, is_system_wide

    try:
        place = find(common.config, os.environ)
    except ConfigError:
        place = ""
    from postbearer.store import SpoolUrl

    if SpoolUrl.in_folder(state.path).exists() or common.config:
        return True
    return place != "" and not is_system_wide(place) and (of_accounts or _spool(common, state)[0].exists())


class Database:
    """The spool of a relay that does not run. The lock is held while one command works."""

    def __init__(self, url: SpoolPlace, assembly: Assembly | None, *, changes: bool) -> None:
        self._url = url
        self._changes = changes
        self._assembly = assembly
        self._quiet = False

    def call(self, act: str, /, **given: Any) -> Any:
        from postbearer.control import METHODS, Right, of_this_process, perform

        bare, by = act in _WITHOUT_QUEUE, of_this_process()
        self._changes = self._changes or METHODS[act].needs is not Right.LOOK
        self._quiet = act in _EDITING
        return self._do(lambda operations: perform(operations, by, act, given), bare=bare)

    def export(self) -> Iterator[dict[str, Any]]:
        """Read piece by piece, by an event loop that runs from one record to the next."""
        with asyncio.Runner() as runner:
            operations, close = runner.run(self._opened())
            try:
                records = operations.transfer.export()
                while (record := runner.run(_next(records))) is not None:
                    yield record
            finally:
                runner.run(close())

    def import_(self, records: Iterable[bytes]) -> int:
        self._changes, there = True, self._url.exists()
        try:
            taken = partial(_import, _lines(records))
            return self._do(taken, new=True)
        except UsageError:
            made = not there and self._url.exists()
            if made and not self._do(lambda operations: operations.messages.stats()).counts:
                self._url.remove()  # a file that holds nothing makes no queue
            raise

    def _do(self, work: Callable[[Operations], Awaitable[T]], *, new: bool = False, bare: bool = False) -> T:
        async def whole() -> T:
            operations, close = await self._opened(new=new, bare=bare)
            try:
                return await work(operations)
            finally:
                await close()

        return asyncio.run(whole())

    async def _opened(
        self, *, new: bool = False, bare: bool = False
    ) -> tuple[Operations, Callable[[], Coroutine[Any, Any, None]]]:
        from postbearer.clock import SystemClock
        from postbearer.control import EditingSettings, Operations, SharedEdits

        clock, assembly = SystemClock(), self._assembly
        spool = await self._queue(clock, new=new, bare=bare and assembly is not None)
        if assembly is None:
            return Operations(spool, clock), spool.close
        foresee = partial(_foresee, assembly, clock)
        editing = EditingSettings(assembly=assembly, common=SharedEdits())
        operations = Operations(
            spool, clock, None, assembly.names, foresee, find=assembly.account, editing=editing
        )
        return operations, spool.close

    async def _queue(self, clock: Clock, *, new: bool, bare: bool) -> Spool:
        """The queue, made if it may be `new`, or an empty one in memory where none is needed: `bare`."""
        there = self._url.exists()
        if bare and not there:
            if not self._quiet:
                text = f"There is no queue at {self._url.place}: this is what the configuration tells."
                note(text, _ELSEWHERE)
            from postbearer.store import MemorySpool

            return MemorySpool(clock)
        if not new and not there:
            raise ConfigError(
                f"No relay runs, and there is no queue at {self._url.place}.",
                hint=f"Start one by: postbearer serve. {_ELSEWHERE}",
            )
        from postbearer.store import SpoolUrl, open_spool

        if isinstance(self._url, SpoolUrl):
            need_relay()
        password = self._assembly.spool_password if self._assembly is not None else None
        # Whoever only looks need not care whether the disk survives: `serve` does.
        spool = open_spool(self._url, clock=clock, password=password, allow_ephemeral=True)
        found = await self._open(spool)
        if found.restored:
            warn(found.what_is_held)
        return spool

    async def _open(self, spool: Spool) -> Found:
        if not self._changes:
            with suppress(SchemaMismatch):  # of an older version: it is brought up to date, or of a newer one
                return await spool.open(read_only=True)
        return await spool.open()


def _spool(common: Common, state: StateFolder) -> tuple[SpoolPlace, Assembly | None]:
    """Where the spool is, and the accounts, if any are configured."""
    from postbearer.config import find
    from postbearer.store import SpoolUrl

    try:
        find(common.config, os.environ)
    except ConfigError:
        if common.config:
            raise
        return SpoolUrl.in_folder(state.path), None
    from postbearer.assembly import Assembly
    from postbearer.daemon import spool_url

    assembly = Assembly.load(common.config)
    return spool_url(assembly), assembly


async def _foresee(assembly: Assembly, clock: Clock) -> Mapping[str, Facts]:
    """What is known ahead; of an account that cannot be made of its configuration nothing is known."""
    from postbearer.forecast import gather_all

    accounts = []
    for name in assembly.names:
        with suppress(ConfigError):  # `check` tells; the queue can be looked at all the same
            accounts.append(assembly.account(name))
    return await gather_all(accounts, assembly.persistence, clock)


async def _import(records: AsyncIterator[bytes], operations: Operations) -> int:
    from postbearer.control import of_this_process

    return await operations.transfer.import_(records, by=of_this_process())


async def _next(records: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    return await anext(records, None)


async def _lines(records: Iterable[bytes]) -> AsyncIterator[bytes]:
    for line in records:
        if line.strip():
            yield line
