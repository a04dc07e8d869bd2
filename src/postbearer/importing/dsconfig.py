"""A directory server's batch file of ``dsconfig`` commands, as the objects it leaves behind.

Only what mail depends on is kept: passphrase providers and how they sign in to secret stores, HTTP
authorization methods, external servers, and the global configuration, which names the mail servers in
their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from postbearer.importing.directory import Directory, Object, Value, accounts_of
from postbearer.importing.draft import ImportedConfiguration, decoded
from postbearer.importing.shellwords import Word, commands

_KINDS = {  # as commands call them → (what people call it, the option with its name)
    "passphrase-provider": ("passphrase provider", "--provider-name"),
    "http-authorization-method": ("authorization method", "--method-name"),
    "external-server": ("external server", "--server-name"),
    "vault-authentication-method": ("login for Vault", "--method-name"),
    "azure-authentication-method": ("login for Azure", "--method-name"),
    "conjur-authentication-method": ("login for Conjur", "--method-name"),
    "global-configuration": ("global configuration", ""),
}
_SUBCOMMAND = re.compile(r"(create|set|delete)-([a-z-]+?)(-prop)?")
_ANY_SUBCOMMAND = re.compile(r"(?:create|set|delete|get|list)-[a-z-]+")
_PROGRAM = re.compile(r"(?:.*[/\\])?dsconfig(?:\.bat)?")
_PROMPTS = ("$", "%", ">", "dsconfig>")
_CHANGES = ("--set", "--add", "--remove", "--reset")


def read_dsconfig(
    content: bytes, draft: ImportedConfiguration, *, root: str = "", server: str = "", address: str = ""
) -> None:
    """Add to `draft` the accounts of a batch file.

    `root` is the folder of the directory server, where its relative paths begin; `address` the mailbox of
    servers without a user name; `server`, ``host:port``, the one for an authorization method where the file
    creates none. Raises `ConfigError` if the file is none.
    """
    directory = Directory()
    for line in commands(decoded(content, draft.file), draft.file):
        for words in _apart(line):
            _Command.of(words).apply(directory, draft)
    accounts_of(directory, draft, root=root, server=server, address=address)


def _apart(words: list[Word]) -> Iterator[list[Word]]:
    """The commands of one line: pages run several together, and print the prompt of a shell before each."""
    starts = [
        place
        for place, (word, behind) in enumerate(pairwise(words))
        if _PROGRAM.fullmatch(word.text) and _ANY_SUBCOMMAND.fullmatch(behind.text)
    ]
    for begin, end in pairwise([0, *(place for place in starts if place), len(words)]):
        command = words[begin:end]
        while command and command[-1].text in _PROMPTS and end < len(words):
            command.pop()
        while command and command[0].text in _PROMPTS:
            command.pop(0)
        if command:
            yield command


@dataclass(slots=True)
class _Command:
    """One command: what it does to what, and the properties it sets."""

    verb: str
    kind: str
    line: int
    options: dict[str, Word] = field(default_factory=dict)
    changes: list[tuple[str, Word]] = field(default_factory=list)

    @classmethod
    def of(cls, words: Sequence[Word]) -> _Command:
        first, *rest = words
        if _PROGRAM.fullmatch(first.text):
            words = rest
        place = next((i for i, each in enumerate(words) if _ANY_SUBCOMMAND.fullmatch(each.text)), None)
        if place is None:
            name = next((each.text for each in words if not each.text.startswith("-")), first.text)
            return cls("", name, first.line)
        found = _SUBCOMMAND.fullmatch(words[place].text)
        verb, kind = (found[1], found[2]) if found and found[2] in _KINDS else ("", words[place].text)
        made = cls(verb, kind, first.line)
        made._options(words[place + 1 :])
        return made

    def _options(self, words: Sequence[Word]) -> None:
        """Options with their values, in the two ways to write them: ``--set a:b`` and ``--set=a:b``."""
        waiting: list[Word] = list(reversed(words))
        while waiting:
            word = waiting.pop()
            name, equals, value = word.text.partition("=")
            if not name.startswith("-"):
                continue
            if not equals and waiting and not waiting[-1].text.startswith("--"):
                value = waiting.pop().text
            if name in _CHANGES:
                self.changes.append((name, Word(value, word.line)))
            else:
                self.options[name] = Word(value, word.line)

    def apply(self, directory: Directory, draft: ImportedConfiguration) -> None:
        """Do to the objects what the command does."""
        if not self.verb:
            draft.leave(
                f"The command {self.kind} is not one about accounts that send mail.",
                "Nothing to do, unless mail depends on it.",
                self.line,
            )
            return
        what, option = _KINDS[self.kind]
        name = self.options[option].text if option in self.options else ""
        if option and not name:
            draft.leave(f"A command does not name its {what}.", f"Add {option}.", self.line)
            return
        key = (self.kind, _folded(name))
        if self.verb == "create" and key not in directory.objects:
            kind = self.options.get("--type", Word("", self.line)).text.casefold()
            directory.objects[key] = Object(name, what, kind, self.line)
        elif self.verb == "create":
            draft.leave(
                f"{name} was created before.", "One of the two is wrong; the first was used.", self.line
            )
            return
        elif self.verb == "delete":
            directory.objects.pop(key, None)
            return
        elif not option:
            directory.objects.setdefault(key, Object("", what, "", self.line))
        elif key not in directory.objects:
            draft.leave(
                f"The {what} {name} is not created in this file, so that this change was not used.",
                "Put the command that creates it into the file, and import it again.",
                self.line,
            )
            return
        self._change(directory.objects[key], draft)

    def _change(self, changed: Object, draft: ImportedConfiguration) -> None:
        fresh: set[str] = set()  # set by this command: a property that is set twice has two values
        for how, word in self.changes:
            name, colon, text = word.text.partition(":")
            name = name.strip()
            if how == "--reset":
                changed.values.pop(word.text.strip(), None)
            elif not colon:
                draft.leave(
                    f"A {how} of {changed.title} has no colon between property and value.",
                    f"Write {how} property:value.",
                    word.line,
                )
            elif how == "--remove":
                changed.values[name] = [each for each in changed.values.get(name, []) if each.text != text]
            else:
                if how == "--set" and name not in fresh:
                    changed.values[name] = []
                fresh.add(name)
                changed.values.setdefault(name, []).append(Value(text.strip(), word.line))


def _folded(name: str) -> str:
    """Names are compared as LDAP does: without case, and any blanks are one."""
    return " ".join(name.casefold().split())
