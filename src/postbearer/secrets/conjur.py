"""``conjur:path``: a variable in CyberArk Conjur."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import quote

from postbearer.errors import SecretError
from postbearer.http import HttpResponse, Text
from postbearer.secret import Secret, SecretSource
from postbearer.secrets.file import text_secret
from postbearer.secrets.reference import ReferenceContext
from postbearer.secrets.settings import StoreSettings
from postbearer.secrets.store_client import StoreClient, url_path

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@dataclass(frozen=True, slots=True)
class ConjurSecret:
    """The variable `path` of `account`. `proof` is an API key, or a JWT for the authenticator `service`."""

    client: StoreClient
    path: str
    account: str
    login: str
    proof: SecretSource
    service: str = ""

    @property
    def reference(self) -> str:
        return self.client.reference

    async def read(self) -> Secret:
        token = await self._token()  # it lives for eight minutes, so none is kept
        path = f"secrets/{_part(self.account)}/variable/{_part(self.path)}"
        response = await self.client.ask(path, headers={"Authorization": token, "Accept": "*/*"})
        if not response.ok:
            raise self._refusal(response)
        return text_secret(response.body, self.reference)

    async def _token(self) -> Secret:
        proof = await self.proof.read()
        form: dict[str, Text] | None = {"jwt": Secret(proof.reveal().strip())} if self.service else None
        method = f"authn-jwt/{url_path(self.service, self.reference)}" if self.service else "authn"
        login = f"/{_part(self.login)}" if self.login else ""  # a JWT may say itself who it is
        path = f"{method}/{_part(self.account)}{login}"
        response = await self.client.ask(f"{path}/authenticate", form=form, content=None if form else proof)
        if not response.ok or not isinstance(response.json(), dict):  # a portal may say 200 too
            hint = (
                "Check service-id and login, and that the policy lets the host use the service."
                if self.service
                else "Check account, login and API key."
            )
            raise self.client.refused(response, f"log {self.login or 'us'} in at {path}", hint, [proof])
        return Secret(f'Token token="{base64.b64encode(response.body).decode()}"')

    def _refusal(self, response: HttpResponse) -> SecretError:
        if response.status == 404:
            return self.client.refused(
                response,
                f"find a value of {self.path}",
                f"Write it: conjur variable set -i {self.path} -v …; or correct the path, or let "
                f"{self.login or 'the host'} read and execute it.",
            )
        return self.client.refused(
            response,
            f"give {self.path}",
            f"Permit {self.login or 'the host'} to read and execute this variable in the policy.",
        )


def open_conjur(rest: str, place: ReferenceContext) -> ConjurSecret:
    """The source for ``conjur:rest``. Raises `SecretError` when a setting is missing."""
    reference = f"{place.scheme}:{rest}"
    given = StoreSettings(place, reference)
    url = given.url("address", "CONJUR_APPLIANCE_URL")
    client = StoreClient("Conjur", url, reference, given.path("ca-file", "CONJUR_CERT_FILE"), place.clock)
    account = given.needed("account", "CONJUR_ACCOUNT")
    service = given.text("service-id", "CONJUR_AUTHN_JWT_SERVICE_ID")
    if service:
        login = given.text("login", "CONJUR_AUTHN_JWT_HOST_ID")
        jwt = given.secret("jwt", "CONJUR_AUTHN_JWT_TOKEN") or given.secret_file("jwt", "JWT_TOKEN_PATH")
        return ConjurSecret(client, rest, account, login, jwt or given.file(_SERVICE_ACCOUNT), service)
    login = given.needed("login", "CONJUR_AUTHN_LOGIN")
    return ConjurSecret(client, rest, account, login, given.needed_secret("api-key", "CONJUR_AUTHN_API_KEY"))


def _part(text: str) -> str:
    return quote(text, safe="")
