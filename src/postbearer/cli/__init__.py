"""The command ``postbearer``. What is asked most often is answered before anything heavy is imported."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code (``sysexits.h``)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] != ["sendmail"]:  # which does so itself
        _open_descriptors()
    if (quick := _quick(arguments)) is not None:
        try:
            sys.stdout.write(f"{quick}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            from postbearer.cli.output import silence

            return silence()
        except OSError as error:
            from postbearer.cli.output import report

            return report(error, as_json=False)
        return 0
    if arguments[:1] == ["sendmail"] and not any(word[:2] == "--" and word[2:] for word in arguments):
        from postbearer.cli.dropin.main import main as sendmail

        return sendmail(arguments[1:])
    # What is imported stays: there is no garbage to be looked for in it while it is loaded.
    gc.set_threshold(20_000, 20, 20)
    from postbearer.cli.root import run

    return run(arguments)


def _open_descriptors() -> None:
    """Have all three standard streams, also where the caller closed one: what is told is about the mail."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    import os

    if sys.platform != "win32":
        from postbearer.cli.dropin.descriptors import opened

        opened()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - to the end


def _quick(arguments: list[str]) -> str | None:
    """The answer to ``--version`` and to ``token ACCOUNT`` with a cached token; None for all else."""
    if arguments == ["--version"]:
        from postbearer._version import __version__

        return f"postbearer {__version__}"
    if arguments[:1] == ["token"]:
        from postbearer.cli.fast_token import cached_token

        return cached_token(arguments[1:])
    return None
