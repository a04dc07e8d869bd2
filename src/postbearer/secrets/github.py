"""``github-actions:AUDIENCE``: the token by which GitHub vouches for the job that runs.

It is good for minutes, so it is asked for at each use. GitHub tells a job where to ask, if its workflow
has the permission ``id-token: write``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import quote

from postbearer.errors import SecretError
from postbearer.secret import Secret
from postbearer.secrets.reference import ReferenceContext
from postbearer.secrets.store_client import StoreClient, text_in

ADDRESS, TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"


@dataclass(frozen=True, slots=True)
class JobToken:
    """A token for `audience`, about the job in which this process runs."""

    audience: str
    place: ReferenceContext

    @property
    def reference(self) -> str:
        return f"github-actions:{self.audience}"

    async def read(self) -> Secret:
        address = os.environ.get(ADDRESS, "")
        if not address or not os.environ.get(TOKEN):
            raise SecretError(
                "This is no job of GitHub that may ask for a token.",
                reference=self.reference,
                hint="Give the job the permission: id-token: write",
            )
        base, _, path = address.rpartition("/")
        client = StoreClient("GitHub", base, self.reference, clock=self.place.clock)
        query = f"{'&' if '?' in path else '?'}audience={quote(self.audience, safe='')}"
        bearer = Secret(f"bearer {os.environ[TOKEN]}")
        response = await client.ask(path + query, headers={"Authorization": bearer})
        if not response.ok:
            raise client.refused(
                response, "vouch for this job", "Give it the permission: id-token: write", [bearer]
            )
        found = text_in(response.json(), "value", "its answer")
        if isinstance(found, str):
            raise client.error(f"{found}.")
        return found


def open_github(rest: str, place: ReferenceContext) -> JobToken:
    """The source for ``github-actions:rest``."""
    return JobToken(rest, place)
