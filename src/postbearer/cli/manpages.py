"""Manual pages (man-pages(7)), made of what ``--help`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from postbearer._version import __version__
from postbearer.cli.groups import Group
from postbearer.cli.root import postbearer


def write_manual(folder: Path) -> list[Path]:
    """Write a page for each command into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for context in _contexts(click.Context(postbearer, info_name="postbearer")):
        path = folder / f"{context.command_path.replace(' ', '-')}.1"
        path.write_text(page(context), encoding="utf-8")
        written.append(path)
    return written


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if not isinstance(command, Group):
        return
    for name in command.list_commands(context):
        if (inner := command.get_command(context, name)) is not None:
            yield from _contexts(click.Context(inner, info_name=name, parent=context))


def page(context: click.Context) -> str:
    """The page of one command."""
    command, name = context.command, context.command_path
    title = name.replace(" ", "-").upper()
    summary, _, rest = (command.help or "").partition("\n\n")
    lines = [f'.TH "{title}" "1" "" "postbearer {__version__}"', ".SH NAME"]
    lines += [_text(f"{name.replace(' ', '-')} - {' '.join(summary.split())}"), ".SH SYNOPSIS"]
    lines += [f".B {_text(name)}", _text(" ".join(command.collect_usage_pieces(context)))]
    if rest:
        lines += [".SH DESCRIPTION", *_paragraphs(rest)]
    options = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    if options:
        lines += [".SH OPTIONS", *_terms(options)]
    if isinstance(command, Group):
        found = [(each, command.purpose(context, each)) for each in command.list_commands(context)]
        lines += [".SH COMMANDS", *_terms(found)]
    if command.epilog:
        lines += [".SH NOTES", *_paragraphs(command.epilog)]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.strip().startswith("\b"):  # as it is, for click as well
            yield from (".PP", ".nf", *map(_text, paragraph.replace("\b\n", "").split("\n")), ".fi")
        elif paragraph.strip():
            yield from (".PP", _text(" ".join(paragraph.split())))


def _terms(terms: list[tuple[str, str]]) -> Iterator[str]:
    for term, meaning in terms:
        yield from (".TP", f".B {_text(term)}", _text(meaning))


def _text(text: str) -> str:
    """Text in which troff finds no request and no escape."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
