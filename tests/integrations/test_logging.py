"""The handler mails log records: few mails, nothing lost in silence, and the program never waits."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import subprocess
import sys
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from postbearer.account import Account
from postbearer.errors import ConfigError, UsageError
from postbearer.integrations import background
from postbearer.integrations.logging import MailHandler
from postbearer.testing import Faults, ManualClock, Sandbox, SmtpFault, TokenFault
from support.sandboxed import environment


class Standing(ManualClock):
    """Whoever sleeps does so until somebody is in a hurry."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.Event().wait()


Make = Callable[..., tuple[logging.Logger, MailHandler]]


@pytest.fixture
def clock() -> Standing:
    return Standing()


@pytest.fixture
def mailing(account: Account, clock: Standing, request: pytest.FixtureRequest) -> Iterator[Make]:
    """A logger whose records are mailed to ops@example.org; `flush` has them mailed at once."""
    logger = logging.getLogger(request.node.name)
    logger.propagate = False
    made: list[MailHandler] = []

    def make(**options: Any) -> tuple[logging.Logger, MailHandler]:
        handler = MailHandler(account, "ops@example.org", **{"clock": clock, **options})
        logger.addHandler(handler)
        made.append(handler)
        return logger, handler

    yield make
    for handler in made:
        logger.removeHandler(handler)
        handler.close()


def mails(sandbox: Sandbox) -> list[EmailMessage]:
    return [message_from_bytes(each.content, policy=default) for each in sandbox.inbox.messages]


def test_a_record_is_mailed_with_its_traceback(mailing: Make, sandbox: Sandbox) -> None:
    logger, handler = mailing()
    try:
        _ = {}["disk"]
    except KeyError:
        logger.exception("cannot read %s", "/srv")
    handler.flush()
    (mail,) = mails(sandbox)
    assert mail["Subject"] == "ERROR: cannot read /srv"
    assert (mail["From"], mail["To"]) == ("alerts@example.org", "ops@example.org")
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "ERROR test_a_record_is_mailed_with_its_traceback: cannot read /srv" in text
    assert text.splitlines()[-1] == "KeyError: 'disk'"


def test_a_burst_becomes_one_mail_about_the_gravest(mailing: Make, sandbox: Sandbox) -> None:
    logger, handler = mailing()
    for number in range(200):
        logger.warning("number %d", number)
        if number == 100:
            logger.critical("out of disk")
    handler.flush()
    (mail,) = mails(sandbox)
    assert mail["Subject"] == "CRITICAL: out of disk (and 200 more)"
    lines = mail.get_content().splitlines()
    assert [line.split(": ")[1] for line in lines if "WARNING" in line] == [f"number {n}" for n in range(200)]


def test_it_gathers_and_then_keeps_its_distance(mailing: Make, clock: Standing) -> None:
    logger, handler = mailing(gather=3.0, interval=120.0)
    logger.error("one")
    handler.flush()
    logger.error("two")
    handler.flush()
    assert [pause for pause in clock.slept if pause in (3.0, 120.0)][:3] == [3.0, 120.0, 3.0]


def test_more_than_fits_is_counted(mailing: Make, sandbox: Sandbox) -> None:
    logger, handler = mailing(capacity=10)
    for number in range(25):
        logger.error("number %d", number)
    handler.flush()
    (mail,) = mails(sandbox)
    assert mail["Subject"] == "ERROR: number 0 (and 24 more)"
    assert mail.get_content().splitlines()[10:] == ["… 15 more came in this time and would not fit."]


def test_one_mail_does_not_grow_without_end(mailing: Make, sandbox: Sandbox) -> None:
    logger, handler = mailing()
    for _ in range(100):
        logger.error("x" * 100_000)
    handler.flush()
    (mail,) = mails(sandbox)
    assert len(sandbox.inbox.messages[0].content) < 1_000_000
    assert "(83" in mail.get_content()  # characters of the first record that were cut
    assert mail.get_content().splitlines()[-1] == "… 69 more came in this time and would not fit."


def test_what_cannot_leave_now_is_kept_and_told(
    mailing: Make, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    logger, handler = mailing()
    sandbox.set_faults(Faults(token=[TokenFault(kind="down")]))
    logger.error("first")
    handler.flush()
    assert "1 log record(s) could not be mailed and are kept for the next try" in capfd.readouterr().err
    sandbox.set_faults(Faults())
    logger.error("second")
    handler.flush()
    (mail,) = mails(sandbox)
    assert mail["Subject"] == "ERROR: first (and 1 more)"
    assert "second" in mail.get_content()


def test_while_the_provider_is_down_it_asks_less_and_less(
    mailing: Make, sandbox: Sandbox, clock: Standing
) -> None:
    logger, handler = mailing(interval=60.0, gather=1.0)
    sandbox.set_faults(Faults(token=[TokenFault(kind="down")]))
    logger.error("it burns")
    for _ in range(7):
        handler.flush()
    pauses = [pause for pause in clock.slept if pause > 1.0]
    assert pauses[:4] == [120.0, 240.0, 480.0, 900.0]
    assert max(pauses) == background.LONGEST_PAUSE


def test_what_is_refused_for_good_is_told_and_not_repeated(
    mailing: Make, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    logger, handler = mailing()
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="rcpt", reply="550 5.1.1 Unknown")]))
    logger.error("nobody reads this")
    handler.flush()
    assert "are lost: ops@example.org: failed (550 5.1.1 Unknown)" in capfd.readouterr().err
    sandbox.set_faults(Faults())
    handler.flush()
    assert mails(sandbox) == []


