"""The sandbox behaves as the providers do; here a client of Python's own library asks it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import re
import smtplib
import socket
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.errors import PostbearerError, UsageError
from postbearer.testing import BackgroundSandbox, Faults, Ports, Sandbox, SmtpFault, TokenFault, personality
from postbearer.testing.sandbox import ADDRESS, CLIENT_ID, OTHER_ADDRESS

MESSAGE = b"From: alerts@example.org\r\nSubject: hello\r\n\r\n.dots\r\n..\r\nbody\r\n"


@pytest.fixture(params=["generic", "google", "microsoft"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with BackgroundSandbox(request.param) as sandbox:
        yield sandbox


@pytest.fixture
def microsoft() -> Iterator[Sandbox]:
    with BackgroundSandbox("microsoft") as sandbox:
        yield sandbox


@pytest.fixture
def generic() -> Iterator[Sandbox]:
    with BackgroundSandbox() as sandbox:
        yield sandbox


def post(url: str, **form: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode()) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
            return error.code, json.loads(body) if body.startswith(b"{") else body


def get_token(sandbox: Sandbox, **form: str) -> str:
    form = {"grant_type": "client_credentials", "client_secret": sandbox.client_secret} | form
    status, answer = post(sandbox.token_url, client_id=CLIENT_ID, **form)
    assert status == 200, answer
    return str(answer["access_token"])


def greeted(sandbox: Sandbox) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=str(sandbox.folder / "ca.pem"))
    smtp = smtplib.SMTP_SSL("localhost", sandbox.implicit_port, context=context)
    smtp.ehlo("client.example.org")
    return smtp


def log_in(sandbox: Sandbox, token: str, user: str = ADDRESS, *, answer: str = "") -> smtplib.SMTP:
    smtp = greeted(sandbox)
    blob = base64.b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode()).decode()
    assert smtp.docmd("AUTH", "XOAUTH2")[0] == 334
    code, text = smtp.docmd(blob)
    if code == 334:
        code, text = smtp.docmd(answer)
    if code != 235:
        smtp.close()
        raise smtplib.SMTPAuthenticationError(code, text)
    return smtp


def send(smtp: smtplib.SMTP, sender: str = ADDRESS, content: bytes = MESSAGE) -> Any:
    return smtp.sendmail(sender, ["you@example.org"], content)


def test_a_token_lets_a_message_in_and_every_byte_arrives(sandbox: Sandbox) -> None:
    with log_in(sandbox, get_token(sandbox)) as smtp:
        send(smtp)
    (received,) = sandbox.inbox.messages
    assert received.content == MESSAGE
    assert received.recipients == ("you@example.org",)
    assert received.mechanism == "XOAUTH2"
    assert sandbox.token_requests == 1


@pytest.mark.parametrize("user", [ADDRESS, "nobody@example.org"])
def test_a_wrong_token_or_user_is_refused_as_the_provider_does(sandbox: Sandbox, user: str) -> None:
    token = "wrong" if user == ADDRESS else get_token(sandbox)
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        log_in(sandbox, token, user)
    assert refused.value.smtp_code == 535
    assert (b"5.7.3" in refused.value.smtp_error) is (sandbox.personality.name == "microsoft")


def test_a_persons_token_is_for_that_person_only(generic: Sandbox) -> None:
    token = get_token(
        generic, grant_type="password", username=OTHER_ADDRESS, password=generic.users[OTHER_ADDRESS]
    )
    log_in(generic, token, OTHER_ADDRESS).quit()
    with pytest.raises(smtplib.SMTPAuthenticationError):
        log_in(generic, token, ADDRESS)


def test_an_expired_token_is_refused() -> None:
    with BackgroundSandbox(lifetime=-1) as sandbox, pytest.raises(smtplib.SMTPAuthenticationError):
        log_in(sandbox, get_token(sandbox))


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type"),
        ({"scope": "everything"}, 400, "invalid_scope"),
        ({"grant_type": "password", "username": ADDRESS, "password": "x"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
    ],
)
def test_token_errors_have_the_words_of_rfc_6749(
    generic: Sandbox, change: dict[str, str], status: int, error: str
) -> None:
    form = {"grant_type": "client_credentials", "client_secret": generic.client_secret} | change
    got, answer = post(generic.token_url, client_id=CLIENT_ID, **form)
    assert (got, answer["error"]) == (status, error)


def refresh(sandbox: Sandbox, token: str) -> tuple[int, Any]:
    return post(sandbox.token_url, client_id=CLIENT_ID, grant_type="refresh_token", refresh_token=token)


def test_refresh_tokens_rotate_and_reuse_ends_the_family(generic: Sandbox) -> None:
    first = generic.sign_in()
    status, answer = refresh(generic, first)
    assert status == 200
    second = answer["refresh_token"]
    assert second != first
    assert refresh(generic, first)[0] == 400
    assert refresh(generic, second)[0] == 400


def test_a_device_is_signed_in_once_a_person_approves(generic: Sandbox) -> None:
    _, begun = post(f"{generic.url}/device_authorization", client_id=CLIENT_ID)
    poll = {
        "client_id": CLIENT_ID,
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": begun["device_code"],
    }
    assert post(generic.token_url, **poll)[1]["error"] == "authorization_pending"
    with urllib.request.urlopen(begun["verification_uri"]) as page:
        assert b"Approve" in page.read()
    form = urllib.parse.urlencode({"code": begun["user_code"], "user": ADDRESS}).encode()
    urllib.request.urlopen(f"{generic.url}/approve", form).close()
    status, answer = post(generic.token_url, **poll)
    assert status == 200
    log_in(generic, answer["access_token"]).quit()


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (TokenFault(kind="down"), 503),
        (TokenFault(kind="throttled", retry_after="7"), 429),
        (TokenFault(kind="redirect"), 302),
        (TokenFault(kind="lost-rotation"), 502),
    ],
)
def test_token_faults_strike_as_often_as_they_say(generic: Sandbox, fault: TokenFault, status: int) -> None:
    fault.times = 1
    generic.set_faults(Faults(token=[fault]))
    opener = urllib.request.build_opener(_NoRedirect)
    form = f"grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={generic.client_secret}"
    with pytest.raises(urllib.error.HTTPError) as failed:
        opener.open(generic.token_url, form.encode())
    with failed.value:
        assert failed.value.code == status
    get_token(generic)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def test_faults_are_switched_by_http(generic: Sandbox) -> None:
    faults = {"smtp": [{"at": "rcpt", "reply": "550 5.1.1 no such user", "match": "you@"}]}
    request = urllib.request.Request(f"{generic.url}/faults", json.dumps(faults).encode(), method="PUT")
    urllib.request.urlopen(request).close()
    with log_in(generic, get_token(generic)) as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        send(smtp)


def test_a_fault_that_does_not_exist_is_refused(generic: Sandbox) -> None:
    request = urllib.request.Request(f"{generic.url}/faults", b'{"smtp": [{"at": "lunch"}]}', method="PUT")
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(request)
    with failed.value:
        assert b"lunch" in failed.value.read()


NO_REPLY = ["nonsense", "5500 x", "250ok", "99 x", "650 x", "550-No", "550-a\n551 b", "550 a\n550 b"]
BAD_FAULTS = {
    **{f"{text!a}": ({"smtp": [{"at": "rcpt", "reply": text}]}, "is no SMTP reply") for text in NO_REPLY},
    "taken, and not": ({"smtp": [{"at": "rcpt", "reply": "250 ok"}]}, "4yz or 5yz"),
    "TLS that does not come": ({"smtp": [{"at": "starttls", "reply": "220 go"}]}, "no fault at starttls"),
    "content that is not wanted": ({"smtp": [{"at": "data", "reply": "354 go"}]}, "no fault at data"),
    "what nobody asks": ({"smtp": [{"at": "quit", "reply": "500 no"}]}, "quit"),
    "less than never": ({"smtp": [{"at": "mail", "times": -1}]}, "times cannot be -1"),
    "back in time": ({"smtp": [{"at": "mail", "delay": -0.5}]}, "delay cannot be -0.5"),
    "half a time": ({"smtp": [{"at": "mail", "times": 0.5}]}, "smtp[0].times"),
    "no address there": ({"smtp": [{"at": "ehlo", "match": "you@"}]}, "match has no effect at ehlo"),
    "nothing to keep": ({"smtp": [{"at": "mail", "after-commit": True}]}, "at: content"),
    "an unknown key": ({"smtp": [{"at": "mail", "code": 550}]}, "code"),
    "a kind of no token": ({"token": [{"kind": "lunch"}]}, "lunch"),
    "slow in no time": ({"token": [{"kind": "slow"}]}, "delay: 5"),
    "no word": ({"token": [{"kind": "refused", "error": 'a"b'}]}, "invalid_grant"),
    "two headers": ({"token": [{"kind": "throttled", "retry-after": "1\r\nX: y"}]}, "HTTP date"),
    "negative tokens": ({"refuse-tokens": -1}, "refuse-tokens cannot be -1"),
    "negative octets": ({"disconnect-after": -1}, "disconnect-after cannot be -1"),
    "a list": ([], "object"),
}


@pytest.mark.parametrize(("faults", "told"), BAD_FAULTS.values(), ids=BAD_FAULTS)
def test_what_cannot_be_a_fault_is_refused_with_what_one_looks_like(
    generic: Sandbox, faults: object, told: str
) -> None:
    generic.set_faults(Faults(refuse_tokens=7))
    request = urllib.request.Request(f"{generic.url}/faults", json.dumps(faults).encode(), method="PUT")
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(request)
    with failed.value:
        assert failed.value.code == 400
        assert told in json.loads(failed.value.read())["error"].replace('"', "")
    assert generic.faults.refuse_tokens == 7


@pytest.mark.parametrize("text", NO_REPLY)
def test_a_test_that_writes_no_reply_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no SMTP reply") as caught:
        SmtpFault(at="rcpt", reply=text)
    assert "550 5.1.1 No such user" in caught.value.hint


@pytest.mark.parametrize("code", ["220", "250", "334", "421", "451", "535", "550"])
@pytest.mark.parametrize("at", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content"])
def test_no_fault_that_is_taken_breaks_the_sandbox(generic: Sandbox, at: Any, code: str, caplog: Any) -> None:
    try:
        generic.set_faults(Faults(smtp=[SmtpFault(at=at, reply=f"{code} x", times=1)]))
    except UsageError:
        return
    envelope = Envelope.of(ADDRESS, ["you@example.org"])
    with contextlib.suppress(PostbearerError), Mailer(generic.account()) as mailer:
        mailer.send(MESSAGE, envelope)
    generic.reset()
    with log_in(generic, get_token(generic)) as smtp:
        send(smtp)
    assert "defect" not in caplog.text


def test_a_silent_fault_hangs_up(generic: Sandbox) -> None:
    smtp = log_in(generic, get_token(generic))
    generic.set_faults(Faults(smtp=[SmtpFault(at="mail")]))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(smtp)
    smtp.close()


def test_the_fourth_connection_of_a_mailbox_is_told_after_the_content(microsoft: Sandbox) -> None:
    token = get_token(microsoft)
    connections = [log_in(microsoft, token) for _ in range(4)]
    for smtp in connections[:3]:
        send(smtp)
    with pytest.raises(smtplib.SMTPDataError, match=r"4\.3\.2"):
        send(connections[3])
    for smtp in connections:
        smtp.close()
    assert len(microsoft.inbox.messages) == 3


def test_a_foreign_sender_is_told_after_the_content(microsoft: Sandbox) -> None:
    with log_in(microsoft, get_token(microsoft)) as smtp:
        with pytest.raises(smtplib.SMTPDataError, match=r"5\.2\.252 SendAsDenied"):
            send(smtp, sender=OTHER_ADDRESS)
        with pytest.raises(smtplib.SMTPDataError, match="SendAsDenied"):
            send(smtp, content=MESSAGE.replace(b"alerts@", b"boss@"))


def test_the_thirty_first_message_of_a_minute_can_be_refused(microsoft: Sandbox) -> None:
    microsoft.set_faults(Faults(excess_is_refused=True))
    with log_in(microsoft, get_token(microsoft)) as smtp:
        for _ in range(30):
            send(smtp)
        with pytest.raises(smtplib.SMTPResponseException, match=r"4\.4\.2"):
            send(smtp)


def test_the_inbox_is_shown_to_a_browser_and_escaped(generic: Sandbox) -> None:
    with log_in(generic, get_token(generic)) as smtp:
        send(smtp, content=b"From: alerts@example.org\r\nSubject: <script>alert(1)</script>\r\n\r\nx\r\n")
    with urllib.request.urlopen(generic.url) as page:
        text = page.read().decode()
        assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    identifier = generic.inbox.messages[0].id
    for name in (identifier, "last"):
        with urllib.request.urlopen(f"{generic.url}/inbox/{name}/raw") as raw:
            assert raw.read() == generic.inbox.messages[0].content


def test_its_description_names_everything(sandbox: Sandbox) -> None:
    with urllib.request.urlopen(f"{sandbox.url}/describe") as page:
        about = json.load(page)
    assert about["client_secret"] == sandbox.client_secret
    assert set(about["users"]) == {ADDRESS, OTHER_ADDRESS}
    assert about["smtp"]["starttls_port"] == sandbox.starttls_port


def test_a_shell_can_take_all_of_it_as_variables(sandbox: Sandbox) -> None:
    lines = f". {sandbox.folder / 'environment'}; echo $SANDBOX_CLIENT_SECRET $SANDBOX_SMTP_STARTTLS_PORT"
    told = subprocess.run(["sh", "-c", f"{lines}; cat $POSTBEARER_CONFIG"], capture_output=True, text=True)
    first, _, configuration = told.stdout.partition("\n")
    assert first == f"{sandbox.client_secret} {sandbox.starttls_port}"
    assert configuration == sandbox.configuration()


@pytest.mark.parametrize(("padding", "taken"), [(900, True), (1100, False)])
def test_google_hangs_up_on_a_long_auth_command(padding: int, taken: bool) -> None:
    with BackgroundSandbox("google") as sandbox:
        server = greeted(sandbox)
        blob = base64.b64encode(
            b"user=a\x01auth=Bearer " + b"t" * (padding * 3 // 4 - 20) + b"\x01\x01"
        ).decode()
        code, text = server.docmd("AUTH", f"XOAUTH2 {blob}")
        assert (code, b"goodbye" in text) == ((334, False) if taken else (555, True))
        if not taken:
            with pytest.raises(smtplib.SMTPServerDisconnected):
                server.docmd("NOOP")
        server.close()


def test_google_takes_a_long_token_on_a_line_of_its_own() -> None:
    with BackgroundSandbox("google") as sandbox:
        server = greeted(sandbox)
        assert server.docmd("AUTH", "XOAUTH2")[0] == 334
        blob = base64.b64encode(b"user=a\x01auth=Bearer " + b"t" * 2000 + b"\x01\x01").decode()
        assert server.docmd(blob)[0] == 334
        server.close()


def test_each_trait_of_a_provider_is_acted_upon() -> None:
    sources = "".join(file.read_text() for file in Path(personality.__file__).parent.glob("*.py"))
    unused = [
        each.name
        for each in dataclasses.fields(personality.Personality)
        if not re.search(rf"personality\.{each.name}\b", sources)
    ]
    assert unused == []


OTHERS = ("google", "microsoft")


@pytest.mark.parametrize(
    "provider",
    ["generic", *(pytest.param(each, marks=pytest.mark.postbearer_provider(each)) for each in OTHERS)],
)
def test_a_test_says_whose_sandbox_it_wants(
    postbearer_sandbox: Sandbox, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTBEARER_STATE", str(tmp_path))
    monkeypatch.setenv("POSTBEARER_ALLOW_EPHEMERAL", "true")
    assert postbearer_sandbox.personality.name == provider
    assert os.environ["POSTBEARER_CONFIG"] == str(postbearer_sandbox.folder / "postbearer.toml")
    with Mailer.from_config("sandbox") as mailer:
        mailer.send(MESSAGE, Envelope.of(ADDRESS, ["you@example.org"]))
    assert len(postbearer_sandbox.inbox.messages) == 1


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in listeners]
    for each in listeners:
        each.close()
    return ports


async def test_ports_and_secrets_stay_what_they_are_where_they_are_given() -> None:
    http, smtp, smtps = free_ports(3)
    given = Ports(http=http, smtp=smtp, smtps=smtps)
    for _ in range(2):
        async with Sandbox(ports=given, client_secret="s3cret", password="passw0rd") as sandbox:
            about = sandbox.describe()
            assert about["inbox"] == f"http://127.0.0.1:{http}"
            assert (about["smtp"]["starttls_port"], about["smtp"]["implicit_port"]) == (smtp, smtps)
            assert about["client_secret"] == "s3cret"
            assert set(about["users"].values()) == {"passw0rd"}


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}"):
            async with Sandbox(ports=Ports(smtps=port)):
                pass
