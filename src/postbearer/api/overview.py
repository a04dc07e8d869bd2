"""The relay itself: its nodes, what it goes by, and who did what; by the methods that commands use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import HttpProblem
from postbearer.api.tokens import TokenScope
from postbearer.control import (
    AuditPage,
    AuditRow,
    AuditVerified,
    LoadedConfiguration,
    NodeList,
    StagingMode,
    perform,
)

MOST = 1000


class AuditQuery(Struct, rename="kebab", frozen=True, kw_only=True):
    """How many, and from where on."""

    limit: Annotated[int, Meta(ge=1, le=MOST)] = 100
    cursor: Annotated[str, Meta(max_length=1000, description="where an earlier answer ended")] = ""


class AuditList(Struct, frozen=True, kw_only=True):
    """Who did what, the newest first. If there are more, `cursor` is what to ask on with."""

    entries: tuple[AuditRow, ...]
    cursor: str | None


class ConfigurationQuery(Struct, frozen=True, kw_only=True):
    """What is set, or with `defaults` all that holds."""

    defaults: bool = False


async def nodes(call: Call) -> NodeList:
    done: NodeList = await of_whole_relay(call, "nodes.list", {})
    return done


async def staging(call: Call) -> StagingMode:
    """Whoever hands mail in may know where it goes, a client's own token too."""
    done: StagingMode = await perform(call.services.operations, call.by.principal, "relay.staging", {})
    return done


async def configuration(call: Call) -> LoadedConfiguration:
    asked: ConfigurationQuery = call.query or ConfigurationQuery()
    done: LoadedConfiguration = await of_whole_relay(
        call, "relay.configuration", {"defaults": asked.defaults}
    )
    return done


async def audit(call: Call) -> AuditList:
    asked: AuditQuery = call.query or AuditQuery()
    cursors, alike = call.services.cursors, AuditQuery(limit=1)
    before = int(cursors.read(alike, asked.cursor)) if asked.cursor else None
    page: AuditPage = await of_whole_relay(call, "audit.list", {"before": before, "limit": asked.limit})
    cursor = cursors.write(alike, str(page.entries[-1].number)) if page.more else None
    return AuditList(entries=page.entries, cursor=cursor)


async def verify(call: Call) -> AuditVerified:
    done: AuditVerified = await of_whole_relay(call, "audit.verify", {})
    return done


async def of_whole_relay(call: Call, method: str, given: Mapping[str, Any]) -> Any:
    """Call a method that is about more than the messages of one client."""
    if call.by.confined:
        raise HttpProblem(
            "forbidden",
            f"The token {call.by.token.name} is for the client {call.by.client.name}, which sees only its "
            "messages.",
            hint="Make one without --client.",
        )
    return await perform(call.services.operations, call.by.principal, method, given)


ENDPOINTS = (
    ApiEndpoint(
        name="nodes",
        method="GET",
        path="/v1/nodes",
        needs=TokenScope.READ,
        summary="The relays that work on the queue.",
        do=nodes,
        answers=NodeList,
    ),
    ApiEndpoint(
        name="staging",
        method="GET",
        path="/v1/staging",
        needs=TokenScope.READ,
        summary="Where mail goes, if it does not reach everybody.",
        do=staging,
        answers=StagingMode,
    ),
    ApiEndpoint(
        name="configuration",
        method="GET",
        path="/v1/configuration",
        needs=TokenScope.ADMIN,
        summary="The configuration as it was loaded, without secrets.",
        do=configuration,
        asks=ConfigurationQuery,
        answers=LoadedConfiguration,
    ),
    ApiEndpoint(
        name="audit",
        method="GET",
        path="/v1/audit",
        needs=TokenScope.READ,
        summary="Who did what, the newest first.",
        do=audit,
        asks=AuditQuery,
        answers=AuditList,
    ),
    ApiEndpoint(
        name="verify-audit",
        method="POST",
        path="/v1/audit/verify",
        needs=TokenScope.OPERATE,
        summary="Whether any of it was changed or taken out.",
        do=verify,
        answers=AuditVerified,
    ),
)
