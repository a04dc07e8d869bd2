"""The document that describes the API fits the API."""

from __future__ import annotations

import asyncio
import sys

import pytest

from postbearer.api import ENDPOINTS
from support.http_api import Api

# There a message that is none is answered by a code of its own, beside others.
EACH_BY_A_CODE = """
[[operations]]
include-path = "/email/batch"
[operations.checks]
negative_data_rejection.enabled = false
"""


async def test_every_endpoint_is_in_the_document(api: Api) -> None:
    async with api.http() as client:
        document = (await client.get("/openapi.json")).json()
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(each.method, each.path) for each in ENDPOINTS}
    names = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))
    assert document["openapi"] == "3.1.0"


@pytest.mark.servers  # a client that nobody here wrote: it finds the same on every Python
async def test_what_is_made_of_the_document_finds_no_fault(api: Api, long: bool) -> None:
    """Requests that fit it, and that do not, are answered as it says, and never by a defect.

    What fits is not always taken: that a text is an address, a schema cannot say. The stream of events has
    no end that could be waited for; `test_events.py` reads it.
    """
    token = api.token("admin")["authorization"]
    (api.home / "schemathesis.toml").write_text(EACH_BY_A_CODE)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/openapi.json"),
        *("--header", f"Authorization: {token}"),
        *("--header", f"X-Postmark-Server-Token: {token.removeprefix('Bearer ')}"),
        *("--exclude-checks", "positive_data_acceptance"),
        *("--exclude-path", "/v1/events"),
        *("--max-examples", "200" if long else "10", "--seed", "1", "--no-color"),
    ]
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, stderr=asyncio.subprocess.STDOUT, cwd=api.home
    )
    said, _ = await running.communicate()
    assert running.returncode == 0, said.decode()[-5000:]
    assert api.ears.defects == []
