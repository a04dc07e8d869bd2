"""Who did what: the audit, the newest first."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right

PAGE = 100  # entries


async def show(visit: Visit) -> Response:
    before = visit.request.query_params.get("before", "")
    number = int(before) if before.isascii() and before.isdecimal() and 0 < int(before[:19]) < 2**62 else None
    page = await visit.perform("audit.list", limit=PAGE, **({"before": number} if number else {}))
    return visit.page("audit.html", page=page, first=number is None)


async def verify(visit: Visit) -> Response:
    """Whether anything in it was changed, or taken out."""
    found = await visit.perform("audit.verify")
    if found.wrong is None:
        visit.of.say(f"All {found.entries} entries are as they were written.")
    else:
        visit.of.say(
            f"The entry {found.wrong} is not as it was written, or one before it is gone.", "problem"
        )
    return visit.go("/audit")


PAGES = (
    ConsolePage(path="/audit", needs=Right.LOOK, do=show),
    ConsolePage(path="/audit/verify", needs=Right.OPERATE, do=verify, method="POST"),
)
