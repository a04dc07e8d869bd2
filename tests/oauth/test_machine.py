"""The identity of a machine of Google's, from its metadata server."""

from __future__ import annotations

import pytest

from postbearer.errors import GrantRefused
from postbearer.oauth import CachedSource, Endpoint, GoogleMachine
from postbearer.secret import Secret
from support.tokenserver import TokenServer


async def test_a_machine_gets_its_token(server: TokenServer) -> None:
    source = CachedSource(GoogleMachine(server.url.removeprefix("http://").split("/")[0]), Endpoint(""))
    assert (await source.token()).access == Secret("access-1")
    (asked,) = server.asked
    assert (asked.method, asked.headers["metadata-flavor"]) == ("GET", "Google")
    assert asked.path == "/computeMetadata/v1/instance/service-accounts/default/token"


async def test_a_metadata_server_elsewhere_is_a_matter_for_a_person_and_bounces_no_mail() -> None:
    source = CachedSource(GoogleMachine("metadata.example.org"), Endpoint(""))
    with pytest.raises(GrantRefused, match="http:// is not safe") as caught:
        await source.token()
    assert caught.value.configuration
