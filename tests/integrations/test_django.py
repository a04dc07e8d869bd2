"""Django sends by its own functions through the backend, which behaves as Django's SMTP backend does."""

from __future__ import annotations

import email
import logging
import pickle
import smtplib
import threading
from collections.abc import Callable, Iterator
from email.policy import default
from typing import Any

import django
import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import override_settings
from django.utils.log import AdminEmailHandler

import support.djangosite  # noqa: F401 - settings
from postbearer import Limits
from postbearer.account import Account
from postbearer.errors import BudgetSpent, CredentialRefused, Rejected, SenderNotAllowed
from postbearer.integrations.django import EmailBackend, NotSent
from postbearer.testing import Faults, Sandbox, SmtpFault
from postbearer.testing.inbox import Received
from support.sandboxed import at

BACKEND = "postbearer.integrations.django.EmailBackend"
MAILERS = django.VERSION >= (6, 1)  # one setting in place of EMAIL_BACKEND and its kin

Backend = Callable[..., EmailBackend]


@pytest.fixture
def backend() -> Backend:
    """A backend as Django itself makes one, with these options."""

    def made(**options: Any) -> EmailBackend:
        if not MAILERS:
            return mail.get_connection(BACKEND, **options)
        with override_settings(MAILERS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
            return mail.mailers.default

    return made


@pytest.fixture
def site(configured: str) -> Iterator[None]:
    """The settings of a site whose account stands in the configuration file."""
    chosen: dict[str, Any] = (
        {"MAILERS": {"default": {"BACKEND": BACKEND}}} if MAILERS else {"EMAIL_BACKEND": BACKEND}
    )
    with override_settings(POSTBEARER_ACCOUNT=configured, **chosen):
        yield


def letter(*to: str, **fields: Any) -> EmailMessage:
    return EmailMessage("Your order", "It is on its way.", None, list(to or ["you@example.org"]), **fields)


def read(received: Received) -> email.message.EmailMessage:
    return email.message_from_bytes(received.content, policy=default)


# — sending ————————————————————————————————————————————————————————————————————————————————————————————


@pytest.mark.usefixtures("site")
def test_send_mail_as_the_site_is_configured(sandbox: Sandbox) -> None:
    assert mail.send_mail("Hello", "It works.", None, ["you@example.org"]) == 1
    (received,) = sandbox.inbox.messages
    assert received.recipients == ("you@example.org",)
    assert read(received)["From"] == "Shop <alerts@example.org>"
    assert read(received)["Subject"] == "Hello"


def test_everything_a_message_can_hold_arrives(sandbox: Sandbox, account: Account, backend: Backend) -> None:
    message = EmailMultiAlternatives(
        "Grüße aus Köln",
        "Alles Gute, größer als ASCII.\n" + "Lang " * 300,
        "Lädchen <alerts@example.org>",
        ["Anna <anna@example.org>"],
        bcc=["boss@example.org"],
        cc=["carl@example.org"],
        reply_to=["shop@example.org"],
        headers={"X-Order": "4711"},
    )
    message.attach_alternative("<p>Alles Gute, größer als ASCII.</p>", "text/html")
    message.attach("umlaute-ä.txt", "größer\n", "text/plain")
    message.attach("octets.bin", bytes(range(256)), "application/octet-stream")
    assert backend(account=account).send_messages([message]) == 1
    (received,) = sandbox.inbox.messages
    assert set(received.recipients) == {"anna@example.org", "carl@example.org", "boss@example.org"}
    assert received.content.isascii()  # so that every server takes it
    assert b"boss@" not in received.content
    told = read(received)
    assert (told["Subject"], told["X-Order"]) == ("Grüße aus Köln", "4711")
    assert (told["Reply-To"], told["From"]) == ("shop@example.org", "Lädchen <alerts@example.org>")
    text, html = told.get_body(("plain",)), told.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines()[0] == "Alles Gute, größer als ASCII."
    assert html.get_content().rstrip() == "<p>Alles Gute, größer als ASCII.</p>"
    attached = list(told.iter_attachments())
    assert [part.get_filename() for part in attached] == ["umlaute-ä.txt", "octets.bin"]
    assert [part.get_content() for part in attached] == ["größer\n", bytes(range(256))]


def test_the_header_may_say_something_else_than_the_envelope(
    sandbox: Sandbox, account: Account, backend: Backend
) -> None:
    message = letter("member@example.org", headers={"To": "list@example.org"})
    backend(account=account).send_messages([message])
    (received,) = sandbox.inbox.messages
    assert received.recipients == ("member@example.org",)
    assert read(received)["To"] == "list@example.org"


def test_the_senders_rule_of_the_account_holds(sandbox: Sandbox, account: Account, backend: Backend) -> None:
    message = letter()
    message.from_email = "webmaster@shop.example.org"
    backend(account=account).send_messages([message])
    (received,) = sandbox.inbox.messages
    assert received.reverse_path == "alerts@example.org"
    assert read(received)["From"] == "alerts@example.org"
    assert read(received)["Reply-To"] == "webmaster@shop.example.org"


def test_the_receipt_is_at_the_message(account: Account, backend: Backend) -> None:
    message = letter()
    backend(account=account).send_messages([message])
    assert message.receipt.delivered[0].recipient == "you@example.org"
    assert message.receipt.queue_id


@pytest.mark.usefixtures("site")
def test_what_goes_out_before_the_login_arguments_of_django_are_gone(sandbox: Sandbox) -> None:
    """send_mail(auth_user=…) is for other backends: who logs in is the account's affair."""
    if not MAILERS:
        assert mail.send_mail("Hi", "x", None, ["you@example.org"], auth_user="me", auth_password="no") == 1
        assert len(sandbox.inbox.messages) == 1


# — connections ————————————————————————————————————————————————————————————————————————————————————————


def test_an_open_backend_keeps_its_connection(sandbox: Sandbox, account: Account, backend: Backend) -> None:
    before = sandbox.mail.connections
    connection = backend(account=account)
    assert connection.open() is True
    assert connection.open() is False
    for _ in range(3):
        assert connection.send_messages([letter(), letter()]) == 2
    connection.close()
    connection.close()
    assert sandbox.mail.connections - before == 1
    assert len(sandbox.inbox.messages) == 6


def test_as_a_context_manager(sandbox: Sandbox, account: Account, backend: Backend) -> None:
    before = sandbox.mail.connections
    with backend(account=account) as connection:
        connection.send_messages([letter()])
        connection.send_messages([letter()])
    assert sandbox.mail.connections - before == 1
    assert connection.connection is None


def test_one_that_was_not_opened_leaves_nothing_open(account: Account, backend: Backend) -> None:
    connection = backend(account=account)
    for _ in range(2):
        connection.send_messages([letter()])
        assert connection.connection is None


def test_threads_may_share_one(sandbox: Sandbox, account: Account, backend: Backend) -> None:
    before = sandbox.mail.connections, sandbox.token_requests
    sent = []
    with backend(account=account) as connection:
        threads = [
            threading.Thread(target=lambda: sent.append(connection.send_messages([letter()])))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sent == [1] * 8
    assert len(sandbox.inbox.messages) == 8
    assert (sandbox.mail.connections - before[0], sandbox.token_requests - before[1]) == (1, 1)


# — failing ————————————————————————————————————————————————————————————————————————————————————————————

FAULTS: dict[str, tuple[Faults, type[Exception]]] = {
    "token refused": (Faults(refuse_tokens=9), CredentialRefused),
    "recipient refused": (Faults(smtp=[SmtpFault(at="rcpt", reply="550 5.1.1 Unknown")]), Rejected),
    "content refused": (Faults(smtp=[SmtpFault(at="content", reply="554 5.6.0 no")]), Rejected),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_errors_are_what_django_documents_and_tell_why(
    sandbox: Sandbox, account: Account, backend: Backend, fault: str
) -> None:
    faults, kind = FAULTS[fault]
    sandbox.set_faults(Faults(smtp=faults.smtp, refuse_tokens=faults.refuse_tokens))
    with pytest.raises(smtplib.SMTPException) as raised:
        backend(account=account).send_messages([letter()])
    assert isinstance(raised.value, NotSent)
    handed_over = pickle.loads(pickle.dumps(raised.value))  # as a task queue does
    assert (str(handed_over), str(handed_over.error)) == (str(raised.value), str(raised.value.error))
    assert isinstance(raised.value.__cause__, kind)
    assert str(raised.value) == str(raised.value.error)


@pytest.mark.parametrize("fault", FAULTS)
def test_silently_it_counts_what_was_sent(
    sandbox: Sandbox, account: Account, backend: Backend, fault: str
) -> None:
    faults, _ = FAULTS[fault]
    sandbox.set_faults(Faults(smtp=faults.smtp, refuse_tokens=faults.refuse_tokens))
    assert backend(account=account, fail_silently=True).send_messages([letter(), letter()]) == 0


def test_the_first_that_fails_ends_it_unless_silent(
    sandbox: Sandbox, account: Account, backend: Backend
) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", match="gone", reply="550 5.1.1 Unknown")]))
    messages = [letter(), letter("gone@example.org"), letter()]
    with pytest.raises(NotSent, match="gone@example"):
        backend(account=account).send_messages(messages)
    assert len(sandbox.inbox.messages) == 1
    assert backend(account=account, fail_silently=True).send_messages(messages) == 2
    assert len(sandbox.inbox.messages) == 3


def test_who_was_refused_while_others_were_taken_is_in_the_log(
    sandbox: Sandbox, account: Account, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", match="gone", reply="550 5.1.1 Unknown")]))
    with caplog.at_level(logging.WARNING, logger="postbearer.integrations.django"):
        assert backend(account=account).send_messages([letter("gone@example.org", "you@example.org")]) == 1
    assert "gone@example.org: failed (550 5.1.1 Unknown). Correct the address." in caplog.text


@pytest.mark.usefixtures("site")
def test_a_refused_admin_does_not_make_the_log_go_round(sandbox: Sandbox) -> None:
    """Django's own handler mails warnings to the admins, and one of them is gone."""
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", match="gone", reply="550 5.1.1 Unknown")]))
    admins = ["gone@example.org", "ops@example.org"]
    logger, handler = logging.getLogger("postbearer.integrations.django"), AdminEmailHandler()
    logger.addHandler(handler)
    try:
        told = admins if MAILERS else [(each, each) for each in admins]
        with override_settings(ADMINS=told):
            assert mail.send_mail("Hello", "x", None, admins) == 1
    finally:
        logger.removeHandler(handler)
    subjects = [read(each)["Subject"] for each in sandbox.inbox.messages]
    assert len(subjects) == 2  # the message, and one about the refusal
    assert {"Hello"} < set(subjects)


def test_nobody_there_fails_silently_too(account: Account, backend: Backend) -> None:
    nobody = at(account, "127.0.0.1:9")
    assert backend(account=nobody, fail_silently=True).send_messages([letter()]) == 0
    with pytest.raises(smtplib.SMTPException, match=r"127\.0\.0\.1:9"):
        backend(account=nobody).send_messages([letter()])


def test_nothing_to_send(account: Account, backend: Backend) -> None:
    assert backend(account=account).send_messages([]) == 0
    assert backend(account=account).send_messages([EmailMessage("to nobody", "x")]) == 0


@pytest.mark.parametrize(
    "message",
    [
        letter("no address"),
        letter("a@example.org\nBcc: b@example.org"),
        EmailMessage("x\nBcc: b@example.org", "x", None, ["you@example.org"]),
    ],
    ids=["address", "line end in an address", "line end in the subject"],
)
def test_bad_input_is_a_value_error_silent_or_not(
    sandbox: Sandbox, account: Account, backend: Backend, message: EmailMessage
) -> None:
    for silent in (False, True):
        with pytest.raises(ValueError):
            backend(account=account, fail_silently=silent).send_messages([message])
    assert sandbox.inbox.messages == []


def test_a_sender_the_account_may_not_use_is_refused(sandbox: Sandbox, backend: Backend) -> None:
    strict = Account.smtp(
        "alerts@example.org",
        grant=sandbox.account().grant,
        servers=[f"localhost:{sandbox.starttls_port}"],
        token_url=sandbox.token_url,
        sender="check",
    )
    message = letter()
    message.from_email = "other@example.org"
    with pytest.raises(NotSent) as refused:
        backend(account=strict).send_messages([message])
    assert isinstance(refused.value.error, SenderNotAllowed)


def test_a_request_waits_for_the_limits_no_longer_than_it_is_told(sandbox: Sandbox, backend: Backend) -> None:
    few = Account.smtp(
        "alerts@example.org",
        grant=sandbox.account().grant,
        servers=[f"localhost:{sandbox.starttls_port}"],
        tls="starttls",
        ca_file=str(sandbox.folder / "ca.pem"),
        token_url=sandbox.token_url,
        limits=Limits(messages_per_day=1),
    )
    with backend(account=few, timeout=0.0) as connection:
        assert connection.send_messages([letter()]) == 1
        with pytest.raises(NotSent) as spent:
            connection.send_messages([letter()])
    assert isinstance(spent.value.error, BudgetSpent)


def test_a_site_without_a_timeout_waits_as_long_as_it_takes(
    sandbox: Sandbox, account: Account, backend: Backend
) -> None:
    with override_settings(POSTBEARER_TIMEOUT=None):
        connection = backend(account=account)
        assert connection.timeout is None
        assert connection.send_messages([letter()]) == 1


# — settings ———————————————————————————————————————————————————————————————————————————————————————————


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"POSTBEARER_ACCOUNT": 5}, "which account"), ({"POSTBEARER_TIMEOUT": "60"}, "a number of seconds")],
)
def test_settings_of_the_wrong_kind_are_told(
    backend: Backend, configured: str, wrong: dict[str, Any], message: str
) -> None:
    chosen = {"POSTBEARER_ACCOUNT": configured, **wrong}
    with override_settings(**chosen), pytest.raises(ImproperlyConfigured, match=message):
        backend()


@pytest.mark.parametrize("silent", [False, True])
def test_wrong_settings_are_told_even_silently(backend: Backend, configured: str, silent: bool) -> None:
    with pytest.raises(ImproperlyConfigured, match="POSTBEARER_ACCOUNT"):
        backend(fail_silently=silent)
    with pytest.raises(ImproperlyConfigured, match="nobody"):
        backend(account="nobody", fail_silently=silent).send_messages([letter()])
    with pytest.raises(ImproperlyConfigured, match=r"absent\.toml"):
        backend(account=configured, config="/absent.toml", fail_silently=silent).send_messages([letter()])