def test_records_about_the_mailing_are_not_mailed(sandbox: Sandbox, mailing: Make) -> None:
    """The root logger at its most talkative: the token request and the event loop log, too."""
    _, handler = mailing()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        logging.getLogger("app").error("once")
        handler.flush()
        handler.flush()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    told = [line.split(" ", 2)[2] for mail in mails(sandbox) for line in mail.get_content().splitlines()]
    assert [line for line in told if not line.startswith(("DEBUG uvicorn", "INFO uvicorn"))] == [
        "ERROR app: once"
    ]  # the sandbox runs in this process, and is somebody else


NASTY = {
    "line ends in the subject": "a\r\nBcc: thief@example.org\r\n\r\nx",
    "control characters": "\x00\x1b[31mred\x07",
    "lone surrogates": "name \udcff of a file",
    "beyond ASCII": "größer als 日本",
    "nothing": "",
    "a long line": "x" * 5000,
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_whatever_is_logged_makes_a_mail(mailing: Make, sandbox: Sandbox, text: str) -> None:
    logger, handler = mailing()
    logger.error(text)
    handler.flush()
    (received,) = sandbox.inbox.messages
    (mail,) = mails(sandbox)
    assert received.recipients == ("ops@example.org",)
    assert mail["Bcc"] is None
    assert str(mail["Subject"]).startswith("ERROR:")
    assert len(str(mail["Subject"])) <= 200


def test_a_record_that_cannot_be_formatted_harms_nobody(
    mailing: Make, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    logger, handler = mailing()
    handler.handle(logger.makeRecord("app", logging.ERROR, __file__, 1, "%d apples", ("no",), None))
    logger.error("all is well")
    handler.flush()
    assert [mail["Subject"] for mail in mails(sandbox)] == ["ERROR: all is well"]
    assert "TypeError: %d format" in capfd.readouterr().err


def test_a_closed_handler_is_silent(mailing: Make, sandbox: Sandbox) -> None:
    logger, handler = mailing()
    logger.error("before")
    handler.close()
    logger.error("after")
    handler.flush()
    handler.close()
    assert [mail["Subject"] for mail in mails(sandbox)] == ["ERROR: before"]


def test_by_dict_config(sandbox: Sandbox, configured: str) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"short": {"format": "%(message)s!"}},
            "handlers": {
                "mail": {
                    "class": "postbearer.integrations.logging.MailHandler",
                    "account": configured,
                    "to": ["ops@example.org", "Boss <boss@example.org>"],
                    "subject": "[shop] %(message)s",
                    "formatter": "short",
                    "level": "ERROR",
                }
            },
            "loggers": {"shop": {"handlers": ["mail"], "propagate": False}},
        }
    )
    logger = logging.getLogger("shop")
    (handler,) = logger.handlers
    logger.warning("not this")
    logger.error("sold out")
    handler.flush()
    logger.removeHandler(handler)
    handler.close()
    (mail,) = mails(sandbox)
    assert mail["Subject"] == "[shop] sold out"
    assert mail.get_content().splitlines() == ["sold out!"]
    assert set(sandbox.inbox.messages[0].recipients) == {"ops@example.org", "boss@example.org"}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"account": "nobody"}, ConfigError),
        ({"to": []}, UsageError),
        ({"to": "no address"}, UsageError),
        ({"capacity": 0}, UsageError),
        ({"interval": -1}, UsageError),
    ],
    ids=str,
)
@pytest.mark.usefixtures("configured")
def test_what_cannot_work_is_told_when_it_is_made(
    account: Account, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        MailHandler(**{"account": account, "to": "ops@example.org", **given})


# — the end of a program, and its children —————————————————————————————————————————————————————————————

PROGRAM = """
import logging, os, sys
from postbearer.integrations.logging import MailHandler

handler = MailHandler("sandbox", "ops@example.org", gather=30.0, interval=30.0)
logging.getLogger().addHandler(handler)
"""
ENDS = {
    "returns": "logging.error('from %s', 'parent')",
    "raises": "logging.error('from parent')\nraise SystemExit(3)",
    "has a child": """
logging.error('from parent')
handler.flush()
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
else:
    logging.error('from child')
    logging.shutdown()
    os._exit(0)
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_what_is_left_is_mailed_when_the_program_ends(sandbox: Sandbox, tmp_path: Path, end: str) -> None:
    command = [sys.executable, "-c", PROGRAM + ENDS[end]]
    done = subprocess.run(
        command, env=environment(sandbox, tmp_path), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == (3 if end == "raises" else 0), done.stderr
    subjects = [mail["Subject"] for mail in mails(sandbox)]
    children = ["ERROR: from child"] if end == "has a child" else []
    assert subjects == ["ERROR: from parent", *children], done.stderr


def test_a_program_that_logs_nothing_sends_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    before = sandbox.token_requests
    subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment(sandbox, tmp_path), check=True, timeout=60
    )
    assert (mails(sandbox), sandbox.token_requests) == ([], before)


def test_a_dead_provider_does_not_keep_the_program(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.set_faults(Faults(token=[TokenFault(kind="down")]))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + ENDS["returns"]],
        env=environment(sandbox, tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "1 log record(s) could not be mailed" in done.stderr
