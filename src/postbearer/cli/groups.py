"""Groups of commands: a name that is none is answered with the nearest one that is."""

from __future__ import annotations

from difflib import get_close_matches

import click


class Group(click.Group):
    """A group that suggests, whatever version of click is there."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], names, n=1)
            ctx.fail(f"There is no command {args[0]!r}." + (f" Did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)


class Listing(Group):
    """A group that lists when no command is named: ``queue --all`` is ``queue list --all``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` before options that stand alone."""
        named = any(not word.startswith("-") for word in args[:1])
        if not named and not set(args[:1]) & {"-h", "--help"} and not ctx.resilient_parsing:
            args = ["list", *args]
        return super().parse_args(ctx, args)
