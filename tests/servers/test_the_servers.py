"""What the servers themselves do, seen by clients that are not postbearer: other tests build on it."""

from __future__ import annotations

import json
import smtplib
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from . import nodejs
from .authorization import AuthorizationServer
from .clients import Mechanism, Submission, connected, log_in, logged_in
from .dovecot import Dovecot
from .postfix import Postfix
from .processes import program
from .sink import Sink, from_first_header

pytestmark = pytest.mark.servers

SENDER = "sender@example.org"
MESSAGE = (
    b"X-First: this line leads\r\nSubject: dots\r\n"
    b"Bcc: hidden@example.org\r\nReturn-Path: <x@example.org>\r\n"
    b"\r\n.\r\n..two\r\nend without end of line, and a long one: " + b"x" * 900 + b"\r\n"
)


def answers(
    server: Submission, mechanism: Mechanism, token: str, user: str = SENDER
) -> list[tuple[int, str]]:
    with connected(server) as client:
        return log_in(client, mechanism, user, token)


# --- logging in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("client", ["post", "basic", "opaque"])
def test_a_good_token_logs_in(
    server: Submission, authorization_server: AuthorizationServer, client: str, mechanism: Mechanism
) -> None:
    token = authorization_server.client_credentials_token(client)
    assert (token.count(".") == 2) is (client != "opaque")  # a JWT, or not
    [(code, _)] = answers(server, mechanism, token)
    assert code == 235


def test_a_persons_token_logs_in_over_implicit_tls(
    server: Submission, authorization_server: AuthorizationServer
) -> None:
    token = authorization_server.access_token("person@example.org", client="opaque")
    with logged_in(server, "person@example.org", token, implicit_tls=True) as client:
        assert client.noop()[0] == 250


REFUSED_TOKENS = [
    "wrong",
    "expired JWT",
    "expired opaque",
    "another user's JWT",
    "another user's opaque",
    "damaged",
]


def refused_token(authorization: AuthorizationServer, kind: str) -> str:
    match kind:
        case "wrong":
            return "canary-token-nobody-issued"
        case "expired JWT":
            return authorization.access_token(SENDER, lifetime=-60)
        case "expired opaque":
            return authorization.access_token(SENDER, client="opaque", lifetime=-60)
        case "another user's JWT":
            return authorization.client_credentials_token("other")
        case "another user's opaque":
            return authorization.access_token("other@example.org", client="opaque")
    return authorization.client_credentials_token("post")[:-4] + "AAAA"


@pytest.mark.parametrize("kind", REFUSED_TOKENS)
def test_a_token_found_bad_is_refused_with_a_challenge(
    server: Submission, authorization_server: AuthorizationServer, kind: str
) -> None:
    token = refused_token(authorization_server, kind)
    (challenge, text), (code, last) = answers(server, "XOAUTH2", token)
    assert (challenge, json.loads(text)) == (334, {"status": "401", "schemes": "bearer", "scope": "mail"})
    assert code == 535
    assert last.startswith("5.7.8 ")


def test_oauthbearer_has_a_challenge_of_its_own(server: Submission) -> None:
    (challenge, text), (code, _) = answers(server, "OAUTHBEARER", "canary-token-nobody-issued")
    assert (challenge, json.loads(text), code) == (334, {"status": "invalid_token"}, 535)


def test_a_forbidden_account_gets_a_bare_535(
    server: Submission, authorization_server: AuthorizationServer
) -> None:
    token = authorization_server.client_credentials_token("blocked")
    [(code, text)] = answers(server, "XOAUTH2", token, "blocked@example.org")
    assert code == 535
    assert text.endswith("this account may not send")


def test_an_internal_failure_is_454_at_dovecot(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer
) -> None:
    token = authorization_server.client_credentials_token("opaque")
    with authorization_server.failing("introspection"):
        [(code, text)] = answers(dovecot_submission, "XOAUTH2", token)
    assert code == 454
    assert text.startswith("4.7.0 Temporary authentication failure")
    assert answers(dovecot_submission, "XOAUTH2", token)[0][0] == 235


def test_the_same_failure_is_a_bare_535_at_postfix(
    mail_servers: Postfix, authorization_server: AuthorizationServer
) -> None:
    """Postfix 3.7 does not see that Dovecot called the failure temporary."""
    token = authorization_server.client_credentials_token("opaque")
    with authorization_server.failing("introspection"):
        [(code, _)] = answers(mail_servers, "XOAUTH2", token)
    assert code == 535


def test_a_token_of_12_kib_is_the_most_that_passes(
    mail_servers: Postfix, dovecot_submission: Dovecot, authorization_server: AuthorizationServer
) -> None:
    """Dovecot 2.3 reads 16,384 octets of base64 and no more, its own submission service 8,192."""
    large = authorization_server.client_credentials_token("large")
    assert 12_000 < len(large) < 12_288
    assert answers(mail_servers, "XOAUTH2", large)[0][0] == 235
    assert answers(dovecot_submission, "XOAUTH2", large) == [(500, "5.5.2 Line too long")]


