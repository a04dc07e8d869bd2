"""``postbearer send`` and ``token`` as processes of their own, with a configuration written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.canary import assert_absent

from .authorization import AuthorizationServer
from .clients import logged_in
from .dovecot import Dovecot
from .postfix import Postfix
from .sending import MESSAGE, RECIPIENT, SENDER, Command, Visit, Watched, command, visits
from .sink import Sink, from_first_header

pytestmark = pytest.mark.servers

OK, DATA, UNAVAILABLE, TRY_AGAIN, NO_PERMISSION, CONFIG = 0, 65, 69, 75, 77, 78


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_raw_message_goes_out_as_it_is(
    tmp_path: Path,
    server: Watched,
    authorization_server: AuthorizationServer,
    sink: Sink,
    mechanism: str,
    tls: str,
) -> None:
    content = MESSAGE + b".\r\n..\r\n" + "grün\r\n".encode() + b"x" * 998 + b"\r\n"
    settings = (f'mechanism = "{mechanism}"', f'tls = "{tls}"')
    before = authorization_server.token_requests()
    postbearer = command(tmp_path, server, authorization_server, *settings)
    result = postbearer.send(content, "--json")
    assert (result.returncode, result.stderr) == (OK, b"")
    assert json.loads(result.stdout)["delivered"] == 1
    [message] = sink.wait_for(1)
    assert (message.sender, message.addresses) == (SENDER, (RECIPIENT,))
    assert from_first_header(message.content, content) == content
    assert authorization_server.token_requests() - before == 1
    assert visits(server, 1) == [Visit(logged_in=1, messages=1)]
    assert f"method={mechanism}" in server.log.text().lower().replace("sasl_method", "method")


def test_a_second_process_needs_no_second_token(
    tmp_path: Path, server: Watched, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    before = authorization_server.token_requests()
    postbearer = command(
        tmp_path, server, authorization_server, 'client-authentication = "basic"', client="basic"
    )
    assert [postbearer.send().returncode for _ in range(2)] == [OK, OK]
    assert len(sink.wait_for(2)) == 2
    assert authorization_server.token_requests() - before == 1


def test_the_password_grant(
    tmp_path: Path, dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    person = authorization_server.password_user
    (tmp_path / "config.toml").write_text(
        f"""
