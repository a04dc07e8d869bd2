"""token and send, run for real against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cli.conftest import Home
from postbearer import events
from postbearer.testing import BackgroundSandbox, Faults, Sandbox, SmtpFault

SEND = ("send", "--account", "sandbox", "--to", "you@example.org")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with BackgroundSandbox() as running:
        yield running


@pytest.fixture
def ready(home: Home, sandbox: Sandbox) -> Home:
    home.write(sandbox.configuration())
    return home


def test_ten_callers_cost_one_token_request(ready: Home, sandbox: Sandbox) -> None:
    before = sandbox.token_requests
    tokens = {ready.run("token", "sandbox").out for _ in range(3)}
    told = json.loads(ready.run("token", "sandbox", "--json").out)
    assert len(tokens) == 1
    assert tokens == {told["access_token"] + "\n"}
    assert 3000 < told["expires_in"] <= 3600
    assert sandbox.token_requests == before + 1


def test_a_token_that_is_fetched_is_told_with_v(ready: Home) -> None:
    first, again = ready.run("token", "sandbox", "-v"), ready.run("token", "sandbox", "-v")
    assert "token fetched by client-credentials, good for 3600 s" in first.err
    assert (again.out, again.err) == (first.out, "")


def test_a_changed_configuration_never_gets_the_token_of_another(ready: Home, sandbox: Sandbox) -> None:
    assert ready.run("token", "sandbox").code == 0
    ready.write(sandbox.configuration().replace("file:", "env:NOT_SET_"))
    text = ready.config.read_text().replace(str(sandbox.folder), "").replace("/client-secret", "")
    ready.write(text.replace('client-id = "sandbox-app"', 'client-id = "other"'))
    ran = ready.run("token", "sandbox")
    assert ran.code == 78
    assert ran.out == ""


def test_a_lost_local_key_is_78_and_asks_nobody_to_sign_in_who_never_did(ready: Home) -> None:
    assert ready.run("token", "sandbox").code == 0
    key = ready.folder / "state" / "key"
    key.unlink()
    for command in (("token", "sandbox"), (*SEND, "--text", "x"), ("check", "sandbox")):
        ran = ready.run(*command)
        assert ran.code == 78
        assert f"The key file {key} is missing." in ran.out + ran.err
        assert "Restore it from a backup." in ran.out + ran.err
        assert "sign in" not in ran.out + ran.err
        assert "try again" not in ran.out + ran.err


@pytest.mark.parametrize("key", ["ca-file", "tls-certificate"])
def test_a_file_of_the_account_that_is_gone_is_78_with_file_line_and_key(
    ready: Home, sandbox: Sandbox, key: str
) -> None:
    lines = [line for line in sandbox.configuration().splitlines() if not line.startswith(key)]
    path = ready.write("\n".join([*lines, f'{key} = "/gone/mail.pem"', ""]))
    ran = ready.run(*SEND, "--text", "x")
    assert ran.code == 78
    line = path.read_text().splitlines().index(f'{key} = "/gone/mail.pem"') + 1
    assert ran.err == (
        f"error: {path}:{line}: accounts.sandbox.{key}: /gone/mail.pem cannot be read: No such file or "
        "directory.\n  → It must exist and be readable by the user that sends mail.\n"
    )


def test_a_message_is_built_and_sent(ready: Home, sandbox: Sandbox) -> None:
    report = ready.folder / "report.csv"
    report.write_text("a,b\n")
    ran = ready.run(
        *SEND, "--bcc", "boss@example.org", "--subject", "Größe", "--text", "-", "--html", "<p>x</p>",
        "--attach", str(report), "--header", "X-Test: yes", stdin="Grüße\n",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert "queue id " in ran.out
    received = sandbox.inbox.messages[-1]
    assert set(received.recipients) == {"you@example.org", "boss@example.org"}
    content = received.content.decode()
    assert "X-Test: yes" in content
    assert "report.csv" in content
    assert "boss@" not in content


def test_standard_input_is_the_text_where_nothing_else_is(ready: Home, sandbox: Sandbox) -> None:
    for more in ((), ("--subject", "Disk"), ("--from", "alerts@example.org"), ("--text", "-")):
        assert ready.run(*SEND, *more, stdin="Platte voll: 90 %\n").code == 0
        assert b"Platte voll: 90 %" in sandbox.inbox.messages[-1].content
    assert ready.run(*SEND, "--text", "told", stdin="not read\n").code == 0
    assert b"not read" not in sandbox.inbox.messages[-1].content
    assert ready.run(*SEND, "--html", "<p>told</p>", stdin="not read\n").code == 0
    assert b"not read" not in sandbox.inbox.messages[-1].content


def test_a_dash_is_the_text_and_words_are_recipients(ready: Home, sandbox: Sandbox) -> None:
    ran = ready.run("send", "-s", "x", "you@example.org", "-", "Ann <ann@example.org>", stdin="Disk full\n")
    assert ran.code == 0, ran.err
    received = sandbox.inbox.messages[-1]
    assert b"Disk full" in received.content
    assert set(received.recipients) == {"you@example.org", "ann@example.org"}
    assert b"you@example.org, Ann <ann@example.org>" in received.content


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("-", "--text", "x"), "--text says it already"),
        (("-", "--raw", "file"), "--raw says it already"),
        (("-", "--html", "-"), "only once"),
        (("-", "--attach", "-"), "only once"),
        (("--attach", "-", "--attach", "-"), "only once"),
        (("hello",), "'hello'"),
    ],
)
def test_standard_input_is_for_one_thing(ready: Home, given: tuple[str, ...], told: str) -> None:
    ran = ready.run(*SEND, *given, stdin="x")
    assert ran.code == 64
    assert told in ran.err


def test_standard_input_may_be_an_attachment_or_the_raw_message(ready: Home, sandbox: Sandbox) -> None:
    assert ready.run(*SEND, "--attach", "-", stdin=b"\x00\xff").code == 0
    assert b'filename="stdin"' in sandbox.inbox.messages[-1].content
    raw = "From: alerts@example.org\nSubject: raw\n\nx\n"
    assert ready.run(*SEND, "--raw", "-", "-", stdin=raw).code == 0
    assert b"Subject: raw" in sandbox.inbox.messages[-1].content


@pytest.mark.parametrize("given", [(), ("--text", "-"), ("--html", "-"), ("--text", ""), ("--html", " ")])
@pytest.mark.parametrize("stdin", [b"", b"\n", b" \r\n\n"])
def test_nothing_at_all_is_65_and_not_sent(
    ready: Home, sandbox: Sandbox, given: tuple[str, ...], stdin: bytes
) -> None:
    before = len(sandbox.inbox.messages)
    ran = ready.run(*SEND, *given, stdin=stdin)
    assert ran.code == 65
    assert "nothing to send" in ran.err
    assert len(sandbox.inbox.messages) == before


def test_a_subject_or_an_attachment_alone_is_a_message(ready: Home, sandbox: Sandbox) -> None:
    report = ready.folder / "report.csv"
    report.write_text("a,b\n")
    for given in (("-s", "Done"), ("--attach", str(report)), ("--header", "X-Done: yes")):
        assert ready.run(*SEND, *given).code == 0


@pytest.mark.parametrize("option", ["--from", "-f", "--sender"])
def test_the_author_is_told_in_the_ways_of_other_commands(ready: Home, sandbox: Sandbox, option: str) -> None:
    assert ready.run(*SEND, option, "Shop <alerts@example.org>", "--text", "x").code == 0
    assert b"From: Shop <alerts@example.org>" in sandbox.inbox.messages[-1].content


def test_the_only_account_need_not_be_named(ready: Home, sandbox: Sandbox) -> None:
    assert ready.run("send", "--to", "you@example.org", "--text", "x").code == 0
    assert ready.run("token").out == ready.run("token", "sandbox").out
    other = sandbox.configuration().replace("[accounts.sandbox]", "[accounts.other]")
    other = other.replace("alerts@example.org", "other@example.org")
    ready.write(sandbox.configuration() + other)
    for command in (("send", "--to", "you@example.org", "--text", "x"), ("token",), ("login",)):
        ran = ready.run(*command)
        assert ran.code == 64
        assert "Name one of other, sandbox." in ran.err
    ran = ready.run("send", "--to", "you@example.org", "--text", "x", "--from", "other@example.org")
    assert ran.code == 0
    assert b"From: other@example.org" in sandbox.inbox.messages[-1].content


def test_what_became_of_it_is_told_as_json(ready: Home) -> None:
    told = json.loads(ready.run(*SEND, "--text", "x", "--json").out)
    assert (told["delivered"], told["refused"]) == (1, 0)
    assert told["queue_id"]
    assert told["recipients"][0]["address"] == "you@example.org"


@pytest.mark.parametrize("file", ["-", "/dev/stdin"])
def test_raw_content_leaves_as_it_is(ready: Home, sandbox: Sandbox, file: str) -> None:
    content = b"From: alerts@example.org\r\nSubject:  two  blanks\r\n\r\n.dot\r\n"
    ran = ready.run(*SEND, "--raw", file, stdin=content)
    assert ran.code == 0
    assert "no Date" in ran.err
    assert sandbox.inbox.messages[-1].content.endswith(content)


def test_a_foreign_sender_in_raw_content_is_77(ready: Home) -> None:
    ran = ready.run(*SEND, "--raw", "-", stdin=b"From: else@example.org\n\nx\n")
    assert ran.code == 77
    assert "else@example.org" in ran.err


def test_binary_raw_content_is_65(ready: Home) -> None:
    ran = ready.run(*SEND, "--raw", "-", stdin=b"From: alerts@example.org\n\n\x00\n")
    assert ran.code == 65


def test_verbose_tells_every_step_and_no_secret(ready: Home, sandbox: Sandbox) -> None:
    ran = ready.run("-v", *SEND, "--text", "x")
    assert "token fetched" in ran.err
    assert "TLSv1" in ran.err
    assert "AUTH " in ran.err
    assert sandbox.client_secret not in ran.err
    assert "eyJ" not in ran.err


def test_a_token_endpoint_that_is_down_is_75(ready: Home, sandbox: Sandbox) -> None:
    ready.write(sandbox.configuration().replace(sandbox.token_url, "http://127.0.0.1:9/token"))
    ran = ready.run("token", "sandbox")
    assert ran.code == 75
    assert "trying again later" in ran.err


def test_a_server_that_is_down_is_75(ready: Home, sandbox: Sandbox) -> None:
    ready.write(sandbox.configuration().replace(f":{sandbox.starttls_port}", ":9"))
    assert ready.run(*SEND, "--text", "x").code == 75


def test_a_wrong_client_secret_is_78(ready: Home, sandbox: Sandbox) -> None:
    text = sandbox.configuration().replace(f"file:{sandbox.folder / 'client-secret'}", "env:WRONG")
    ready.write(text)
    ran = ready.run("token", "sandbox", environ={"WRONG": "canary-wrong"})
    assert ran.code == 78
    assert "canary-wrong" not in ran.err


@pytest.mark.parametrize(
    ("reply", "code"),
    [("550 5.1.1 No such user", 69), ("451 4.3.0 Later", 75), ("554 5.2.252 SendAsDenied", 77)],
)
def test_a_refused_recipient_is_told_with_the_reply(
    ready: Home, sandbox: Sandbox, reply: str, code: int
) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", reply=reply, match="nobody")]))
    try:
        ran = ready.run(*SEND, "--to", "nobody@example.org", "--text", "x")
        alone = ready.run(
            "send", "--account", "sandbox", "--to", "nobody@example.org", "--text", "x", "--json"
        )
    finally:
        sandbox.set_faults(Faults())
    assert ran.code == code
    assert "you@example.org: delivered" in ran.out
    assert f"nobody@example.org: {'deferred' if code == 75 else 'failed'} ({reply})" in ran.out
    told = json.loads(alone.out)
    assert alone.code == code
    assert told["refused"] == 1
    assert told["error"]["type"] == "Rejected"
    assert told["error"]["exit"] == code


@pytest.mark.parametrize("provider", ["generic", "microsoft", "google"])
def test_the_demo_sends_one_message_with_nothing_configured(home: Home, provider: str) -> None:
    home.config.unlink()
    told = json.loads(home.run("demo", "--json", "--provider", provider).out)
    assert (told["queued"], told["delivered"], told["token_requests"]) == (1, 1, 1)
    assert told["mechanism"] == ("XOAUTH2" if provider == "microsoft" else "OAUTHBEARER")
    assert told["elapsed_ms"] > 0
    assert told["http"]["events"] == ["message.queued", "message.accepted"]
    assert len(told["http"]["id"]) == 16
    assert not (home.folder / "state").exists()


def test_the_demo_shows_every_step(home: Home) -> None:
    ran = home.run("demo")
    assert (ran.code, ran.err) == (0, "")
    steps = [
        "a mail provider listens on",
        "a relay listens on",
        "accepted and synced as",
        "TLSv1",
        "token fetched",
        "AUTH XOAUTH2 235",
        "accepted by the provider",
        "listens on http://127.0.0.1:",
        "the program is told 202",
        "POST /v1/messages: 202",
        "message.queued ops@example.org",
        "message.accepted ops@example.org 250",
        "As the provider received the first one",
        "1 token request",
    ]
    places = [ran.out.index(step) for step in steps]
    assert places == sorted(places)
    counted = [name for name in events.__all__ if getattr(getattr(events, name), "for_counting", False)]
    assert len(counted) > 5
    assert [name for name in counted if name in ran.out] == []


def test_a_raw_file_is_streamed_and_arrives_byte_for_byte(ready: Home, sandbox: Sandbox) -> None:
    lines = ["From: alerts@example.org", "Date: Sun, 22 Nov 2026 12:00:00 +0000", "Message-ID: <1@x>"]
    content = "\r\n".join(lines).encode() + b"\r\n\r\n" + b".dot\r\n" * 200_000
    (ready.folder / "message.eml").write_bytes(content)
    ran = ready.run(*SEND, "--raw", str(ready.folder / "message.eml"))
    assert (ran.code, ran.err) == (0, "")
    assert sandbox.inbox.messages[-1].content == content
