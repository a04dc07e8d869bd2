"""Commands of a batch file, in the words a shell would make of them, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from postbearer.errors import ConfigError

_LOST = re.compile(
    r"\\[ \t]*\n|\\[ \t]+(?=[-–—][^\s])|\\[ \t]*\Z"
)  # in front of a word: what continues a line
_QUOTES = {"'": "'", '"': '"', "“": "”", "„": "“", "‘": "’"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word, unquoted, and the line it begins on."""

    text: str
    line: int


def commands(text: str, file: str) -> Iterator[list[Word]]:
    """The commands of `text`, one a line unless a backslash continues it; comments and blanks are none.

    Quotes and backslashes mean what they mean to a shell; nothing is expanded. A quote has to be closed
    on its line, or raises `ConfigError`. What web pages do to a command is undone: a backslash that lost
    its line end, or has blanks before it; curly quotes; a dash in place of two hyphens.
    """
    words: list[Word] = []
    lexer = _Lexer(text.replace("\r\n", "\n"), file)
    for word in lexer.words():
        if word is not None:
            words.append(word)
        elif words:
            yield words
            words = []


@dataclass(slots=True)
class _Lexer:
    text: str
    file: str
    at: int = 0
    line: int = 1

    def words(self) -> Iterator[Word | None]:
        """Each word, and None where a command ends."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if lost := _LOST.match(self.text, self.at):
                self.at = lost.end()
                self.line += lost[0].count("\n")
            elif char == "\n":
                self._newline(1)
                yield None
            elif char.isspace():
                self.at += 1
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                yield self._word()
        yield None

    def _word(self) -> Word:
        line, parts = self.line, []
        while self.at < len(self.text):
            char = self.text[self.at]
            if self.text.startswith("\\\n", self.at):
                self._newline(2)
            elif char.isspace():
                break
            elif char in _QUOTES:
                parts.append(self._quoted(_QUOTES[char]))
            elif char in "–—" and not parts:
                parts.append("--")
                self.at += 1
            elif char == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            else:
                parts.append(char)
                self.at += 1
        return Word("".join(parts), line)

    def _quoted(self, quote: str) -> str:
        line, parts = self.line, []
        self.at += 1
        while (char := self.text[self.at : self.at + 1]) != quote:
            if char in ("", "\n"):
                raise ConfigError(
                    f"A quote is not closed: {quote}",
                    file=self.file,
                    line=line,
                    hint="Close it on the same line, or end the line with a backslash.",
                )
            if quote == '"' and self.text.startswith("\\\n", self.at):
                self._newline(2)
                continue
            if (
                quote == '"'
                and char == "\\"
                and self.text[self.at + 1 : self.at + 2] in ('"', "\\", "$", "`")
            ):
                self.at += 1
                char = self.text[self.at]
            parts.append(char)
            self.at += 1
        self.at += 1
        return "".join(parts)

    def _newline(self, length: int) -> None:
        self.at += length
        self.line += 1
