"""The identity that a cloud gives its machines: a token from the metadata service, no secret anywhere.

Azure's two forms: the instance metadata service of virtual machines, and the endpoint that App Service,
Functions and Container Apps name in ``IDENTITY_ENDPOINT``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar
from urllib.parse import urlencode

from postbearer.errors import GrantRefused, TokenUnavailable
from postbearer.oauth.endpoint import TokenRequest, read_answer
from postbearer.oauth.grants import Asks, Exchange, GrantContext, TokenGrant
from postbearer.oauth.inputs import SecretInput
from postbearer.secret import Secret

_PATH = "/metadata/identity/oauth2/token"
METADATA_SERVICE = f"http://169.254.169.254{_PATH}"

_VERSIONS = {False: "2018-02-01", True: "2019-08-01"}  # of the service: without a header secret, and with one
_NOT_YET = {404, 410}  # the identity is being assigned, or the service is being replaced: it comes back
_ALL = "/.default"


@dataclass(frozen=True, slots=True)
class ManagedIdentity(TokenGrant):
    """What the machine is, to its cloud. `client_id` chooses one of several identities.

    `endpoint` and `header` are what the platform says in ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``;
    without a header it is the instance metadata service. `scopes` names the one resource to ask for.
    """

    name: ClassVar[str] = "managed-identity"
    SECRETS: ClassVar[tuple[str, ...]] = ("header",)
    asks: ClassVar[Asks] = "platform"

    client_id: str = ""
    endpoint: str = METADATA_SERVICE
    header: SecretInput | None = field(default=None, repr=False)
    scopes: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    def on(self, environ: Mapping[str, str]) -> ManagedIdentity:
        """The same on the platform that `environ` tells of."""
        if "IDENTITY_ENDPOINT" in environ and "IDENTITY_HEADER" in environ:
            return replace(self, endpoint=environ["IDENTITY_ENDPOINT"], header="env:IDENTITY_HEADER")
        host = environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST")  # something that stands in for the service
        return replace(self, endpoint=f"{host.rstrip('/')}{_PATH}") if host else self

    def request(self, context: GrantContext) -> Exchange:
        secret = context.secrets.get("header")
        # The service takes a resource, where the token endpoint takes a scope: the same without its end.
        query = {
            "api-version": _VERSIONS[secret is not None],
            "resource": " ".join(self.scopes).removesuffix(_ALL),
            **({"client_id": self.client_id} if self.client_id else {}),
            **self.extra,
        }
        headers: dict[str, str | Secret] = {"X-IDENTITY-HEADER": secret} if secret else {"Metadata": "true"}
        response = yield TokenRequest(
            f"{self.endpoint}?{urlencode(query)}",
            headers=headers,
            method="GET",
            link_local=True,
            hint="Is this a machine of Azure that has a managed identity?",
        )
        if response.status in _NOT_YET:
            raise TokenUnavailable(
                f"The platform has no identity for this machine yet (HTTP {response.status}).",
                account=context.account,
                code=f"http_{response.status}",
                hint="It takes a minute after it was assigned.",
            )
        secrets = context.secrets.values()
        try:
            return read_answer(
                response, self.endpoint, account=context.account, secrets=secrets, now=context.now
            )
        except GrantRefused as refused:
            raise GrantRefused(
                refused.message,
                account=context.account,
                code=refused.code,
                who="tenant admin",
                hint="Assign a managed identity to this machine, name it by client-id if there are "
                "several, and give it the permission that is missing.",
                configuration=True,
            ) from None
