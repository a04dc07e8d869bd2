"""What people and programs read: errors, colour where a terminal shows it, JSON where it is asked for."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from postbearer.cli.exit_codes import ExitCode, UsageErrors, exit_code
from postbearer.encodings import plain_json
from postbearer.errors import ConfigError, PostbearerError

TIMES = {  # names of points in time, wherever a command tells one
    *("accepted", "expires", "due", "oldest", "since", "tried_again", "at"),
    *("token_expires", "began", "ended", "retry_at", "made", "accepted_before"),
    *("accepted_after", "arrived", "heartbeat", "send_at", "limited_until", "backlog_gone_at", "last_used"),
    "subjects_since",
}
_NARROWEST = 20
_NEXT = {ExitCode.TRY_AGAIN: "This may pass: try again later."}
_STYLES = {"error": "31;1", "warning": "33;1", "note": "36;1", "good": "32", "dim": "2", "bold": "1"}


def style(text: str, name: str, stream: TextIO) -> str:
    """`text` in a colour, if `stream` is a terminal and nobody asked for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_STYLES[name]}m{text}\x1b[0m"


def printable(text: str) -> str:
    """`text` with everything that could act on a terminal made visible."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def room(stream: TextIO) -> int:
    """How many columns a line of `stream` may have; 0, without end, unless it is a terminal."""
    return max(shutil.get_terminal_size().columns, _NARROWEST) if stream.isatty() else 0


def folded(text: str, stream: TextIO, *, taken: int, indent: int) -> str:
    """`text` with line ends between words, where `stream` is a terminal that is not wide enough.

    The first line has `taken` columns less, the others begin with `indent` blanks.
    """
    width = room(stream)
    if not width or (taken + len(text) <= width and "\n" not in text):
        return text
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=" " * taken,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)[taken:]


def print_json(value: object) -> None:
    """One JSON object on one line of standard output. Points in time are ISO 8601, as in the log."""
    print(plain_json(json.dumps(_with_times(value), ensure_ascii=False, default=str)))


def _with_times(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _with_times(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_times(each, name) for each in value]
    if name in TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
    if value is None or isinstance(value, str | int | float):
        return value
    import msgspec

    return _with_times(msgspec.to_builtins(value, enc_hook=str), name)  # a typed answer


def warn(message: str, hint: str = "") -> None:
    """A warning on standard error."""
    _line("warning", message, hint)


def note(message: str, hint: str = "") -> None:
    """Something to know, on standard error."""
    _line("note", message, hint)


def report(error: BaseException, *, as_json: bool, debug: bool = False) -> ExitCode:
    """Tell what went wrong: what, where, what next; return the exit code."""
    code = exit_code(error)
    if isinstance(error, KeyboardInterrupt):
        print(file=sys.stderr)
        return code
    if code is ExitCode.BUG and not isinstance(error, PostbearerError):
        return _defect(error, as_json=as_json, debug=debug)
    if as_json:
        print_json({"error": describe(error)})
    elif isinstance(error, PostbearerError):
        for problem in _problems(error):
            _line("error", problem.told, problem.hint or _NEXT.get(code, ""))
    else:
        _line("error", f"{error}.", "Check the disk and the permissions.")
    if debug:
        _show_traceback(error)
    if isinstance(error, OSError):
        _forget_what_cannot_be_written()
    return code


def describe(error: BaseException) -> dict[str, Any]:
    """An error as JSON."""
    told: dict[str, Any] = {
        "type": error.name if isinstance(error, PostbearerError) else type(error).__name__,
        "message": getattr(error, "message", str(error)),
        "hint": getattr(error, "hint", ""),
        "exit": int(exit_code(error)),
    }
    for name in ("file", "line", "key", "host", "stage", "account", "code", "reference", "retry_at"):
        if value := getattr(error, name, None):
            told[name] = value
    if len(problems := _problems(error)) > 1:
        told["problems"] = [describe(problem) for problem in problems]
    return told


def _problems(error: BaseException) -> Sequence[PostbearerError]:
    """Everything that an error tells."""
    if isinstance(error, ConfigError | UsageErrors):
        return error.problems
    return (error,) if isinstance(error, PostbearerError) else ()


def usage(message: str, hint: str, *, as_json: bool, code: ExitCode = ExitCode.USAGE) -> ExitCode:
    """Tell that the command line cannot be understood."""
    if as_json:
        print_json({"error": {"type": "UsageError", "message": message, "hint": hint, "exit": int(code)}})
    else:
        _line("error", message, hint)
    return code


def silence() -> ExitCode:
    """Nobody reads any more: leave without another error when the interpreter flushes."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE


@contextmanager
def after_the_deed() -> Iterator[None]:
    """What is printed within tells of what is done. That it cannot be told must not have it done again."""
    try:
        yield
        if sys.stdout is not None:  # sendmail whose caller closed it
            sys.stdout.flush()
    except OSError as error:
        silence()
        if not isinstance(error, BrokenPipeError):
            warn(f"Standard output cannot be written: {error.strerror}.", "What was to be done is done.")


def _forget_what_cannot_be_written() -> None:
    """What a full disk left in the buffer would fail once more at the end, with a code of Python's own."""
    try:
        sys.stdout.flush()
    except OSError:
        silence()


def _line(name: str, message: str, hint: str) -> None:
    head = style(f"{name}:", name, sys.stderr)
    told = folded(printable(message), sys.stderr, taken=len(name) + 2, indent=2)
    print(f"{head} {told}", file=sys.stderr)
    if hint:
        told = folded(printable(hint), sys.stderr, taken=4, indent=4)
        print(f"  {style('→', 'dim', sys.stderr)} {told}", file=sys.stderr)


def _defect(error: BaseException, *, as_json: bool, debug: bool) -> ExitCode:
    message = f"This is a defect in postbearer ({type(error).__name__})."
    hint = "" if debug else "Run the same with --debug to see the traceback, and report it."
    if as_json:
        print_json({"error": {"type": "Defect", "message": message, "hint": hint, "exit": int(ExitCode.BUG)}})
    else:
        _line("error", message, hint)
    if debug:
        _show_traceback(error)
    return ExitCode.BUG


def _show_traceback(error: BaseException) -> None:
    # Source lines only: the values of variables may be secrets.
    shown = traceback.TracebackException.from_exception(error, capture_locals=False)
    print(printable("".join(shown.format())), end="", file=sys.stderr)
