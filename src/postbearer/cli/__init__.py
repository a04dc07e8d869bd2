"""The command ``postbearer``. What is asked most often is answered before anything heavy is imported."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code (``sysexits.h``)."""
    arguments = sys.argv[1:] if arguments is None else arguments
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
    from postbearer.cli.root import run

    return run(arguments)


def _quick(arguments: list[str]) -> str | None:
    """The answer to ``--version`` and to ``token ACCOUNT`` with a cached token; None for all else."""
    if arguments == ["--version"]:
        from postbearer._version import __version__

        return f"postbearer {__version__}"
    if arguments[:1] == ["token"]:
        from postbearer.cli.quick import cached_token

        return cached_token(arguments[1:])
    return None
