"""The identity that a cloud gives its machines: a token from the metadata service, no secret anywhere.

Azure's three forms: the instance metadata service of virtual machines, the endpoint that App Service,
Functions and Container Apps name in ``IDENTITY_ENDPOINT``, and the agent of Azure Arc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self
from urllib.parse import urlencode

from postbearer.errors import GrantRefused, TokenUnavailable
from postbearer.oauth import from_settings
from postbearer.oauth.arc import agent, key_folder, proof
from postbearer.oauth.endpoint import TokenRequest, read_answer
from postbearer.oauth.grants import Asks, Exchange, Grant, GrantContext, TokenGrant
from postbearer.oauth.inputs import SecretInput
from postbearer.providers import Preset
from postbearer.secret import Secret
from postbearer.settings import AccountSettings

_PATH = "/metadata/identity/oauth2/token"
METADATA_SERVICE = f"http://169.254.169.254{_PATH}"

_MACHINE, _APP_SERVICE, _ARC = "2018-02-01", "2019-08-01", "2020-06-01"  # versions of the services
_NOT_YET = {404, 410}  # the identity is being assigned, or the service is being replaced: it comes back
_REPLACED_IN = 70.0  # seconds, at most, until the service answers again after a 410
_ALL = "/.default"


@dataclass(frozen=True, slots=True)
class ManagedIdentity(TokenGrant):
    """What the machine is, to its cloud. `client_id` chooses one of several identities.

    `endpoint` and `header` are what the platform says in ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``;
    without a header it is the instance metadata service, or the agent of Azure Arc, which leaves its keys
    in the folder `keys`. `scopes` names the one resource to ask for.
    """

    name: ClassVar[str] = "managed-identity"
    meaning: ClassVar[str] = "The cloud machine that this runs on has an identity."
    renewal: ClassVar[str] = "Check which identity this host has, and what it may do."
    SECRETS: ClassVar[tuple[str, ...]] = ("header",)
    asks: ClassVar[Asks] = "platform"

    client_id: str = ""
    endpoint: str = METADATA_SERVICE
    header: SecretInput | None = field(default=None, repr=False)
    keys: str = ""
    scopes: Sequence[str] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def configured(cls, settings: AccountSettings, preset: Preset, environ: Mapping[str, str]) -> Grant:
        return cls(settings.client_id or "", **from_settings.wishes(settings)).on(environ)

    def on(self, environ: Mapping[str, str]) -> Self:
        """The same on the platform that `environ` tells of."""
        if "IDENTITY_ENDPOINT" in environ and "IDENTITY_HEADER" in environ:
            return replace(self, endpoint=environ["IDENTITY_ENDPOINT"], header="env:IDENTITY_HEADER")
        if host := environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST"):  # it stands in for the service
            return replace(self, endpoint=f"{host.rstrip('/')}{_PATH}")
        arc = agent(environ)
        return replace(self, endpoint=arc, keys=key_folder(environ)) if arc else self

    def request(self, context: GrantContext) -> Exchange:
        secret = context.secrets.get("header")
        if self.keys and self.client_id:
            raise self._refused(
                context, "Azure Arc gives a machine one identity only.", "Leave client-id out."
            )
        # The service takes a resource, where the token endpoint takes a scope: the same without its end.
        query = {
            "api-version": _APP_SERVICE if secret else _ARC if self.keys else _MACHINE,
            "resource": " ".join(self.scopes).removesuffix(_ALL),
            **({"client_id": self.client_id} if self.client_id else {}),
            **self.extra,
        }
        headers: dict[str, str | Secret] = {"X-IDENTITY-HEADER": secret} if secret else {"Metadata": "true"}
        request = TokenRequest(
            f"{self.endpoint}?{urlencode(query)}",
            headers=headers,
            method="GET",
            platform=True,
            hint="Is this a machine of Azure that has a managed identity?",
        )
        response = yield request
        secrets = list(context.secrets.values())
        if response.status == 401 and self.keys:
            key = proof(response, self.keys, context.account)
            secrets.append(key)
            told = Secret(f"Basic {key.reveal()}")  # as it stands: the agent wants no base64 of it
            response = yield replace(request, headers={**headers, "Authorization": told})
        if response.status in _NOT_YET:
            raise TokenUnavailable(
                f"The platform has no identity for this machine yet (HTTP {response.status}).",
                account=context.account,
                code=f"http_{response.status}",
                hint="It takes a minute after it was assigned.",
                retry_after=_REPLACED_IN if response.status == 410 else None,
            )
        try:
            return read_answer(
                response, self.endpoint, account=context.account, secrets=secrets, now=context.now
            )
        except GrantRefused as refused:
            raise self._refused(
                context,
                refused.message,
                "Assign a managed identity to this machine, name it by client-id if there are "
                "several, and give it the permission that is missing.",
                refused.code,
            ) from None

    def _refused(self, context: GrantContext, text: str, hint: str, code: str = "arc") -> GrantRefused:
        return GrantRefused(
            text, account=context.account, code=code, who="tenant admin", hint=hint, configuration=True
        )
