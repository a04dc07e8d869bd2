"""The document that describes the API fits the API."""

from __future__ import annotations

from postbearer.api import ENDPOINTS
from support.http_api import Api


async def test_every_endpoint_is_in_the_document(api: Api) -> None:
    async with api.http() as client:
        document = (await client.get("/openapi.json")).json()
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(each.method, each.path) for each in ENDPOINTS}
    names = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))
    assert document["openapi"] == "3.1.0"