def test_a_token_of_16_kib_makes_postfix_lose_its_authentication_server(
    mail_servers: Postfix, authorization_server: AuthorizationServer
) -> None:
    oversize = authorization_server.client_credentials_token("oversize")
    assert len(oversize) == 16_384
    [(code, text)] = answers(mail_servers, "XOAUTH2", oversize)
    assert (code, text.startswith("4.7.0 Temporary authentication failure")) == (454, True)


# --- sending --------------------------------------------------------------------------------------


def test_what_the_servers_offer(mail_servers: Postfix, dovecot_submission: Dovecot) -> None:
    common = {"size", "auth", "enhancedstatuscodes", "8bitmime", "dsn", "chunking", "pipelining"}
    with connected(mail_servers) as client:
        assert common | {"smtputf8"} <= set(client.esmtp_features)
        assert "binarymime" not in client.esmtp_features
    with connected(dovecot_submission) as client:
        assert common | {"binarymime"} <= set(client.esmtp_features)
        assert "smtputf8" not in client.esmtp_features


def test_postfix_wants_tls_before_a_token(mail_servers: Postfix) -> None:
    """Dovecot takes loopback for safe and offers AUTH at once."""
    with smtplib.SMTP(mail_servers.host, mail_servers.submission_port, timeout=20) as client:
        client.ehlo("client.example.org")
        assert "starttls" in client.esmtp_features
        assert "auth" not in client.esmtp_features


