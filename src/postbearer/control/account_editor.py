"""Accounts added, changed, renamed and removed: in the configuration file, and in the relay that goes by it.

Whoever asks from elsewhere names nothing that is read or run, and no place for a secret that is there
already: what is given as a secret is sealed before anything else, and only its reference is written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from postbearer.config import (
    Addition,
    Configuration,
    Providers,
    parse,
    read,
    renamed,
    with_keys,
    without_account,
)
from postbearer.config import replace as put
from postbearer.control.account_answers import (
    AccountDifference,
    AccountEdited,
    AccountFile,
    AccountSettingList,
)
from postbearer.control.account_keys import (
    FROM_ELSEWHERE,
    KEYS,
    SECRETS,
    WHERE,
    checked,
    sealed,
    shared,
)
from postbearer.control.account_requests import ChangedAccount, NewAccount, RenamedAccount
from postbearer.control.account_settings import Previous, SharedEdits, difference, setting_rows
from postbearer.control.accounts import Named
from postbearer.control.acts import Act, AuditRecorder
from postbearer.control.configuration_draft import ConfigurationDraft
from postbearer.control.jobs import Jobs
from postbearer.control.method import Method, Nothing
from postbearer.control.principal import Principal, Right
from postbearer.errors import ConfigError, ConfigErrors, Conflict, NotPermitted, PostbearerError
from postbearer.oauth import end_sign_in
from postbearer.store import BY_HAND, JobAction, Pause, Query, Spool
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.assembly import Assembly
    from postbearer.clock import Clock
    from postbearer.control.job_runner import JobRunner
    from postbearer.engine import Dispatcher
    from postbearer.oauth import GrantStore

PATIENCE: Final = 60.0  # seconds that what is under way may take
_HOW = 'Write accounts = "editable" under [http], or do it on the relay\'s machine: postbearer accounts'


@dataclass(frozen=True, slots=True, kw_only=True)
class EditingSettings:
    """Whose configuration is edited. `reload` has the relay go by it, if one runs; `common` is one for all.

    `editable`: whether those may who ask from elsewhere, by HTTP or in the console.
    """

    assembly: Assembly
    editable: bool = False
    reload: Callable[[], Awaitable[None]] | None = None
    common: SharedEdits


class AccountEditor:
    """All methods raise `NotPermitted`, `ConfigError` and `ConfigErrors` for what cannot be so, `StoreError`.

    Nothing is changed then, and of two who come at once the second sees what the first did.
    """

    def __init__(
        self,
        settings: EditingSettings,
        spool: Spool,
        clock: Clock,
        dispatcher: Dispatcher | None,
        runner: JobRunner,
        recorder: AuditRecorder,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._clock = clock
        self._dispatcher = dispatcher
        self._runner = runner
        self._recorder = recorder

    async def file(self, *, by: Principal) -> AccountFile:
        """Where accounts are kept, and whether they can be changed from here."""
        writable = await asyncio.to_thread(_can_be_replaced, self._path)
        return AccountFile(file=self._path, writable=writable, editable=self._may(by))

    async def add(
        self,
        name: str,
        keys: Mapping[str, Any],
        secrets: Mapping[str, str],
        like: str = "",
        *,
        sure: bool = False,
        by: Principal,
    ) -> AccountEdited:
        """Add an account; with `like`, at the place of another one and by its app, where nothing is said.

        What is odd about a secret is refused unless somebody is `sure`. Without a `name` it gets a usual one.
        """
        await self._permit(by)
        async with self._settings.common.alone:
            draft = await asyncio.to_thread(self._draft, name, keys, secrets, like, by)
            await asyncio.to_thread(self._seal, draft, secrets, sure=sure)
            if draft.name in draft.addition.accounts():
                raise self._taken(draft.name)
            if problems := await asyncio.to_thread(draft.problems):
                raise _unwritten(problems)
            before = draft.addition.before or b""
            given = ", ".join(draft.keys)
            act = Act(by=by, action="add account", account=draft.name, detail=given)
            await self._take(before, draft.addition.content(), act, begin=draft.name)
            return self._edited(draft.name)

    async def settings(self, name: str, *, by: Principal) -> AccountSettingList:
        """The settings of an account in the file, and which of them can be changed from here."""
        file, before = await self.file(by=by), await asyncio.to_thread(read, self._path)
        table, common = self._table(before, name), self._settings.common
        changeable = (self._allowed(by) | SECRETS) - self._kept(by)
        rows = setting_rows(self._parsed(before), name, table, changeable)
        version, last = common.version(table), common.previous.get(name)
        back = tuple(last.keys) if last is not None and last.led_to == version else ()
        return AccountSettingList(name=name, file=file, version=version, rows=tuple(rows), putting_back=back)

    async def preview(self, asked: ChangedAccount, *, by: Principal) -> AccountDifference:
        """What `change` would do. Nothing is written; raises what that raises."""
        await self._permit(by)
        before = await asyncio.to_thread(read, self._path)
        table = self._table(before, asked.name)
        after, _ = await self._changed(before, table, asked, by)
        lines = difference(asked.name, table, self._table(after, asked.name))
        version = self._settings.common.version(table)
        return AccountDifference(name=asked.name, version=version, lines=lines)

    async def change(self, asked: ChangedAccount, *, by: Principal) -> AccountEdited:
        """Set keys of an account, or with None take them away; new secrets stand in the place of old ones.

        Raises `Conflict` if its settings are not those of the version that was asked for.
        """
        await self._permit(by)
        async with self._settings.common.alone:
            before = await asyncio.to_thread(read, self._path)
            table = self._table(before, asked.name)
            after, keys = await self._changed(before, table, asked, by)
            act = Act(by=by, action="change account", account=asked.name, detail=", ".join(keys))
            await self._take(before, after, act)
            self._note(asked.name, table, self._table(after, asked.name), keys)
            return self._edited(asked.name)

    async def put_back(self, name: str, *, by: Principal) -> AccountEdited:
        """Have the keys that were changed last as they were. Raises `Conflict` if others changed it since."""
        await self._permit(by)
        common = self._settings.common
        async with common.alone:
            before = await asyncio.to_thread(read, self._path)
            table, last = self._table(before, name), common.previous.get(name)
            if last is None or last.led_to != common.version(table):
                raise Conflict(
                    f"There is nothing to put back for {name}: it was changed since, or the relay restarted.",
                    hint="Change what is wrong in its settings.",
                )
            after = with_keys(before, name, last.keys)
            await asyncio.to_thread(self._examine, after, name)
            act = Act(by=by, action="put back account", account=name, detail=", ".join(last.keys))
            await self._take(before, after, act)
            self._note(name, table, self._table(after, name), last.keys)
            return self._edited(name)

    async def _changed(
        self, before: bytes, table: Mapping[str, Any], asked: ChangedAccount, by: Principal
    ) -> tuple[bytes, Sequence[str]]:
        """The file as it would be, checked; and which keys are otherwise in it."""
        name = asked.name
        if asked.version and asked.version != self._settings.common.version(table):
            raise Conflict(
                f"The settings of {name} were changed meanwhile, by somebody else or in the file.",
                hint="Nothing was done. Look at what holds now, and change it again.",
            )
        given = [key for key, value in asked.settings.items() if value is not None or key not in SECRETS]
        checked(name, dict.fromkeys(given, ""), self._allowed(by) - self._kept(by))
        provider, state = str(table.get("provider", "")), self._settings.assembly.state
        made = await asyncio.to_thread(sealed, name, asked.secrets, state, provider, sure=asked.sure)
        after = with_keys(before, name, {**asked.settings, **made})
        await asyncio.to_thread(self._examine, after, name)
        return after, tuple({**asked.settings, **made})

    def _note(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any], keys: Iterable[str]) -> None:
        common = self._settings.common
        common.previous[name] = Previous({key: old.get(key) for key in keys}, common.version(new))

    async def rename(self, name: str, to: str, *, by: Principal) -> AccountEdited:
        """Call an account otherwise, with its sign-in, its pause and the mail that waits for it.

        What it has done keeps the old name. Raises `Conflict` while something is under way for too long.
        """
        await self._permit(by)
        async with self._settings.common.alone:
            before = await asyncio.to_thread(read, self._path)
            self._table(before, name)
            if to == name:
                return self._edited(name)
            checked(to, {}, frozenset())
            if to in self._accounts(before):
                raise self._taken(to)
            after = renamed(before, name, to)
            account = await asyncio.to_thread(self._examine, after, to)
            old = replace(account, name=name)
            pause = await self._still(name, by)
            try:
                await self._move_sign_in(old, account)
                await self._take(before, after, Act(by=by, action="rename account", account=name, detail=to))
            except PostbearerError:
                await self._go_on(name, pause)
                raise
            await self._forget(old)
            await self._carry_over(name, account, pause, by)
            return self._edited(to)

    async def remove(self, name: str, *, by: Principal) -> AccountEdited:
        """Take an account away, and forget its sign-in. Raises `Conflict` while mail waits for it."""
        await self._permit(by)
        async with self._settings.common.alone:
            before = await asyncio.to_thread(read, self._path)
            self._table(before, name)
            counts = (await self._spool.statistics()).by_account.get(name, {})
            if waiting := sum(count for status, count in counts.items() if not status.final):
                raise Conflict(
                    f"{waiting} recipient{' waits' if waiting == 1 else 's wait'} for the account {name}.",
                    hint=f"Have them leave by another one first: postbearer queue move --from-account {name} "
                    "--account OTHER. Or cancel them.",
                )
            after = without_account(before, name)
            account = None
            with suppress(ConfigError):  # one that cannot be made of its keys has no tokens of now
                account = await asyncio.to_thread(self._examine, before, name)
            await asyncio.to_thread(self._check, after)
            await self._take(before, after, Act(by=by, action="remove account", account=name))
            if account is not None:
                await self._forget(account)
            await self._spool.resume(name)
            return self._edited(name)

    # The file --------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return self._settings.assembly.configuration.path

    async def _permit(self, by: Principal) -> None:
        found = await self.file(by=by)
        if not found.editable:
            raise NotPermitted("The configuration lets nobody change accounts from here.", hint=_HOW)
        if not found.writable:
            raise ConfigError(
                "The relay may not write in the folder of its configuration.",
                file=found.file,
                hint="As who may, use postbearer init, config set or config unset, and then postbearer "
                "reload. Or let it: the folder has to belong to the relay's user.",
            )

    def _may(self, by: Principal) -> bool:
        return self._settings.editable or by.may(Right.MACHINE)

    @staticmethod
    def _allowed(by: Principal) -> frozenset[str]:
        return KEYS if by.may(Right.MACHINE) else FROM_ELSEWHERE

    @staticmethod
    def _kept(by: Principal) -> frozenset[str]:
        """What stays as it is: else the secrets that are there would go wherever somebody likes."""
        return frozenset() if by.may(Right.MACHINE) else WHERE

    def _draft(
        self, name: str, keys: Mapping[str, Any], secrets: Mapping[str, str], like: str, by: Principal
    ) -> ConfigurationDraft:
        allowed = self._allowed(by)
        if like and not by.may(Right.MACHINE):
            allowed -= WHERE
        checked(name or "new", keys, allowed)
        assembly = self._settings.assembly
        addition = Addition.to(self._path, assembly.environ)
        draft = ConfigurationDraft(addition, Providers(self._path), assembly.environ, assembly.state)
        addition.name = name
        for key, value in keys.items():
            draft.put(key, value)
        if like:
            if like not in addition.tables():
                hint = did_you_mean(like, addition.accounts())
                raise ConfigError(f"There is no account {like!r:.80}.", key="like", hint=hint)
            given = frozenset({*keys, *secrets})
            table = addition.tables()[like]
            preset = draft.providers.preset(str(table.get("provider", "")), str(table.get("cloud", "")))
            for key, value in shared(table, given, keys.get("grant"), preset).items():
                draft.put(key, value)
        draft.complete()
        if not addition.name:
            addition.name = "new"  # it has no address either, and that is told
        return draft

    def _seal(self, draft: ConfigurationDraft, secrets: Mapping[str, str], *, sure: bool) -> None:
        provider = str(draft.keys.get("provider", ""))
        made = sealed(draft.name, secrets, self._settings.assembly.state, provider, sure=sure)
        for key, reference in made.items():
            draft.put(key, reference)

    def _accounts(self, content: bytes) -> Mapping[str, Any]:
        import tomllib

        found = tomllib.loads(content.decode()).get("accounts", {})
        return found if isinstance(found, dict) else {}

    def _table(self, content: bytes, name: str) -> Mapping[str, Any]:
        """The keys of an account that is there, in a file that is right. Raises `ConfigError`."""
        self._parsed(content)
        accounts = self._accounts(content)
        if name not in accounts:
            raise ConfigError(
                f"There is no account {name!r:.80}.", file=self._path, hint=did_you_mean(name, [*accounts])
            )
        table: Mapping[str, Any] = accounts[name]
        return table

    def _parsed(self, content: bytes) -> Configuration:
        return parse(content, self._path, self._settings.assembly.environ)

    def _check(self, content: bytes) -> None:
        """Raise `ConfigError` for what is wrong in a file that is not there yet."""
        try:
            self._parsed(content)
        except ConfigError as error:
            raise _unwritten(error.problems) from None

    def _examine(self, content: bytes, name: str) -> Account:
        """The account `name` of a file that is not there yet. Raises `ConfigError` for what is wrong."""
        try:
            return self._settings.assembly.going_by(self._parsed(content)).account(name)
        except ConfigError as error:
            raise _unwritten(error.problems) from None

    def _taken(self, name: str) -> Conflict:
        return Conflict(f"There is an account {name} already.", hint="Choose another name.")

    async def _take(self, before: bytes, after: bytes, act: Act, *, begin: str = "") -> None:
        """Write the file, and have the relay go by it; if it does not, the old one is put back.

        `begin`: a new account, which begins without what another one of its name has kept.
        """
        try:
            if begin:
                await self._forget(await asyncio.to_thread(self._examine, after, begin))
            await asyncio.to_thread(put, self._path, before, after)
            try:
                if self._settings.reload is not None:
                    await self._settings.reload()
            except PostbearerError:
                await asyncio.to_thread(put, self._path, after, before)
                raise
        except PostbearerError as error:
            await self._recorder.failed(act, str(error))
            raise
        await self._recorder.done(act)

    def _edited(self, name: str) -> AccountEdited:
        return AccountEdited(name=name, file=self._path, reloaded=self._settings.reload is not None)

    # What an account has beside its keys -----------------------------------------------------

    def _store(self, account: Account) -> GrantStore:
        return account.token_store(self._settings.assembly.persistence, clock=self._clock)

    async def _forget(self, account: Account) -> None:
        store = self._store(account)
        kept = await store.load()
        if kept.version and (kept.access or kept.refresh or kept.damage):
            await end_sign_in(store)

    async def _move_sign_in(self, old: Account, new: Account) -> None:
        kept, store = await self._store(old).load(), self._store(new)
        if kept.access is None and kept.refresh is None:
            return
        async with store.lock():
            await store.save(replace(kept, version=(await store.load()).version))

    async def _still(self, name: str, by: Principal) -> Pause | None:
        """Have nothing of the account under way; its pause as it was before."""
        before = next((each for each in await self._spool.pauses() if each.account == name), None)
        if self._dispatcher is None or name not in self._dispatcher.account_states:
            return before
        if before is None:
            await self._dispatcher.pause(name)
        until = self._clock.monotonic() + PATIENCE
        while self._dispatcher.account_states[name].busy:
            if self._clock.monotonic() > until:
                await self._go_on(name, before)
                raise Conflict(
                    f"Mail of the account {name} is under way for more than {PATIENCE:.0f} s.",
                    hint="Try again later, or pause it first.",
                )
            await self._clock.sleep(0.05)
        return before

    async def _go_on(self, name: str, before: Pause | None) -> None:
        if before is None and self._dispatcher is not None:
            await self._dispatcher.resume(name)

    async def _carry_over(self, name: str, account: Account, pause: Pause | None, by: Principal) -> None:
        """The pause, and all that waits, under the new name, which `account` has."""
        to = account.name
        await self._spool.resume(name)
        if pause is not None and pause.reason == BY_HAND:
            if self._dispatcher is not None:
                await self._dispatcher.pause(to)
            else:
                await self._spool.pause(replace(pause, account=to))
        jobs = Jobs(self._spool, self._clock, self._runner, lambda _: account)
        waiting = Query(account=name)
        while count := (await jobs.start(JobAction.MOVE, waiting, to, dry_run=True, by=by)).matched:
            with suppress(Conflict):  # it is another number by now
                await jobs.start(JobAction.MOVE, waiting, to, count, by=by)
                return


def _unwritten(problems: Sequence[ConfigError]) -> ConfigError:
    """What is wrong, without the lines of a file that nobody has."""
    told = [ConfigError(each.message, key=each.key, hint=each.hint) for each in problems]
    return told[0] if len(told) == 1 else ConfigErrors(told)


def _can_be_replaced(path: str) -> bool:
    """Whether this process may put another file in the place of `path`."""
    return os.access(os.path.dirname(os.path.realpath(path)), os.W_OK | os.X_OK)


METHODS: Mapping[str, Method] = {
    "accounts.file": Method(
        *(Nothing, AccountFile, Right.ADMIN), lambda on, given, by: on.editor.file(by=by)
    ),
    "accounts.add": Method(
        *(NewAccount, AccountEdited, Right.ADMIN),
        lambda on, given, by: on.editor.add(
            given.name, given.settings, given.secrets, given.like, sure=given.sure, by=by
        ),
    ),
    "accounts.change": Method(
        *(ChangedAccount, AccountEdited, Right.ADMIN),
        lambda on, given, by: on.editor.change(given, by=by),
    ),
    "accounts.preview": Method(
        *(ChangedAccount, AccountDifference, Right.ADMIN),
        lambda on, given, by: on.editor.preview(given, by=by),
    ),
    "accounts.put-back": Method(
        *(Named, AccountEdited, Right.ADMIN), lambda on, given, by: on.editor.put_back(given.name, by=by)
    ),
    "accounts.settings": Method(
        *(Named, AccountSettingList, Right.ADMIN), lambda on, given, by: on.editor.settings(given.name, by=by)
    ),
    "accounts.rename": Method(
        *(RenamedAccount, AccountEdited, Right.ADMIN),
        lambda on, given, by: on.editor.rename(given.name, given.to, by=by),
    ),
    "accounts.remove": Method(
        *(Named, AccountEdited, Right.ADMIN), lambda on, given, by: on.editor.remove(given.name, by=by)
    ),
}
