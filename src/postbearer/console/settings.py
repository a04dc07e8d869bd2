"""The configuration as it was loaded, key by key, with what each means; and loading it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby

from starlette.responses import Response

from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right, SettingRow, SettingsExplained
from postbearer.encodings import plain_json
from postbearer.errors import PostbearerError


async def show(visit: Visit) -> Response:
    """What is set; with `all` in the address also what nobody set."""
    found: SettingsExplained = await visit.perform("relay.explained")
    everything = "all" in visit.request.query_params
    return visit.page(
        "settings.html",
        file=found.file,
        tables=_tables([each for each in found.rows if everything or each.given]),
        everything=everything,
    )


async def reload(visit: Visit) -> Response:
    """Check the file, and go by it."""
    try:
        await visit.perform("relay.reload")
    except PostbearerError as error:
        visit.of.say(f"The relay goes on as before: {error}", "problem")
    else:
        visit.of.say("The configuration was checked, and holds from now on.")
    return visit.go("/settings")


def _tables(rows: Sequence[SettingRow]) -> Mapping[str, Sequence[tuple[SettingRow, str]]]:
    """Rows by table, each with its value as it is written."""
    return {
        table: [(each, plain_json(json.dumps(each.value, ensure_ascii=False, default=str))) for each in some]
        for table, some in groupby(rows, lambda each: each.table)
    }


PAGES = (
    ConsolePage(path="/settings", needs=Right.ADMIN, do=show),
    ConsolePage(path="/settings/reload", needs=Right.ADMIN, do=reload, method="POST"),
)
