"""The command line of ``sendmail``: what programs really give. Nothing in it runs or writes anything."""

from __future__ import annotations

import posix

TYPE_CHECKING = False  # importing `typing` would double the start
if TYPE_CHECKING:
    from collections.abc import Sequence

OK, USAGE, DATA, NO_INPUT, UNAVAILABLE, TRY_AGAIN, NO_PERMISSION = 0, 64, 65, 66, 69, 75, 77  # sysexits.h

_FLAGS = "GIUTcimnstvx"  # `i`, `t` and `v` mean something; the others do in other programs
_VALUED = "ABCDFLMNORVXbefhopr"  # the value is the rest of the word, or the next word
_ATTACHED = "dq"  # the value, if any, is the rest of the word
_REPORTS = ("never", "success", "failure", "delay")


class EarlyExit(Exception):
    """The end, with an exit code and a sentence for standard error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def say(descriptor: int, text: str) -> None:
    """Write a line; that nobody can read it is not about the mail."""
    try:  # noqa: SIM105 - contextlib takes longer than all this
        posix.write(
            descriptor, f"{text}\n".encode("utf-8", "backslashreplace")
        )  # nothing is left to be flushed
    except OSError:
        pass


class Invocation:
    """What a command line asks for."""

    __slots__ = ("dots", "envid", "mode", "name", "notify", "recipients", "ret", "scan", "sender", "verbose")

    def __init__(self) -> None:
        self.mode = "m"  # m: take a message, s: speak SMTP, p: show the queue, i: nothing
        self.sender: str | None = None  # None: whoever calls; "": the null reverse-path
        self.name = ""  # display name for a From field that has to be added
        self.scan = False  # -t
        self.dots = False  # -i: a line with a dot alone is an ordinary line
        self.verbose = False
        self.notify: list[str] = []
        self.ret = ""
        self.envid = ""
        self.recipients: list[str] = []


def understand(program: str, words: Sequence[str]) -> Invocation:
    """Read the words behind the name of the program. Raises `EarlyExit`."""
    order = Invocation()
    order.mode = {"mailq": "p", "newaliases": "i"}.get(program.rpartition("/")[2], "m")
    left = list(words)
    left.reverse()
    while left:
        word = left.pop()
        if word == "--":
            left.reverse()
            order.recipients += left
            break
        if len(word) > 1 and word[0] == "-":
            _options(order, word, left)
        else:
            order.recipients.append(word)
    return order


def _options(order: Invocation, word: str, left: list[str]) -> None:
    """One word of options: flags may stand together, the last may have a value."""
    for place in range(1, len(word)):
        letter, rest = word[place], word[place + 1 :]
        if letter in _FLAGS:
            _flag(order, letter)
        elif letter in _ATTACHED:
            order.mode = "p" if letter == "q" else order.mode
            return
        elif letter in _VALUED:
            if not rest and not left:
                raise EarlyExit(USAGE, f"-{letter} needs a value")
            _value(order, letter, rest or left.pop())
            return
        else:
            raise EarlyExit(USAGE, f"there is no option -{letter}; see: postbearer sendmail --help")


def _flag(order: Invocation, letter: str) -> None:
    if letter == "i":
        order.dots = True
    elif letter == "t":
        order.scan = True
    elif letter == "v":
        order.verbose = True
    elif letter == "I":
        order.mode = "i"


def _value(order: Invocation, letter: str, value: str) -> None:
    if letter in "fr":
        order.sender = value
    elif letter == "F":
        order.name = value
    elif letter == "o" and value[:1] == "i":
        order.dots = True
    elif letter == "b":
        order.mode = _mode(value)
    elif letter == "N":
        order.notify = _notify(value)
    elif letter == "R":
        order.ret = {"full": "FULL", "hdrs": "HDRS", "headers": "HDRS"}.get(value.lower(), "")
        if not order.ret:
            raise EarlyExit(USAGE, "-R is full or hdrs")
    elif letter == "V":
        order.envid = value


def _mode(value: str) -> str:
    if value in ("m", "s", "p", "i"):
        return value
    if value == "a":  # as in the ARPANET, with CRLF: which is always taken
        return "m"
    if value in ("d", "D"):
        raise EarlyExit(USAGE, "the server is started by: postbearer serve")
    raise EarlyExit(USAGE, f"-b{value} is not supported; -bm, -bs, -bp, -bi and -ba are")


def _notify(value: str) -> list[str]:
    words = [word.strip().lower() for word in value.split(",") if word.strip()]
    for word in words:
        if word not in _REPORTS:
            raise EarlyExit(USAGE, f"{word!r} is no kind of report: {', '.join(_REPORTS)}")
    if "never" in words and len(words) > 1:
        raise EarlyExit(USAGE, "-N never excludes all other reports")
    return [word.upper() for word in words]
