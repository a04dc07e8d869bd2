"""Lines from people's logs: each is explained as what it is, or said to be a guess. No answer is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.diagnosis import explain
from postbearer.providers import Phase, preset
from postbearer.verdict import explain as explain_by


def rows() -> list[tuple[str, str]]:
    lines = Path(__file__).with_name("lines.txt").read_text().splitlines()
    split = (line.split(" | ", 1) for line in lines if not line.startswith("#"))
    return [(told, text) for told, text in split]


@pytest.mark.parametrize(("told", "text"), rows(), ids=[text[:60] for _, text in rows()])
def test_a_line_is_explained_as_what_it_is(told: str, text: str) -> None:
    found = explain(text)
    if told == "nothing":
        assert found == ()
    elif told == "guess":
        assert found
        assert all(each.guess for each in found)
    else:
        assert [each.verdict.rule for each in found if not each.guess] == told.split()
        assert len({each.verdict.disposition for each in found}) == 1


REPLY = [
    "Daily user sending limit exceeded. For more information on",
    "sending limits go to",
    "https://x - gsmtp",
]
JOINED = {
    "as it was said": "\n".join(f"550{'- '[n == 2]}5.4.5 {line}" for n, line in enumerate(REPLY)),
    "with a prefix on each line": "\n".join(
        f"2026-11-22 10:00:00 S: 550{'- '[n == 2]}5.4.5 {line}" for n, line in enumerate(REPLY)
    ),
    "joined by Postfix": " ".join(f"550{'- '[n == 2]}5.4.5 {line}" for n, line in enumerate(REPLY)),
    "joined without codes": f"550 5.4.5 {' '.join(REPLY)}",
    "joined by hyphens": f"550-5.4.5 {' 550-5.4.5 '.join(REPLY)}",
    "with its line ends escaped": r"550-5.4.5 " + r"\n5.4.5 ".join(REPLY),
    "as Python shows it": "(550, b'5.4.5 " + r"\n5.4.5 ".join(REPLY) + "')",
}


@pytest.mark.parametrize("text", list(JOINED.values()), ids=list(JOINED))
def test_a_reply_of_several_lines_is_one_however_a_log_joins_it(text: str) -> None:
    verdict = explain_by(text, preset("google").rules)
    assert verdict.rule == "google/user-daily-limit"
    assert verdict.wait == 86_400


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("552 (in reply to RCPT TO command)", "generic/too-many-recipients-552"),
        ("552 no", ""),
        ("504 (in reply to AUTH PLAIN command)", "generic/mechanism-unknown"),
        ("504 no", ""),
        ("454 SASL authentication failed", "generic/auth-temporary-bare"),
        ("454 no", ""),
        (
            "SMTP error from remote mail server after RCPT TO:<a@example.org>: 452 no",
            "generic/too-many-recipients",
        ),
        ("SMTP error from remote mail server after end of data: 452 no", "generic/no-space"),
        ("smtplib.SMTPHeloError: (501, b'no')", "generic/ehlo-name"),
    ],
)
def test_a_bare_code_says_something_only_where_it_is_known_what_it_answered(text: str, rule: str) -> None:
    assert explain_by(text, preset("smtp").rules, Phase.ANY).rule == rule
