"""A mail backend for Django: ``EMAIL_BACKEND = "postbearer.integrations.django.EmailBackend"``.

What it sends goes by a `Mailer`: a token instead of a password, limits kept to together with all other
processes of the site's user, other servers when one is down. With ``POSTBEARER_QUEUE = True`` it is handed to
the relay of this machine instead, which keeps it before the request goes on, and delivers it.
"""

from __future__ import annotations

import logging
import os
import smtplib
import threading
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from typing import TYPE_CHECKING, Any

from postbearer.integrations.requirement import requires

with requires("django", "Django"):
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.mail.backends.base import BaseEmailBackend

from postbearer.account import Account
from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.errors import ConfigError, PostbearerError
from postbearer.message import parse_mailboxes
from postbearer.outcome import Receipt
from postbearer.sending import submit

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

TIMEOUT = 60.0  # seconds a request waits for the account's limits, unless the site says otherwise
_log = logging.getLogger(__name__)
_telling = threading.local()


class NotSent(smtplib.SMTPException):
    """A message could not be sent. Its cause, in `error` too, is the `PostbearerError` that says why.

    Code that catches what Django documents, `smtplib.SMTPException`, goes on working.
    """

    def __init__(self, error: PostbearerError) -> None:
        super().__init__(str(error))
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.error,), vars(self)


class DjangoBackend(BaseEmailBackend):
    """What backends have in common: which options they are given."""

    def __init__(self, *, fail_silently: bool = False, **options: Any) -> None:
        if "alias" not in options:  # before MAILERS of Django 6.1, send_mail() gives these to every backend
            options.pop("username", None)
            options.pop("password", None)
        super().__init__(**options)  # type: ignore[no-untyped-call] # it tells of those nobody knows
        self.fail_silently = fail_silently


