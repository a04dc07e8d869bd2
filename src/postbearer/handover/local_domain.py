"""The domain of this machine's mail, which a name without one is completed by.

Without ``re``: `sendmail` asks for it before anything that takes long to load.
"""

from __future__ import annotations

MAILNAME = "/etc/mailname"

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def mailname() -> str:
    """What /etc/mailname holds; empty where there is none."""
    try:
        with open(MAILNAME, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""


def named_in(text: str) -> str:
    """The domain that `text`, in the form of /etc/mailname, names; empty if it names none."""
    for line in text.splitlines():
        for word in line.partition("#")[0].split():
            if domain := _domain(word):
                return domain
    return ""


def mail_domain(text: str, node: str) -> str:
    """As on Debian what /etc/mailname (`text`) says, else the machine's name (`node`)."""
    return named_in(text) or _domain(node) or "localhost"


def _domain(word: str) -> str:
    """`word` as a domain in ASCII; empty if it is none."""
    if not word.isascii():
        try:
            word = word.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    word = word.removesuffix(".")
    labels = word.split(".")
    valid = all(
        label and len(label) < 64 and label[0] != "-" != label[-1] and all(char in _LETTERS for char in label)
        for label in labels
    )
    return word if valid and len(word) < 254 else ""
