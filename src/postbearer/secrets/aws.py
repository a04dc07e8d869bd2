"""``aws-secrets-manager:id#field``: a secret in AWS Secrets Manager; without ``#field``, all of its text.

botocore asks (extra ``aws``): it knows the shared profiles, and the roles of containers and machines.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postbearer.errors import SecretError, SecretUnavailable, UsageError
from postbearer.http import check_url
from postbearer.redaction import scrub
from postbearer.secret import Secret, SecretSource
from postbearer.secrets.file import text_secret
from postbearer.secrets.reference import ReferenceContext, incomplete, need
from postbearer.secrets.settings import StoreSettings
from postbearer.secrets.store_client import text_in
from postbearer.secrets.threads import in_thread

TIMEOUT = 30.0  # seconds for all of it: credentials of a machine, a role, the secret
_RETRIES = {"mode": "standard", "total_max_attempts": 2}
_PASSING = (  # beginnings of the codes that pass by themselves
    *("Throttl", "TooManyRequests", "RequestLimit", "RequestTimeout"),
    *("InternalService", "InternalFailure", "ServiceUnavailable"),
)
_HINTS = {  # beginning of the code -> what to do
    "AccessDenied": "Allow secretsmanager:GetSecretValue on it, and kms:Decrypt if the key is your own.",
    "Decryption": "Allow kms:Decrypt on its key, and look whether the key is enabled.",
    "ResourceNotFound": "Make it: aws secretsmanager create-secret --name NAME; or correct name and region.",
    "InvalidRequest": "Look at it: aws secretsmanager describe-secret --secret-id NAME",
    "": "Check the credentials, and the clock of this machine.",
}
_ASSUME = "Allow sts:AssumeRole on it, and let its trust policy name who asks."


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """How AWS is reached, and as whom; what is empty, botocore finds where its other users have it."""

    region: str = ""
    endpoint: str = ""
    ca_file: str = ""
    profile: str = ""
    role: str = ""  # to be assumed
    key_id: str = ""
    secret_key: SecretSource | None = None
    session_token: SecretSource | None = None

    async def keys(self) -> tuple[Secret | None, Secret | None]:
        """The secret key and the session token of the settings."""
        secret, token = self.secret_key, self.session_token
        return await secret.read() if secret else None, await token.read() if token else None


@dataclass(frozen=True, slots=True)
class AwsSecret:
    """The secret `id`, or one `field` of it."""

    reference: str
    id: str
    field: str
    access: AwsAccess

    async def read(self) -> Secret:
        keys = await self.access.keys()
        try:
            found = await in_thread(lambda: self._ask(*keys), TIMEOUT)
        except TimeoutError:
            raise SecretUnavailable(
                f"AWS did not answer within {TIMEOUT:g} s.", reference=self.reference
            ) from None
        if isinstance(found, SecretError):
            raise found
        return found

    def _ask(self, secret_key: Secret | None, session_token: Secret | None) -> Secret | SecretError:
        from botocore.exceptions import BotoCoreError, ClientError

        secrets = [secret for secret in (secret_key, session_token) if secret]
        try:
            client = _secrets_manager(self.access, secret_key, session_token)
            return self._pick(client.get_secret_value(SecretId=self.id))
        except ClientError as error:
            return self._refusal(error.operation_name, error.response, secrets)
        except BotoCoreError as error:
            return self._trouble(error)
        except UsageError as error:
            return SecretError(error.message, reference=self.reference, hint=error.hint)

    def _pick(self, answer: Mapping[str, Any]) -> Secret | SecretError:
        text = answer.get("SecretString")
        if not self.field:
            octets = text.encode() if isinstance(text, str) else bytes(answer.get("SecretBinary", b""))
            return text_secret(octets, self.reference)
        try:
            fields = json.loads(text or "")
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return SecretError(
                f"The secret {self.id} in AWS is no JSON object and has no field {self.field}.",
                reference=self.reference,
                hint=f"Leave out #{self.field} for all of its text.",
            )
        value = text_in(fields, self.field, self.id)
        return value if isinstance(value, Secret) else SecretError(f"AWS {value}.", reference=self.reference)

    def _refusal(self, operation: str, response: Mapping[str, Any], secrets: Sequence[Secret]) -> SecretError:
        given = response.get("Error", {})
        code, said = str(given.get("Code", "")), scrub(str(given.get("Message", "")), secrets).rstrip(".")
        what = f"the role {self.access.role}" if operation == "AssumeRole" else self.id
        text = f"{what} ({code}: {said})" if said else f"{what} ({code})"
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or code.startswith(_PASSING):
            return SecretUnavailable(
                f"AWS cannot give {text} now.", reference=self.reference, hint="It is asked again by itself."
            )
        hint = next(hint for beginning, hint in _HINTS.items() if code.startswith(beginning))
        return SecretError(
            f"AWS refuses to give {text}.",
            reference=self.reference,
            hint=_ASSUME if operation == "AssumeRole" else hint,
        )

    def _trouble(self, error: Exception) -> SecretError:
        """What went wrong before AWS said anything."""
        from botocore import exceptions as boto

        text = f"AWS was not asked for {self.id}: {scrub(str(error), ()).rstrip('.')}."
        if isinstance(error, boto.HTTPClientError | boto.MetadataRetrievalError):
            return SecretUnavailable(
                text, reference=self.reference, hint="Check region, endpoint, ca-file and the network."
            )
        hint = "Look at the settings of AWS on this machine: aws sts get-caller-identity"
        if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
            hint = (
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile, or give the machine a role."
            )
        elif isinstance(error, boto.NoRegionError):
            hint = "Set AWS_REGION, or add region to a table [secret-stores.NAME]."
        return SecretError(text, reference=self.reference, hint=hint)


def open_aws(rest: str, place: ReferenceContext) -> AwsSecret:
    """The source for ``aws-secrets-manager:rest``. Raises `SecretError` when the extra is not installed."""
    reference = f"{place.scheme}:{rest}"
    name, _, field = rest.partition("#")
    if not name or rest.endswith("#"):
        raise incomplete(reference, f"{place.scheme}:id or {place.scheme}:id#field")
    need("botocore", "aws", reference)
    given = StoreSettings(place, reference)
    access = AwsAccess(
        region=given.text("region", "AWS_REGION", default=_region_in(name)),
        endpoint=given.url("endpoint") if given.text("endpoint") else "",
        ca_file=given.path("ca-file"),
        profile=given.text("profile"),
        role=given.text("role"),
        key_id=given.text("access-key-id"),
        secret_key=given.secret("secret-access-key"),
        session_token=given.secret("session-token"),
    )
    return AwsSecret(reference, name, field, access)


def _region_in(name: str) -> str:
    """The region that an ARN says: ``arn:aws:secretsmanager:REGION:…``."""
    parts = name.split(":")
    return parts[3] if name.startswith("arn:") and len(parts) > 3 else ""


def _secrets_manager(access: AwsAccess, secret_key: Secret | None, session_token: Secret | None) -> Any:
    """A client of Secrets Manager. Raises what botocore raises, and `UsageError` for an unsafe endpoint."""
    from botocore.session import Session

    chatter = logging.getLogger("botocore")  # at DEBUG it logs whole answers
    if chatter.level == logging.NOTSET:
        chatter.setLevel(logging.INFO)
    session = Session(profile=access.profile or None)
    if access.key_id and secret_key:
        token = session_token.reveal() if session_token else None
        session.set_credentials(access.key_id, secret_key.reveal(), token)
    if access.role:
        assumed = _client(session, "sts", access).assume_role(
            RoleArn=access.role, RoleSessionName="postbearer"
        )
        fields = assumed["Credentials"]
        session.set_credentials(fields["AccessKeyId"], fields["SecretAccessKey"], fields["SessionToken"])
    return _client(session, "secretsmanager", access, access.endpoint or None)


def _client(session: Any, service: str, access: AwsAccess, endpoint: str | None = None) -> Any:
    from botocore.config import Config

    client = session.create_client(
        service,
        region_name=access.region or None,
        endpoint_url=endpoint,
        verify=access.ca_file or None,
        config=Config(connect_timeout=5, read_timeout=10, retries=_RETRIES),  # seconds
    )
    check_url(client.meta.endpoint_url)  # variables and profiles may name another than ours
    return client
