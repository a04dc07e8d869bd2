"""The command and its subcommands, each in a file of its own that is imported when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from postbearer._version import __version__
from postbearer.cli.characters import show_what_can_be_shown
from postbearer.cli.exit_codes import ExitCode
from postbearer.cli.groups import Group, no_such_option
from postbearer.cli.options import Common, common_options
from postbearer.cli.output import report, silence, usage
from postbearer.cli.signals import orderly_end
from postbearer.cli.streams import let_errors_be_lost

# name → module, and the line that --help shows without importing it
COMMANDS: dict[str, tuple[str, str]] = {
    "accounts": ("accounts", "Show whether each account sends, and pause or resume it."),
    "api-token": ("api_token", "Make and revoke the tokens of programs that use the HTTP API."),
    "audit": ("audit", "Show who did what to messages, accounts and the relay."),
    "backup": ("backup", "Write queue, state and configuration to one file."),
    "check": ("check", "Find out why mail does not leave, and what to do about it."),
    "config": ("configuration", "Show, change and check the configuration."),
    "console": ("console", "Print an address that opens the console of the running relay, once."),
    "demo": ("demo", "Send a message through a mail provider that lives on this machine only."),
    "hooks": ("hooks", "Look at the webhooks of the relay, try them, and have them told once more."),
    "import": ("import_", "Move in: make a configuration of another program's."),
    "init": ("init", "Describe a mailbox: a few questions, and a configuration with comments."),
    "login": ("login", "Sign in for an account, once; from then on it renews itself."),
    "logout": ("logout", "End a sign-in, at the provider and here."),
    "providers": ("providers", "List the mail providers that are known, and what each needs."),
    "queue": ("queue", "Look at the queue of the relay, and work on it."),
    "reload": ("lifecycle", "Have the running relay read its configuration anew."),
    "restore": ("backup", "Put a backup back in its places."),
    "sandbox": ("sandbox", "Run a mail provider with OAuth on loopback, for tests."),
    "secret": ("secret", "Seal, test and look after secrets."),
    "send": ("send", "Build a message, or take one, and send it."),
    "serve": ("serve", "Run the relay: plain SMTP in, OAuth SMTP out, nothing lost in between."),
    "sendmail": ("sendmail", "Take mail as /usr/sbin/sendmail does."),
    "status": ("status", "Tell in one line whether all is well, for monitoring."),
    "stop": ("lifecycle", "Have the running relay finish what is under way, and end."),
    "top": ("top", "Show what the running relay does, live."),
    "token": ("token", "Print a valid access token, for other programs."),
}
EPILOG = """\b
Completion of commands and options in the shell:
  bash  eval "$(_POSTBEARER_COMPLETE=bash_source postbearer)"
  zsh   eval "$(_POSTBEARER_COMPLETE=zsh_source postbearer)"
  fish  _POSTBEARER_COMPLETE=fish_source postbearer | source

\b
Exit codes: 0 done, 64 usage, 65 unusable message, 66 unreadable file,
69 refused for good, 70 defect, 75 try again, 77 no permission,
78 configuration.
"""


def command_named(name: str) -> click.Command:
    """The command `name`, imported."""
    module = import_module(f"postbearer.cli.{COMMANDS[name][0]}")
    command: click.Command = getattr(module, "command", None) or getattr(module, name)
    return command


class LazyGroup(Group):
    """A group that knows the names and purposes of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return command_named(cmd_name)

    def purpose(self, ctx: click.Context, name: str) -> str:
        return COMMANDS[name][1]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        own = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name][1]) for name in names), *own]


@click.command(
    "postbearer",
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@common_options
@click.version_option(__version__, prog_name="postbearer", message="%(prog)s %(version)s")
def postbearer() -> None:
    """Send mail through servers that accept OAuth 2.0 and nothing else."""


def run(arguments: list[str]) -> int:
    """Run the command line; print what went wrong, if anything; return the exit code."""
    common = Common()
    common.as_json = "--json" in arguments[: arguments.index("--") if "--" in arguments else None]
    let_errors_be_lost()
    for stream in (sys.stdout, sys.stderr):
        show_what_can_be_shown(stream)
    with orderly_end():
        try:
            code = _invoke(arguments, common)
            sys.stdout.flush()
        except BrokenPipeError:
            return silence()
        except (Exception, KeyboardInterrupt) as error:
            return report(error, as_json=common.as_json, debug=common.debug)
    return code


def _invoke(arguments: list[str], common: Common) -> int:
    stdout = sys.stdout
    try:
        result = postbearer.main(arguments, prog_name="postbearer", standalone_mode=False, obj=common)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.NoSuchOption as error:
        path = error.ctx.command_path if error.ctx else "postbearer"
        return usage(no_such_option(error), f"See: {path} --help", as_json=common.as_json)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "postbearer"
        return usage(error.format_message(), f"See: {path} --help", as_json=common.as_json)
    except click.FileError as error:
        hint = "Check the path and the permissions."
        return usage(error.format_message(), hint, as_json=common.as_json, code=ExitCode.NO_INPUT)
    except click.ClickException as error:
        return usage(error.format_message(), "", as_json=common.as_json)
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as error:  # shell completion ends so, and click when nobody reads any more
        if sys.stdout is stdout:
            return int(error.code or 0)
        sys.stdout = stdout
        raise BrokenPipeError from None
    return int(result) if isinstance(result, int) else ExitCode.OK
