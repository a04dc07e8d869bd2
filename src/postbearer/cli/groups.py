"""Groups of commands: a name that is none is answered with the one that was meant."""

from __future__ import annotations

import click

from postbearer.suggestion import meant


class Group(click.Group):
    """A group that suggests, whatever version of click is there, and whose purposes are told in full."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"There is no command {args[0]!r:.60}.{_meant(args[0], names)}")
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
    return f"There is no option {error.option_name!r:.60}.{_meant(error.option_name, names)}"


def _meant(word: str, names: list[str]) -> str:
    near = meant(word, names)
    return f" Did you mean {' or '.join(near)}?" if near else ""
