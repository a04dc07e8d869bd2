"""What people see of the relay itself: its nodes, what it goes by, and who did what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct, structs

from postbearer.clock import Clock
from postbearer.control.answers import (
    AuditPage,
    AuditRow,
    AuditVerified,
    LoadedConfiguration,
    MessageNews,
    MessageReport,
    NodeInfo,
    NodeList,
    SettingRow,
    SettingsExplained,
    StagingMode,
    counted,
)
from postbearer.control.method import Method, Nothing, Text
from postbearer.control.principal import Right
from postbearer.errors import UsageError
from postbearer.store import AuditEntry, Query, Spool

if TYPE_CHECKING:
    from postbearer.config import Configuration
    from postbearer.engine import Intake

MOST = 1000  # entries that one answer has
MOST_NEWS = 50  # of each kind


class Before(Struct, forbid_unknown_fields=True, frozen=True):
    """The newest entries, or those before a number; at most `limit`."""

    before: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 100


class OfMessage(Struct, forbid_unknown_fields=True, frozen=True):
    """A message."""

    message: Text


class Shown(Struct, forbid_unknown_fields=True, frozen=True):
    """What is set, or with `defaults` all that holds."""

    defaults: bool = False


class Overview:
    """Raises `StoreError`, and `UsageError` where no relay runs that has a configuration, or takes mail."""

    def __init__(
        self, spool: Spool, clock: Clock, configuration: Configuration | None, intake: Intake | None
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._configuration = configuration
        self._intake = intake

    async def nodes(self) -> NodeList:
        """The relays that work on the queue."""
        now = self._clock.now()
        return NodeList(
            nodes=tuple(
                NodeInfo(
                    name=each.name,
                    version=each.version,
                    address=each.address,
                    configuration=each.configuration,
                    busy=each.busy,
                    own=each.own,
                    alive=each.own or each.expires > now,
                    since=each.since,
                    heartbeat=each.heartbeat,
                    expires=each.expires,
                )
                for each in await self._spool.nodes()
            )
        )

    async def staging(self) -> StagingMode:
        """Where mail goes, if it does not reach everybody."""
        if self._intake is None:
            raise UsageError("No relay runs that takes mail.")
        return StagingMode(staging=self._intake.staging)

    async def configuration(self, *, defaults: bool = False) -> LoadedConfiguration:
        """What the relay goes by since its last start or reload."""
        from postbearer.config import blanked, with_defaults

        loaded = self._configuration
        if loaded is None:
            raise UsageError("No relay runs that goes by a configuration.")
        values: dict[str, Any] = blanked(with_defaults(loaded.settings) if defaults else loaded.data)
        origins = {".".join(map(str, path)): variable for path, variable in loaded.origins.items()}
        return LoadedConfiguration(file=str(loaded.path), origins=origins, settings=values)

    async def explained(self) -> SettingsExplained:
        """The same, key by key, with what each means."""
        from postbearer.config import explained

        loaded = self._configuration
        if loaded is None:
            raise UsageError("No relay runs that goes by a configuration.")
        origins = {".".join(map(str, path)): variable for path, variable in loaded.origins.items()}
        rows = [
            SettingRow(
                table=each.table,
                key=each.key,
                value=each.value,
                meaning=each.meaning,
                given=each.given,
                origin=origins.get(f"{each.table}.{each.key}".lstrip("."), ""),
            )
            for each in explained(loaded.settings, loaded.data)
        ]
        return SettingsExplained(file=str(loaded.path), rows=tuple(rows))

    async def audit(self, before: int | None = None, limit: int = 100) -> AuditPage:
        """Who did what, the newest first."""
        found = await self._spool.audit.read(before, limit + 1)
        return AuditPage(entries=tuple(map(_row, found[:limit])), more=len(found) > limit)

    async def news(self, message: str) -> MessageNews:
        """What people did to a message, and the reports about it; the last ones of both."""
        acts = await self._spool.audit.about(message, MOST_NEWS)
        reports = await self._spool.search(Query(report_of=message, limit=MOST_NEWS))
        return MessageNews(
            acts=tuple(map(_row, acts)),
            reports=tuple(
                MessageReport(
                    id=each.message.id,
                    accepted=each.message.accepted,
                    counts=counted(each.counts),
                )
                for each in reports
            ),
        )

    async def verified(self) -> AuditVerified:
        """Whether anything in it was changed, or taken out."""
        last = await self._spool.audit.read(None, 1)
        good, wrong = await self._spool.audit.verify()
        return AuditVerified(entries=good, wrong=wrong, last=last[0].hash if last else "")


def _row(entry: AuditEntry) -> AuditRow:
    known = {name: getattr(entry.record, name) for name in _OF_RECORD}
    return AuditRow(number=entry.number, hash=entry.hash, **known)


_OF_RECORD = [each.name for each in structs.fields(AuditRow) if each.name not in ("number", "hash")]

METHODS: Mapping[str, Method] = {
    "queue.news": Method(
        *(OfMessage, MessageNews, Right.LOOK), lambda on, given, by: on.overview.news(given.message)
    ),
    "nodes.list": Method(Nothing, NodeList, Right.LOOK, lambda on, given, by: on.overview.nodes()),
    "relay.staging": Method(Nothing, StagingMode, Right.LOOK, lambda on, given, by: on.overview.staging()),
    "audit.list": Method(
        *(Before, AuditPage, Right.LOOK),
        lambda on, given, by: on.overview.audit(given.before, given.limit),
    ),
    "audit.verify": Method(
        Nothing, AuditVerified, Right.OPERATE, lambda on, given, by: on.overview.verified()
    ),
    "relay.explained": Method(
        Nothing, SettingsExplained, Right.ADMIN, lambda on, given, by: on.overview.explained()
    ),
    "relay.configuration": Method(
        *(Shown, LoadedConfiguration, Right.ADMIN),
        lambda on, given, by: on.overview.configuration(defaults=given.defaults),
    ),
}
