"""``aws-secrets-manager:``, against moto, which plays AWS."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from botocore.session import Session
from moto.server import ThreadedMotoServer

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import source
from secret_stores.conftest import Named
from support.canary import assert_absent
from support.planted import told
from support.tokenserver import Answer, TokenServer, said, serving

CANARY = "0.AAACANARY~client-secret"
KEY = "CANARYwJalrXUtnFEMIK7MDENG"
ROLE = "arn:aws:iam::123456789012:role/mailer"
TABLE = 'type = "aws-secrets-manager"\n'


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """AWS with a few secrets, and the variables of its own tools; gives a client to change them."""
    urlopen(Request(f"{moto}/moto-api/reset", method="POST")).close()
    variables = {
        "AWS_ENDPOINT_URL": moto,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = Session().create_client("secretsmanager", region_name="eu-central-1")
    client.create_secret(Name="mail/json", SecretString=json.dumps({"client-secret": CANARY, "port": 587}))
    client.create_secret(Name="mail/text", SecretString=CANARY)
    client.create_secret(Name="mail/octets", SecretBinary=f"{CANARY}\n".encode())
    return client


@pytest.mark.parametrize("rest", ["mail/json#client-secret", "mail/text", "mail/octets"])
async def test_the_environment_of_awss_own_tools_is_enough(aws: Any, rest: str) -> None:
    assert await source(f"aws-secrets-manager:{rest}").read() == Secret(CANARY)


async def test_a_new_value_is_read_at_once(aws: Any) -> None:
    secret = source("aws-secrets-manager:mail/text")
    await secret.read()
    aws.put_secret_value(SecretId="mail/text", SecretString="the new one")
    assert await secret.read() == Secret("the new one")


async def test_an_arn_says_its_region(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    arn = aws.describe_secret(SecretId="mail/json")["ARN"]
    assert await source(f"aws-secrets-manager:{arn}#client-secret").read() == Secret(CANARY)


async def test_a_table_with_a_key_and_a_role(
    aws: Any, moto: str, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("KEY", KEY)
    table = f'{TABLE}region = "eu-central-1"\nendpoint = "{moto}"\n'
    table += 'access-key-id = "AKIAEXAMPLE"\nsecret-access-key = "env:KEY"\n'
    assert await named("mail/text", table).read() == Secret(CANARY)
    assert await named("mail/text", f'{table}role = "{ROLE}"\n').read() == Secret(CANARY)


async def test_a_shared_profile(
    aws: Any, named: Named, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text(
        f"[mailer]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {KEY}\nregion = eu-central-1\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert await named("mail/text", f'{TABLE}profile = "mailer"\n').read() == Secret(CANARY)
    with pytest.raises(SecretError, match=r"The config profile \(other\) could not be found"):
        await named("mail/text", f'{TABLE}profile = "other"\n').read()


@pytest.mark.parametrize(
    ("rest", "says", "hint"),
    [
        ("mail/json#password", "has no field password in mail/json; its fields: client-secret, port", ""),
        ("mail/json#port", "has no text in the field port", ""),
        ("mail/text#password", "is no JSON object and has no field password", "Leave out #password"),
        ("mail/none", "refuses to give mail/none (ResourceNotFoundException", "create-secret"),
        ("mail/gone", "refuses to give mail/gone (InvalidRequestException", "describe-secret"),
        ("mail text", "AWS ", ""),
    ],
)
async def test_what_is_not_there_is_told(aws: Any, rest: str, says: str, hint: str) -> None:
    aws.create_secret(Name="mail/gone", SecretString=CANARY)
    aws.delete_secret(SecretId="mail/gone")
    with pytest.raises(SecretError) as caught:
        await source(f"aws-secrets-manager:{rest}").read()
    assert not isinstance(caught.value, SecretUnavailable)
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert_absent(CANARY, told(caught.value))
    assert_absent(KEY, told(caught.value))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, aws: Any) -> Iterator[TokenServer]:
    """Something in AWS's place that answers as scripted."""
    with serving() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url.removesuffix("/token"))
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield server


@pytest.mark.parametrize(
    "answer",
    [
        said(500, __type="InternalServiceError", message="An error occurred on the server side."),
        said(400, __type="ThrottlingException", message="Rate exceeded"),
        said(503),
        Answer(hang_up=True),
    ],
)
async def test_an_outage_passes(failing: TokenServer, answer: Answer) -> None:
    failing.script += [answer, answer, answer]
    with pytest.raises(SecretUnavailable) as caught:
        await source("aws-secrets-manager:mail/text").read()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("code", "says", "hint"),
    [
        ("AccessDeniedException", "User: x is not authorized to perform: secretsmanager:GetSecretValue",
         "Allow secretsmanager:GetSecretValue"),
        ("UnrecognizedClientException", "The security token included in the request is invalid.",
         "Check the credentials"),
        ("ExpiredTokenException", "The security token is expired", "Check the credentials"),
        ("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text", "kms:Decrypt"),
    ],
)  # fmt: skip
async def test_a_denial_names_the_permission(failing: TokenServer, code: str, says: str, hint: str) -> None:
    """In the words of AWS's documentation: moto refuses in another form than AWS does."""
    failing.script.append(said(400, __type=code, message=says))
    with pytest.raises(SecretError, match=rf"refuses to give mail/text \({code}: {says[:-1]}") as caught:
        await source("aws-secrets-manager:mail/text").read()
    assert not isinstance(caught.value, SecretUnavailable)
    assert hint in caught.value.hint


async def test_a_refused_role_is_told_as_such(failing: TokenServer, named: Named) -> None:
    refusal = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    failing.script.append(Answer(403, refusal, {"content-type": "text/xml"}))
    with pytest.raises(SecretError, match=f"the role {ROLE}") as caught:
        await named("mail/text", f'{TABLE}role = "{ROLE}"\n').read()
    assert "sts:AssumeRole" in caught.value.hint


@pytest.mark.parametrize(
    ("variables", "says", "hint"),
    [
        ({"AWS_REGION": ""}, "You must specify a region", "AWS_REGION"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials", "profile"),
        ({"AWS_ENDPOINT_URL": "http://aws.example.org"}, "http:// is not safe", "https"),
    ],
)
async def test_what_is_not_set_up(
    aws: Any,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    says: str,
    hint: str,
    tmp_path: Path,
) -> None:
    for name, value in variables.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    with pytest.raises(SecretError, match=says) as caught:
        await source("aws-secrets-manager:mail/text").read()
    assert not isinstance(caught.value, SecretUnavailable)
    assert hint in caught.value.hint


@pytest.mark.parametrize("rest", ["#x", "mail#"])
def test_a_wrong_reference(rest: str) -> None:
    with pytest.raises(SecretError, match="not complete"):
        source(f"aws-secrets-manager:{rest}")


async def test_o9_nothing_is_logged_of_what_is_read(aws: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await source("aws-secrets-manager:mail/text").read()
    assert_absent(CANARY, caplog.text)
    assert_absent(KEY, caplog.text)
