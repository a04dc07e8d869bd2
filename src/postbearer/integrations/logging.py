"""A `logging` handler that mails what it is given.

::

    logging.getLogger().addHandler(MailHandler("alerts", "ops@example.org", level=logging.ERROR))

It never makes the program wait: records go to a bounded heap, and a thread mails them, many at once when
many come. What is left is mailed when the program ends.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from functools import partial

from postbearer.account import Account
from postbearer.clock import Clock, SystemClock
from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.integrations.background import MAILING, BackgroundSender
from postbearer.integrations.backlog import Backlog, LogEntry, subject_of, text_of
from postbearer.mailer import AsyncMailer
from postbearer.message import Composed, Draft, parse_mailboxes
from postbearer.state import StateOption
from postbearer.tokens import configured

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SUBJECT = "%(levelname)s: %(message)s"
PATIENCE = 10.0  # seconds that `flush` and `close` wait


class MailHandler(logging.Handler):
    """Mails log records through an account, in few mails.

    `account` is an `Account`, or the name of one in the configuration file `config`; `to` is an address or
    several. `subject` is a format for records, as a formatter's. The first record is mailed after `gather`
    seconds, with those that came meanwhile; the next mail goes `interval` seconds later at the earliest, and
    tells of everything in between. At most `capacity` records are kept; further ones are counted.

    Mail that cannot leave for now is tried again; standard error says so, as logging does of its troubles.
    Records about the sending of this very mail are not mailed. Raises `ConfigError` and `UsageError`.
    """

    def __init__(
        self,
        account: Account | str,
        to: str | Sequence[str],
        *,
        level: int | str = logging.NOTSET,
        subject: str = SUBJECT,
        gather: float = 2.0,
        interval: float = 60.0,
        capacity: int = 1000,
        config: str | os.PathLike[str] | None = None,
        state: StateOption | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(level)
        if capacity < 1 or gather < 0 or interval < 0:
            raise UsageError("capacity is at least 1; gather and interval are not negative.")
        self.account = configured(account, config) if isinstance(account, str) else account
        self.to = tuple(str(box) for each in _several(to) for box in parse_mailboxes(each))
        if not self.to:
            raise UsageError("There is nobody to mail log records to.", hint="Give to= an address.")
        self.formatter = logging.Formatter(FORMAT)
        self._subject = logging.Formatter(subject)
        self._capacity = capacity
        clock = clock or SystemClock()
        self._make_mailer = partial(AsyncMailer, self.account, state=state, clock=clock)
        self._hire = partial(BackgroundSender, gather=gather, interval=interval, clock=clock)
        self._mailer: AsyncMailer | None = self._make_mailer()  # what is wrong with it shows here
        self._backlog = Backlog(capacity)
        self._postman: BackgroundSender | None = None
        self._process = os.getpid()
        self._parents: list[object] = []
        self._closed = False
        self._inside: int | None = None  # the thread in `emit`
        self._slow = False  # the last `flush` was not done in time

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Nothing about the mailing of records: it would never end. Asked before any lock is taken."""
        mailing = self._inside == threading.get_ident() or MAILING.get()
        return False if mailing else super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record on the heap. Never waits, and never raises."""
        self._inside = threading.get_ident()  # `handle` holds the lock, so there is but one
        try:
            entry = LogEntry.of(
                record, self.format(record), self._subject.formatMessage(_with_message(record))
            )
            if not self._closed:
                postman = self._at_work()
                self._backlog.add(entry)
                postman.wake()
        except Exception:
            self.handleError(record)
        finally:
            self._inside = None

    def flush(self) -> None:
        """Mail at once what there is; wait for it, but not forever."""
        postman = self._postman
        if postman is not None and self._process == os.getpid():
            self._slow = not postman.flush(PATIENCE)

    def close(self) -> None:
        """Mail what is left, and end. `logging` does this by itself when the program ends."""
        self.acquire()
        self._closed = True
        postman, self._postman = self._postman, None
        self.release()
        if postman is not None and self._process == os.getpid():
            postman.stop(0.0 if self._slow else PATIENCE)  # at the end `flush` comes first
        super().close()

    def _at_work(self) -> BackgroundSender:
        """The thread, made with the first record: also in a child that was forked, which has none."""
        if self._process != os.getpid():
            self._parents += [self._postman, self._mailer, self._backlog]  # not ours to end
            self._postman, self._mailer, self._process = None, None, os.getpid()
            self._backlog = Backlog(self._capacity)  # what was in it, the parent mails
        if self._postman is None:
            mailer, self._mailer = self._mailer or self._make_mailer(), None
            self._postman = self._hire(self._backlog, self._compose, mailer)
        return self._postman

    def _compose(self, entries: list[LogEntry], left_out: int) -> tuple[Composed, Envelope]:
        draft = Draft(
            sender=self.account.address,
            to=self.to,
            subject=subject_of(entries, left_out),
            text=text_of(entries, left_out),
            headers=[("Auto-Submitted", "auto-generated")],  # RFC 3834 5: nobody's autoresponder answers
        )
        return draft.compose(), draft.envelope()


def _several(to: str | Sequence[str]) -> Sequence[str]:
    return [to] if isinstance(to, str) else to


def _with_message(record: logging.LogRecord) -> logging.LogRecord:
    record.message = record.getMessage()  # what `Formatter.format` does first
    return record
