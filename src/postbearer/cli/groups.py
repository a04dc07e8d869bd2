"""Groups of commands: a name that is none is answered with the one that was meant."""

from __future__ import annotations

import click

from postbearer.suggestion import meant

_LOG = "The relay writes its log to standard error: under systemd, journalctl -u postbearer shows it."
_NEW = "An account is added by: postbearer accounts add NAME, or by questions: postbearer init"
_GONE = "An account is taken away by: postbearer accounts remove NAME"
# What other programs have a command for, by the words typed, and is done in another way here.
ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("log", "logs", "journal", "tail", "queue log", "queue logs"), _LOG),
    **dict.fromkeys(("accounts new", "accounts create", "accounts init"), _NEW),
    **dict.fromkeys(("accounts delete", "accounts rm", "accounts del"), _GONE),
    "accounts move": "An account gets another name by: postbearer accounts rename OLD NEW",
    **dict.fromkeys(
        ("accounts check", "accounts test", "accounts doctor"),
        "An account is examined by: postbearer check NAME",
    ),
    **dict.fromkeys(
        ("accounts login", "accounts authorize"), "Somebody signs in for an account by: postbearer login NAME"
    ),
    **dict.fromkeys(
        ("accounts set", "accounts edit", "accounts update"),
        "A key is changed by: postbearer config set accounts.NAME.KEY VALUE",
    ),
    **dict.fromkeys(
        ("config file", "config where", "config which"),
        "Which file is read is told by: postbearer config path",
    ),
    **dict.fromkeys(
        ("install", "enable", "service", "daemonize"),
        "A unit for systemd is in share/postbearer/: see docs/how-to/run-the-relay.md.",
    ),
    **dict.fromkeys(
        ("upgrade", "update", "self-update"), "It is upgraded by what installed it: pip install -U postbearer"
    ),
    "newaliases": "There are no aliases to rebuild.",
    "queue list -f": "What waits is tried now by: postbearer queue retry --state deferred",
    "queue list -d": "A message is given up by: postbearer queue cancel ID",
    "queue list -r": "A message is tried now by: postbearer queue retry ID",
    "queue list -q": "A message is shown by: postbearer queue show ID",
}


class Group(click.Group):
    """A group that suggests, whatever version of click is there, and whose purposes are told in full."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            options = [name for each in self.get_params(ctx) for name in each.opts if name[:2] == "--"]
            place = ctx.command_path.partition(" ")[2]
            told = ELSEWHERE.get(f"{place} {args[0].lower():.60}".strip()) or _meant(
                args[0], [*names, *options]
            )
            ctx.fail(f"There is no command {args[0]!r:.60}. {told}".rstrip())
        return super().resolve_command(ctx, args)

    def purpose(self, ctx: click.Context, name: str) -> str:
        """The line that help shows beside a command: the first paragraph of its own help."""
        command = self.get_command(ctx, name)
        first = (command.help or "").partition("\n\n")[0] if command is not None else ""
        return " ".join(first.split())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.purpose(ctx, name)) for name in self.list_commands(ctx)])


class Listing(Group):
    """A group that lists when no command is named: ``queue --all`` is ``queue list --all``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` before options that stand alone, but for those that every command has."""
        place = _behind(args, self.params)
        named = any(not word.startswith("-") for word in args[place : place + 1])
        if not named and not set(args[place : place + 1]) & {"-h", "--help"} and not ctx.resilient_parsing:
            args = [*args[:place], "list", *args[place:]]
        return super().parse_args(ctx, args)


def _behind(args: list[str], params: list[click.Parameter]) -> int:
    """How many of `args` are options of the group itself, at the beginning, with their values."""
    own = {name: each for each in params if isinstance(each, click.Option) for name in each.opts}
    place = 0
    while place < len(args) and (option := own.get(args[place].partition("=")[0])) is not None:
        place += 1 if option.is_flag or "=" in args[place] else 2
    return min(place, len(args))


def no_such_option(error: click.NoSuchOption) -> str:
    """What to tell of an option that is none, with the one that was meant, if any."""
    command = error.ctx.command if error.ctx is not None else None
    options = [each for each in command.params if isinstance(each, click.Option)] if command else []
    names = [name for each in options for name in (*each.opts, *each.secondary_opts) if name[:2] == "--"]
    place = error.ctx.command_path.partition(" ")[2] if error.ctx is not None else ""
    told = ELSEWHERE.get(f"{place} {error.option_name:.60}") or _meant(error.option_name, names)
    return f"There is no option {error.option_name!r:.60}. {told}".rstrip()


def _meant(word: str, names: list[str]) -> str:
    near = meant(word, names)
    return f"Did you mean {' or '.join(near)}?" if near else ""