class EmailBackend(DjangoBackend):
    """Sends Django's messages through one account.

    `account` is the name of one in the configuration file `config`, or an `Account`; `timeout` is how many
    seconds to wait for the account's limits. They come from the settings ``POSTBEARER_ACCOUNT``,
    ``POSTBEARER_CONFIG`` and ``POSTBEARER_TIMEOUT`` unless given. As with Django's own SMTP backend, an open
    one is reused, and may be used by several threads, one after another.

    With `queue`, the setting ``POSTBEARER_QUEUE``, messages go to the relay of this machine. Then the account
    is the relay's, so that nothing of it need be readable here; it may be left out where the relay's routes
    or its default say by which account mail goes. `timeout` is how long to try while the relay is away. A
    message may have the attributes ``send_at`` and ``tags``, which `postbearer.submit` describes.

    Raises `ImproperlyConfigured` for settings that cannot work, also with `fail_silently`.
    """

    def __init__(
        self,
        *,
        account: Account | str | None = None,
        config: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        queue: bool | None = None,
        fail_silently: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(fail_silently=fail_silently, **options)
        chosen: Any = account or getattr(settings, "POSTBEARER_ACCOUNT", "")
        self.account: Account | str = chosen
        self.config = config or getattr(settings, "POSTBEARER_CONFIG", None)
        self.timeout = timeout if timeout is not None else getattr(settings, "POSTBEARER_TIMEOUT", TIMEOUT)
        self.queue: bool = queue if queue is not None else getattr(settings, "POSTBEARER_QUEUE", False)
        self.connection: Mailer | None = None
        self._lock = threading.RLock()
        if not isinstance(self.queue, bool):
            raise ImproperlyConfigured("POSTBEARER_QUEUE is True or False, without quotes.")
        if not isinstance(self.account, Account | str) or not (self.account or self.queue):
            raise ImproperlyConfigured(
                "postbearer does not know which account to send by: set POSTBEARER_ACCOUNT to the name of "
                "one in its configuration file, or give the backend account=."
            )
        if not isinstance(self.timeout, int | float | None):
            raise ImproperlyConfigured("POSTBEARER_TIMEOUT is a number of seconds, without quotes.")

    def open(self) -> bool | None:  # pyright: ignore[reportIncompatibleMethodOverride] - Django's own do so
        """Make ready to send. Says whether that was needed; None if it failed silently.

        Nothing is connected yet: trouble on the way shows when something is sent.
        """
        with self._lock:
            if self.queue or self.connection is not None:
                return False
            try:
                self.connection = self._mailer()
            except ConfigError as error:
                raise ImproperlyConfigured(str(error)) from error
            except PostbearerError as error:
                if self.fail_silently:
                    return None
                raise NotSent(error) from error
            return True

    def close(self) -> None:
        """Say goodbye to the server."""
        with self._lock:
            mailer, self.connection = self.connection, None
            if mailer is not None:
                mailer.close()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send messages and return how many somebody was accepted for.

        Raises `NotSent` for the first that was not, unless that is to be silent, and `ValueError` for what
        can be no address. Each message that was sent has a `Receipt` in its attribute ``receipt``; one that
        the relay has, the id it has there in ``queue_id``.
        """
        if not email_messages:
            return 0
        if self.queue:
            return sum(map(self._submit, email_messages))
        with self._lock:
            opened = self.open()
            if self.connection is None:
                return 0
            try:
                return sum(self._send(self.connection, message) for message in email_messages)
            finally:
                if opened:
                    self.close()

    def _mailer(self) -> Mailer:
        if isinstance(self.account, str):
            return Mailer.from_config(self.account, config=self.config)
        return Mailer(self.account)

    def _send(self, mailer: Mailer, message: Any) -> bool:
        if not message.recipients():
            return False
        envelope = envelope_for(mailer.account, message)
        try:
            receipt = mailer.send(as_plain_parts(message), envelope, timeout=self.timeout)
        except PostbearerError as error:
            return self._failed(error)
        message.receipt = receipt
        _tell(receipt)
        return True

    def _submit(self, message: Any) -> bool:
        if not message.recipients():
            return False
        account = self.account if isinstance(self.account, str) else self.account.name
        timeout = TIMEOUT if self.timeout is None else self.timeout
        envelope = envelope_for(None, message)
        try:
            message.queue_id = submit(
                as_plain_parts(message),
                envelope,
                account=account,
                timeout=timeout,
                send_at=getattr(message, "send_at", None),
                tags=getattr(message, "tags", None),
            )
        except PostbearerError as error:
            return self._failed(error)
        return True

    def _failed(self, error: PostbearerError) -> bool:
        """Tell it as Django wants it, or not at all."""
        if self.fail_silently:
            return False
        raise NotSent(error) from error


def as_plain_parts(message: Any) -> Message:
    """As plain parts: those of Django before 6.0 insist on their own encoding, and would not go 7-bit."""
    return message_from_bytes(message.message().as_bytes())


def envelope_for(account: Account | None, message: Any) -> Envelope:
    """To, Cc and Bcc as Django keeps them: the header may say something else, and never names Bcc.

    Without an account, which is the relay's then, so is its sender rule.
    """
    addresses = [box.address for each in message.recipients() for box in parse_mailboxes(str(each))]
    if account is not None and account.sender.rule == "force":
        return Envelope.of(account.address, addresses)
    authors = parse_mailboxes(str(message.from_email))
    return Envelope.of(authors[0].address if authors else "", addresses)


def _tell(receipt: Receipt) -> None:
    """Django knows only sent or not; who was refused while others were accepted goes to the log.

    A handler may mail that to the site's admins, one of whom it may be who was refused: once is enough.
    """
    if not receipt.refused or getattr(_telling, "now", False):
        return
    _telling.now = True
    try:
        for outcome in receipt.refused:
            _log.warning("A recipient was not accepted: %s. %s", outcome, outcome.remedy)
    finally:
        _telling.now = False