[accounts.alerts]
provider = "smtp"
address = "{person.user}"
servers = ["{dovecot_submission.host}:{dovecot_submission.submission_port}"]
ca-file = "{dovecot_submission.ca_file}"
grant = "password"
password = "file:password"
token-url = "{authorization_server.token_url}"
client-id = "public"
client-authentication = "none"
scopes = ["{authorization_server.scope}"]
"""
    )
    (tmp_path / "password").write_text(person.password + "\n")
    (tmp_path / "password").chmod(0o600)
    result = Command(tmp_path, {}).send()
    assert result.returncode == OK, result.stderr
    [message] = sink.wait_for(1)
    assert message.sender == person.user


def test_a_token_for_another_program(
    tmp_path: Path, server: Watched, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    """What ``token`` prints logs in elsewhere, is asked for once, and is what ``send`` uses."""
    before = authorization_server.token_requests()
    postbearer = command(tmp_path, server, authorization_server)
    first, second = (postbearer.run("token", "alerts") for _ in range(2))
    assert (first.returncode, first.stderr) == (OK, b"")
    assert first.stdout == second.stdout
    with logged_in(server, SENDER, first.stdout.decode().strip()) as client:
        assert client.noop()[0] == 250
    assert postbearer.send().returncode == OK
    assert len(sink.wait_for(1)) == 1
    assert authorization_server.token_requests() - before == 1


def test_an_internal_failure_means_try_again(
    tmp_path: Path, dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    before = authorization_server.token_requests()
    postbearer = command(tmp_path, dovecot_submission, authorization_server, client="opaque")
    with authorization_server.failing("introspection"):
        result = postbearer.send()
    assert result.returncode == TRY_AGAIN
    assert b"454" in result.stderr
    assert postbearer.send().returncode == OK
    assert authorization_server.token_requests() - before == 1
    assert len(sink.messages()) == 1


def test_a_failing_authorization_server_means_try_again(
    tmp_path: Path, server: Watched, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    postbearer = command(tmp_path, server, authorization_server)
    with authorization_server.failing("token"):
        result = postbearer.send()
    assert result.returncode == TRY_AGAIN
    assert b"temporarily_unavailable" in result.stderr
    assert postbearer.send().returncode == OK


@pytest.mark.parametrize("kind", ["nobody issued it", "expired"])
def test_a_refused_static_token_means_no_permission(
    tmp_path: Path, server: Watched, authorization_server: AuthorizationServer, sink: Sink, kind: str
) -> None:
    token = "canary-token-nobody-issued"
    if kind == "expired":
        token = authorization_server.access_token(SENDER, lifetime=-60)
    postbearer = command(
        tmp_path,
        server,
        authorization_server,
        'token = "env:ALERTS_TOKEN"',
        grant="static",
        secrets={"ALERTS_TOKEN": token},
    )
    result = postbearer.send()
    assert result.returncode == NO_PERMISSION
    assert b"535" in result.stderr
    assert b"static token cannot be renewed" in result.stderr
    assert_absent(token, result.stdout, result.stderr)
    assert visits(server, 1) == [Visit(refused=1)]
    assert sink.messages() == []


def test_a_token_for_another_user_means_no_permission(
    tmp_path: Path, server: Watched, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    result = command(tmp_path, server, authorization_server, client="other").send()
    assert result.returncode == NO_PERMISSION
    assert b"check user name" in result.stderr
    assert visits(server, 2) == [Visit(refused=1), Visit(refused=1)]
    assert sink.messages() == []


def test_a_revoked_refresh_token_means_no_permission_and_whom_to_ask(
    tmp_path: Path, dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    postbearer = command(
        tmp_path,
        dovecot_submission,
        authorization_server,
        'refresh-token = "env:ALERTS_REFRESH"',
        grant="refresh-token",
        secrets={"ALERTS_REFRESH": "canary-refresh-token-of-nobody"},
    )
    result = postbearer.send()
    assert result.returncode == NO_PERMISSION
    assert b"invalid_grant" in result.stderr
    assert_absent("canary-refresh-token-of-nobody", result.stdout, result.stderr)
    assert_absent(postbearer.secrets["ALERTS_SECRET"], result.stdout, result.stderr)
    assert sink.messages() == []


@pytest.mark.parametrize(
    ("recipients", "code", "delivered"),
    [
        (["unknown@example.org", RECIPIENT], UNAVAILABLE, 1),
        (["later@example.org", RECIPIENT], TRY_AGAIN, 1),
        (["later@example.org", "unknown@example.org"], UNAVAILABLE, 0),
        (["later@example.org"], TRY_AGAIN, 0),
    ],
)
def test_the_exit_code_tells_of_the_recipients(
    tmp_path: Path,
    mail_servers: Postfix,
    authorization_server: AuthorizationServer,
    sink: Sink,
    recipients: list[str],
    code: int,
    delivered: int,
) -> None:
    to = [argument for recipient in recipients for argument in ("--to", recipient)]
    result = command(tmp_path, mail_servers, authorization_server).send(MESSAGE, *to, "--json")
    assert result.returncode == code
    told = {each["address"]: each["state"] for each in json.loads(result.stdout)["recipients"]}
    states = {"unknown@example.org": "failed", "later@example.org": "deferred", RECIPIENT: "delivered"}
    assert told == {recipient: states[recipient] for recipient in recipients}
    if delivered:
        [message] = sink.wait_for(1)
        assert message.addresses == (RECIPIENT,)
    assert visits(mail_servers, 1) == [Visit(logged_in=1, messages=1)]


def test_wishes_for_delivery_reports(
    tmp_path: Path, server: Watched, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    wishes = ("--dsn-notify", "success,failure", "--dsn-return", "headers", "--dsn-id", "id-7")
    result = command(tmp_path, server, authorization_server).send(MESSAGE, *wishes)
    assert result.returncode == OK, result.stderr
    [message] = sink.wait_for(1)
    assert {"RET": "HDRS", "ENVID": "id-7"}.items() <= message.parameters.items()
    assert message.recipients[0].parameters["NOTIFY"] == "SUCCESS,FAILURE"


def test_content_that_smtp_cannot_carry(
    tmp_path: Path, mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    before = authorization_server.token_requests()
    result = command(tmp_path, mail_servers, authorization_server).send(MESSAGE + b"\0\r\n")
    assert result.returncode == DATA
    assert b"NUL" in result.stderr
    assert authorization_server.token_requests() == before


def test_a_server_nobody_vouches_for_gets_no_token(
    tmp_path: Path, server: Watched, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    before = authorization_server.token_requests()
    postbearer = command(tmp_path, server, authorization_server)
    configuration = tmp_path / "config.toml"
    lines = configuration.read_text().splitlines()
    configuration.write_text("\n".join(line for line in lines if not line.startswith("ca-file")))
    result = postbearer.send()
    assert result.returncode == CONFIG  # only who sets up the account can mend it
    assert b"certificate" in result.stderr
    assert b"ca-file" in result.stderr
    assert authorization_server.token_requests() == before
    assert visits(server, 1) == [Visit()]
