"""No jargon without its explanation: what pages say in words of the trade is explained at their foot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from postbearer.console.glossary import WORDS, words

SOURCES = Path(__file__).parents[2] / "src" / "postbearer"
TEMPLATES = sorted(
    [*(SOURCES / "console/templates").glob("*.html"), *(SOURCES / "testing/pages").glob("*.html")]
)
_NO_TEXT = re.compile(r"{[{%#].*?[}%#]}|<pre.*?</pre>|<code.*?</code>|<[^>]*>", re.DOTALL)
KNOWN = {  # abbreviations that need no word: they stand for nothing else than what everybody calls so
    "ID",
    "OK",
    "PDF",
    "UTF",
    "HTML",
    "PIN",
    "QR",
}


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda path: path.name)
def test_no_abbreviation_stands_unexplained(file: Path) -> None:
    """What a template says itself; the words of servers are explained where the page has them."""
    text = re.sub(
        r"{[{%#].*?[}%#]}|<pre.*?</pre>|<code.*?</code>|<[^>]*>", " ", file.read_text(), flags=re.DOTALL
    )
    found = set(re.findall(r"(?<![\w-])[A-Z]{2,}[\w-]*", text)) - KNOWN
    assert found <= set(WORDS), "Explain them in console/glossary.py."


def test_words_are_in_order_and_found_in_what_is_read() -> None:
    assert list(WORDS) == sorted(WORDS, key=str.lower)
    page = "<p title='TLS'>Two <b>webhooks</b> by <code>SPF</code>, an access\n token; DKIM <pre>OAuth</pre>"
    assert [each.word for each in words(page)] == ["access token", "DKIM", "SPF", "webhook"]
