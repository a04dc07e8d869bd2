"""The access token that a cloud's secret store wants, had like any other: by a grant."""

from __future__ import annotations

from dataclasses import dataclass

from postbearer.clock import Clock
from postbearer.errors import CredentialError, SecretError, SecretUnavailable, TokenUnavailable
from postbearer.http import HttpResponse, Text
from postbearer.oauth import CachedSource, Endpoint, Grant
from postbearer.secret import Secret
from postbearer.secrets.store_client import StoreClient

_PLATFORM_TIMEOUT = 10.0  # seconds: it is next door, or nowhere


@dataclass(frozen=True, slots=True)
class Bearer:
    """The token for the store at `client`; two are equal when they prove the same identity."""

    client: StoreClient
    grant: Grant
    tokens: CachedSource

    @classmethod
    def of(cls, client: StoreClient, grant: Grant, token_url: str, clock: Clock) -> Bearer:
        """A bearer whose tokens come from `token_url`, or from the platform, and live in memory."""
        if grant.asks == "platform":
            endpoint = Endpoint("", timeout=_PLATFORM_TIMEOUT)
        else:
            endpoint = Endpoint(token_url, ca_file=client.ca_file)
        return cls(client, grant, CachedSource(grant, endpoint, account=client.title, clock=clock))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bearer) and (self.client, self.grant) == (other.client, other.grant)

    def __hash__(self) -> int:
        return hash(self.client)

    async def ask(self, path: str) -> HttpResponse:
        """What `StoreClient.ask` answers to who shows the token; raises as `headers` and as that."""
        return await self.client.ask(path, headers=await self.headers())

    async def headers(self) -> dict[str, Text]:
        """The header with the token. Raises `SecretUnavailable` when that may pass, else `SecretError`."""
        try:
            token = await self.tokens.token()
        except TokenUnavailable as error:
            raise SecretUnavailable(
                self._told(error),
                reference=self.client.reference,
                hint=error.hint or "It is asked again by itself.",
                retry_after=error.retry_after,
            ) from error
        except CredentialError as error:
            raise SecretError(self._told(error), reference=self.client.reference, hint=error.hint) from error
        return {"Authorization": Secret(f"Bearer {token.access.reveal()}")}

    def _told(self, error: CredentialError) -> str:
        begin = f"No token for {self.client.title}: "
        return begin + error.message.removeprefix(begin)