def test_data_arrives_byte_for_byte(
    server: Submission, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    token = authorization_server.client_credentials_token()
    with logged_in(server, SENDER, token) as client:
        client.sendmail(SENDER, ["a@example.org"], MESSAGE)
    [message] = sink.wait_for(1)
    assert (message.sender, message.addresses) == (SENDER, ("a@example.org",))
    assert from_first_header(message.content, MESSAGE) == MESSAGE


def test_8_bit_content_in_chunks_arrives_byte_for_byte(
    server: Submission, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    content = b"X-First: 8 bit\r\n\r\n" + bytes(range(0x80, 0x100)) + b"\r\n"
    with logged_in(server, SENDER, authorization_server.client_credentials_token()) as client:
        client.mail(SENDER, ["BODY=8BITMIME"])
        client.rcpt("a@example.org")
        send_in_chunks(client, content[:30], content[30:])
    [message] = sink.wait_for(1)
    assert from_first_header(message.content, content) == content


def test_binary_content_arrives_byte_for_byte_through_dovecot(
    dovecot_submission: Dovecot, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    """All but a bare LF, which Dovecot 2.3 turns into CRLF."""
    octets = bytes(range(256)).replace(b"\n", b"")
    content = b"X-First: binary\r\n\r\n" + octets * 300 + b"\r\n.\r\nend"
    with logged_in(dovecot_submission, SENDER, authorization_server.client_credentials_token()) as client:
        client.mail(SENDER, ["BODY=BINARYMIME"])
        client.rcpt("a@example.org")
        send_in_chunks(client, content)
    [message] = sink.wait_for(1)
    assert (message.verb, message.parameters["BODY"]) == ("BDAT", "BINARYMIME")
    assert from_first_header(message.content, content) == content


def send_in_chunks(client: Any, *chunks: bytes) -> None:
    for chunk in chunks:
        last = " LAST" if chunk is chunks[-1] else ""
        client.putcmd(f"BDAT {len(chunk)}{last}")
        client.send(chunk)
        code, text = client.getreply()
        assert code == 250, text


def test_international_addresses_pass_postfix(
    mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    content = "X-First: grün\r\n\r\nüber\r\n".encode()
    with logged_in(mail_servers, SENDER, authorization_server.client_credentials_token()) as client:
        client.sendmail(
            "jürgen@example.org", ["用户@例え.example.org"], content, ["SMTPUTF8", "BODY=8BITMIME"]
        )
    [message] = sink.wait_for(1)
    assert (message.sender, message.addresses) == ("jürgen@example.org", ("用户@例え.example.org",))
    assert "SMTPUTF8" in message.parameters
    assert from_first_header(message.content, content) == content


def test_delivery_status_requests_are_passed_on(
    server: Submission, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    asked = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;First@example.org"]
    with logged_in(server, SENDER, authorization_server.client_credentials_token()) as client:
        client.sendmail(SENDER, ["a@example.org"], MESSAGE, ["RET=HDRS", "ENVID=id-7"], asked)
    [message] = sink.wait_for(1)
    assert {"RET": "HDRS", "ENVID": "id-7"}.items() <= message.parameters.items()
    assert message.recipients[0].parameters == {
        "NOTIFY": "SUCCESS,FAILURE",
        "ORCPT": "rfc822;First@example.org",
    }


def test_200_recipients_arrive_in_one_transaction(
    server: Submission, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    recipients = [f"r{number}@example.org" for number in range(200)]
    with logged_in(server, SENDER, authorization_server.client_credentials_token()) as client:
        client.sendmail(SENDER, recipients, MESSAGE)
    [message] = sink.wait_for(1)
    assert set(message.addresses) == set(recipients)


def test_postfix_refuses_some_recipients(
    mail_servers: Postfix, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    recipients = [*mail_servers.refused, "a@example.org"]
    with logged_in(mail_servers, SENDER, authorization_server.client_credentials_token()) as client:
        refused = client.sendmail(SENDER, recipients, MESSAGE)
    assert {address: code for address, (code, _) in refused.items()} == {
        "unknown@example.org": 550,
        "later@example.org": 450,
    }
    [message] = sink.wait_for(1)
    assert message.addresses == ("a@example.org",)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_curl_sends_through_them(
    server: Submission,
    authorization_server: AuthorizationServer,
    sink: Sink,
    tmp_path: Path,
    mechanism: Mechanism,
) -> None:
    curl = program("curl", "curl")
    (tmp_path / "message").write_bytes(MESSAGE)
    token = authorization_server.client_credentials_token("opaque")
    argv = [curl, "--silent", "--show-error", "--ssl-reqd", f"smtp://{server.host}:{server.submission_port}"]
    argv += ["--cacert", str(server.ca_file), "--user", f"{SENDER}:", "--oauth2-bearer", token]
    argv += ["--login-options", f"AUTH={mechanism}", "--mail-from", SENDER, "--mail-rcpt", "a@example.org"]
    subprocess.run([*argv, "--upload-file", str(tmp_path / "message")], check=True, timeout=30)
    [message] = sink.wait_for(1)
    assert from_first_header(message.content, MESSAGE) == MESSAGE


def test_nodemailer_sends_with_a_refresh_token(
    server: Submission, authorization_server: AuthorizationServer, sink: Sink
) -> None:
    client = authorization_server.clients["post"]
    identity = {
        "type": "OAuth2",
        "user": SENDER,
        "clientId": client.id,
        "clientSecret": client.secret,
        "refreshToken": authorization_server.refresh_token(SENDER),
        "accessUrl": authorization_server.token_url,
    }
    transport = {"host": server.host, "port": server.submission_port, "requireTLS": True, "auth": identity}
    transport["tls"] = {"ca": server.ca_file.read_text()}
    result = nodejs.send(transport, SENDER, ["a@example.org"], MESSAGE)
    assert result.get("accepted") == ["a@example.org"], result
    [message] = sink.wait_for(1)
    assert from_first_header(message.content, MESSAGE) == MESSAGE


# --- the authorization server ---------------------------------------------------------------------


def ask_token(server: AuthorizationServer, **form: str) -> tuple[int, dict[str, Any]]:
    data = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(server.token_url, data, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_refresh_token_rotates_and_its_reuse_ends_the_grant(
    authorization_server: AuthorizationServer,
) -> None:
    client = authorization_server.clients["post"]
    identity = {"grant_type": "refresh_token", "client_id": client.id, "client_secret": client.secret}
    first = authorization_server.refresh_token(SENDER)
    before = authorization_server.token_requests()
    status, answer = ask_token(authorization_server, **identity, refresh_token=first)
    assert (status, answer["expires_in"], answer["refresh_token"] != first) == (200, client.lifetime, True)
    status, reused = ask_token(authorization_server, **identity, refresh_token=first)
    assert (status, reused["error"]) == (400, "invalid_grant")
    status, gone = ask_token(authorization_server, **identity, refresh_token=answer["refresh_token"])
    assert (status, gone["error"]) == (400, "invalid_grant")
    assert authorization_server.token_requests() - before == 3


def test_the_password_grant_knows_one_person(
    authorization_server: AuthorizationServer, server: Submission
) -> None:
    person = authorization_server.password_user
    form = {"grant_type": "password", "client_id": "public", "username": person.user, "scope": "mail.send"}
    status, answer = ask_token(authorization_server, **form, password=person.password)
    assert (status, "refresh_token" in answer) == (200, True)
    assert answers(server, "XOAUTH2", answer["access_token"], person.user)[0][0] == 235
    status, answer = ask_token(authorization_server, **form, password="wrong")
    assert (status, answer["error"]) == (400, "invalid_grant")


def test_a_client_with_brief_tokens_and_a_failing_endpoint(authorization_server: AuthorizationServer) -> None:
    brief = authorization_server.clients["brief"]
    form = {"grant_type": "client_credentials", "client_id": brief.id, "client_secret": brief.secret}
    assert ask_token(authorization_server, **form)[1]["expires_in"] == 2
    with authorization_server.failing("token", 503):
        assert ask_token(authorization_server, **form)[0] == 503
    assert ask_token(authorization_server, **form)[0] == 200


def test_the_system_keeps_its_own_servers(mail_servers: Postfix, dovecot_submission: Dovecot) -> None:
    """Nothing outside the temporary folder is in use."""
    argv = [program("postconf", "postfix"), "-c", str(mail_servers.log.path.parent / "etc"), "-h"]
    argv += ["config_directory", "queue_directory", "data_directory", "maillog_file"]
    settings = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    folder = mail_servers.log.path.parent.parent
    assert all(Path(setting).is_relative_to(folder) for setting in settings)
    assert dovecot_submission.auth_socket.is_relative_to(folder)
