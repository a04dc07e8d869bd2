"""No piece of a secret comes back through what others say, whatever it was made of."""

from __future__ import annotations

import html
import json
import quopri
from base64 import b32encode, b32hexencode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.redaction import LONGEST, PIECE, Redactor, scrub
from postbearer.secret import Secret

CANARY = "ya29.C4N4RY-kX81+q/Zt_0~pLw==e7"
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "swapped case": str.swapcase,
    "backwards": lambda text: text[::-1],
    "for a URL": lambda text: quote(text, safe=""),
    "for a form": quote_plus,
    "for a URL, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "in HTML": lambda text: html.escape(text),
    "in JSON of careful writers": lambda text: text.replace("+", r"\u002b").replace("=", r"\u003d"),
    "in quoted-printable": lambda text: quopri.encodestring(text.encode()).decode(),
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in hex": lambda text: text.encode().hex(),
    "in hex, upper case": lambda text: text.encode().hex().upper(),
    "in hex, backwards": lambda text: text.encode().hex()[::-1],
    "with blanks": " ".join,
    "with hyphens": "-".join,
    "in lines": "\r\n".join,
    "basic": lambda text: b64encode(f"relay:{text}".encode()).decode(),
    **{
        f"base64 behind {shift}": lambda text, shift=shift: b64encode(b"x" * shift + text.encode()).decode()
        for shift in range(3)
    },
    **{
        f"base64url behind {shift}": lambda text, shift=shift: urlsafe_b64encode(
            b"x" * shift + text.encode()
        ).decode()
        for shift in range(3)
    },
    **{
        f"base32 behind {shift}": lambda text, shift=shift: b32encode(b"x" * shift + text.encode()).decode()
        for shift in range(5)
    },
    "base32 of the other alphabet": lambda text: b32hexencode(text.encode()).decode(),
    "base32, lower case": lambda text: b32encode(text.encode()).decode().lower(),
    "base64, twice": lambda text: twice(text.encode()),
    "base64, twice, behind something": lambda text: twice(b"x" + text.encode()),
    "base64, three times": lambda text: twice(b64encode(text.encode())),
    "base64 of hex": lambda text: b64encode(text.encode().hex().encode()).decode(),
    "base64 of a URL": lambda text: b64encode(quote(text, safe="").encode()).decode(),
    "base64 of UTF-16": lambda text: b64encode(text.encode("utf-16le")).decode(),
    "base64 of JSON": lambda text: b64encode(json.dumps({"password": text}).encode()).decode(),
    "base64, backwards inside": lambda text: b64encode(text[::-1].encode()).decode(),
    "UTF-16": lambda text: text.encode("utf-16le").decode(),
    "UTF-16 in hex": lambda text: text.encode("utf-16be").hex(),
    "JSON, backwards": lambda text: json.dumps({"password": text})[::-1],
    "full width": lambda text: "".join(chr(ord(char) + 0xFEE0) for char in text),
    "binary": lambda text: " ".join(f"{octet:08b}" for octet in text.encode()),
    "decimal": lambda text: str(list(text.encode())),
    **{
        f"escaped as {escape!r}": lambda text, escape=escape: "".join(
            escape.format(ord(char)) for char in text
        )
        for escape in (
            "%{:02X}",
            "%25{:02x}",
            "={:02X}",
            "+{:02X}",
            r"\x{:02x}",
            r"\u{:04x}",
            r"\\u{:04X}",
            r"\U{:08x}",
            r"\u{{{:x}}}",
            r"\{:03o}",
            "0x{:02x},",
            "U+{:04X} ",
            "&#{};",
            "&#x{:x};",
            "&amp;#x{:04X};",
        )
    },
    "xtext": lambda text: "".join(char if char.isalnum() else f"+{ord(char):02X}" for char in text),
}


def twice(octets: bytes) -> str:
    return b64encode(b64encode(octets)).decode()


WORDS = st.text(st.characters(codec="utf-8"), max_size=40)


def bare(text: str) -> str:
    return "".join(char for char in text.lower() if char.isascii() and char.isalnum())


@pytest.mark.parametrize("form", list(FORMS))
@given(data=st.data(), before=WORDS, behind=WORDS)
def test_no_piece_of_a_secret_in_any_form_is_shown(
    form: str, data: st.DataObject, before: str, behind: str
) -> None:
    start = data.draw(st.integers(0, len(CANARY) - 16))
    end = data.draw(st.integers(start + 16, len(CANARY)))
    dressed = FORMS[form](CANARY[start:end])
    for secret in (CANARY, f"Bearer {CANARY}"):
        shown = bare(Redactor([Secret(secret)]).text(f"{before} {dressed} {behind}"))
        pieces = {bare(dressed)[at : at + PIECE + 4] for at in range(len(bare(dressed)) - PIECE - 3)}
        assert not any(piece in shown for piece in pieces)


FEW_LETTERS = st.text("ab", min_size=PIECE, max_size=80)  # pieces come by chance, overlap and repeat


@given(FEW_LETTERS, FEW_LETTERS)
def test_each_piece_is_found_wherever_it_begins(secret: str, text: str) -> None:
    shown = Redactor([Secret(secret)]).text(text)
    pieces = {shown[at : at + PIECE] for at in range(len(shown) - PIECE + 1)}
    assert not any(piece in secret or piece[::-1] in secret for piece in pieces)


@pytest.mark.parametrize("form", list(FORMS))
def test_a_whole_secret_leaves_nothing_to_guess_from(form: str) -> None:
    shown = Redactor([Secret(CANARY)]).text(f"refused <{FORMS[form](CANARY)}>")
    assert "***" in shown
    assert len(shown) <= len("refused <***>") + 20  # what stands around the secret inside of base64


@given(WORDS, st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_words_without_a_secret_are_left_as_they_are(words: str, secret: str) -> None:
    secret = f"\x00{secret}\x00{'q' * 30}"
    text = words.replace("q", "")
    assert Redactor([Secret(secret)]).text(text) == text or len(text.encode()) >= 4


def test_short_secrets_are_found_whole() -> None:
    assert Redactor([Secret("hunter2")]).text("no HUNTER2 here") == "no *** here"
    assert Redactor([Secret("a")]).text("a cat") == "a cat"


def test_what_is_long_is_cut_and_what_is_cut_hides_as_well() -> None:
    shown = Redactor([Secret(CANARY)]).text("x" * (LONGEST - 15) + CANARY)
    assert len(shown) <= LONGEST
    assert CANARY[:PIECE] not in shown


def test_a_run_that_is_no_word_of_ours_is_hidden_all_the_same() -> None:
    assert scrub("assertion eyJ" + "hbGci" * 30 + " is stale\x1b[2J", ()) == "assertion *** is stale [2J"


def test_the_bytes_of_a_reply_may_be_in_any_encoding() -> None:
    redactor = Redactor([Secret("pässwörd über alles")])
    assert redactor.octets("535 pässwörd über alles \xff".encode() + b"\xff") == b"535 *** \xc3\xbf\xff"
