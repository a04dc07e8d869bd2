"""Addresses with no more than a blank between them, as scripts write a list.

A module of its own, without ``re``: `sendmail` reads addresses before anything that takes long to load.
"""

from __future__ import annotations


def address_words(text: str) -> list[str]:
    """The words of `text` if each is a complete address, else `text` as it is."""
    words = text.split()
    complete = all(word[0] != "@" != word[-1] and word.count("@") == 1 and '"' not in word for word in words)
    return words if complete else [text]
