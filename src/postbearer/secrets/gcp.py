"""``gcp-secret-manager:project/secret``: a secret in Google Cloud, the latest or that of a ``/version``."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from postbearer.errors import SecretError, UsageError
from postbearer.http import HttpResponse, check_url
from postbearer.oauth import GoogleMachine, Grant, JwtBearer
from postbearer.providers import preset
from postbearer.secret import Secret
from postbearer.secrets.bearer import Bearer
from postbearer.secrets.file import text_secret
from postbearer.secrets.reference import ReferenceContext
from postbearer.secrets.settings import StoreSettings
from postbearer.secrets.store_client import StoreClient, split, url_path

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_METADATA = {"metadata.google.internal": "169.254.169.254"}  # a name could be anybody's


@dataclass(frozen=True, slots=True)
class CloudSecret:
    """The secret at `path`: ``projects/…/secrets/…/versions/…``."""

    client: StoreClient
    path: str
    bearer: Bearer

    @property
    def reference(self) -> str:
        return self.client.reference

    async def read(self) -> Secret:
        path = url_path(self.path, self.reference)
        found = self._found(await self.bearer.ask(f"v1/{path}:access"))
        if isinstance(found, SecretError):
            raise found
        return found

    def _found(self, response: HttpResponse) -> Secret | SecretError:
        if response.ok:
            octets = _payload(response.json())
            if octets is None:
                return self.client.error(f"gave nothing that can be read for {self.path}.")
            return text_secret(octets, self.reference)
        if response.status == 404:
            hint = "Write it: gcloud secrets versions add NAME --data-file=FILE; or correct project and name."
            return self.client.refused(response, f"find {self.path}", hint)
        match response.json():
            case {"error": {"status": "FAILED_PRECONDITION"}}:
                hint = "Enable this version, or write a new one."
            case {"error": {"status": "UNAUTHENTICATED"}}:
                hint = "Make a new key for the service account, and name it by service-account."
            case _:
                hint = "Give the service account the role roles/secretmanager.secretAccessor on the secret."
        return self.client.refused(response, f"give {self.path}", hint)


def open_gcp(rest: str, place: ReferenceContext) -> CloudSecret:
    """The source for ``gcp-secret-manager:rest``. Raises `SecretError` when a setting cannot be used."""
    reference = f"{place.scheme}:{rest}"
    project, name = split(rest, "/", f"{place.scheme}:project/secret", reference)
    name, _, version = name.partition("/")
    given = StoreSettings(place, reference)
    location = given.text("location")
    host = f"secretmanager.{location}.rep" if location else "secretmanager"
    url = given.url("endpoint", default=f"https://{host}.googleapis.com")
    client = StoreClient("Google Secret Manager", url, reference, given.path("ca-file"), place.clock)
    place_of_it = f"projects/{project}/locations/{location}" if location else f"projects/{project}"
    token_url = given.url("token-url", default=preset("google").token_url)
    bearer = Bearer.of(client, _grant(given), token_url, place.clock)
    return CloudSecret(client, f"{place_of_it}/secrets/{name}/versions/{version or 'latest'}", bearer)


def _grant(given: StoreSettings) -> Grant:
    """A service account by its key, else the one that the machine has."""
    if key := given.secret_file("service-account", "GOOGLE_APPLICATION_CREDENTIALS"):
        return JwtBearer(key, scopes=[_SCOPE])
    host = given.text("metadata-host", "GCE_METADATA_HOST", default="metadata.google.internal")
    host = _METADATA.get(host, host)
    try:
        check_url(f"http://{host}", platform=True)
    except UsageError as error:
        raise SecretError(
            f"The metadata server {host} cannot be used: {error.message}", reference=given.reference
        ) from None
    return GoogleMachine(host)


def _payload(body: object) -> bytes | None:
    match body:
        case {"payload": {"data": str(data)}}:
            try:
                return base64.b64decode(data, validate=True)
            except binascii.Error:
                return None
    return None
