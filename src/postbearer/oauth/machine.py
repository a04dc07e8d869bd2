"""The service account of a machine of Google's: a token from its metadata server, no secret anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from postbearer.errors import GrantRefused
from postbearer.oauth.endpoint import TokenRequest, read_answer
from postbearer.oauth.grants import Asks, Exchange, GrantContext, TokenGrant

_HINT = "Is this a machine of Google's with a service account? Anywhere else it takes a key file."


@dataclass(frozen=True, slots=True)
class GoogleMachine(TokenGrant):
    """What the machine is, to Google Cloud. `host` is the metadata server: link-local, or on loopback."""

    name: ClassVar[str] = "google-machine"
    asks: ClassVar[Asks] = "platform"

    host: str = "169.254.169.254"

    def request(self, context: GrantContext) -> Exchange:
        url = f"http://{self.host}/computeMetadata/v1/instance/service-accounts/default/token"
        headers = {"Metadata-Flavor": "Google"}  # without it, it does not answer: nobody is lured into asking
        response = yield TokenRequest(
            url,
            headers=headers,
            method="GET",
            platform=True,
            hint=_HINT,
        )
        try:
            return read_answer(response, url, account=context.account, now=context.now)
        except GrantRefused as refused:
            refused.hint = _HINT  # no key of ours names its address
            raise
