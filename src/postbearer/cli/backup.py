"""``postbearer backup`` and ``restore``."""

from __future__ import annotations

import os
import time
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.exit_codes import CannotCreate, Unreadable
from postbearer.cli.extras import need_relay
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import note, print_json
from postbearer.errors import ConfigError, StoreError, UsageError

if TYPE_CHECKING:
    from postbearer.backup import BackupPart, RelayPaths
    from postbearer.state import StateFolder

_PARTS = ("queue", "state", "configuration")


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False))
@common_options
@pass_common
def backup(common: Common, file: str) -> None:
    """Write queue, state and configuration to one new FILE, whether the relay runs or not.

    Run it as the relay's own user. The file holds mail, and the key that all tokens are sealed under: only
    its owner can read it, and it should be kept that way.
    """
    need_relay()
    from postbearer.backup import BackupPart, write_archive
    from postbearer.clock import SystemClock

    places = _places(common, _state())
    try:
        contents = write_archive(file, places, SystemClock())
    except FileExistsError:
        raise CannotCreate(f"{file} is there already.", hint="Name a new file.") from None
    except OSError as error:
        raise CannotCreate(f"{file} cannot be written: {error.strerror or error}.") from None
    _remember(places.state, file, contents.made)
    size = os.path.getsize(file)
    if common.as_json:
        members = [{"name": name, "size": each.size} for name, each in contents.members.items()]
        print_json({"file": file, "size": size, "members": members})
        return
    found = {part: len(contents.of(part)) for part in _parts()}
    if not contents.of(BackupPart.QUEUE):
        note(f"There is no queue at {places.queue}, so none is in it.")
    if waiting := places.waiting_outside():
        note(
            f"{waiting} messages in {places.state / 'drop'} are not in it: they wait to get into the queue.",
            "Start the relay, and take the backup then.",
        )
    files = ", ".join(f"{number} of the {part}" for part, number in found.items() if number)
    click.echo(f"{file}: {size:,} octets; {files}. Keep it where nobody else can read it.")


def _remember(state: Path, file: str, made: float) -> None:
    """Have the relay know that there is one."""
    from postbearer.state import LastBackup, note_backup

    try:
        note_backup(str(state), LastBackup(os.path.abspath(file), made))
    except StoreError as error:
        note(f"The backup is whole; that it was made could not be noted: {error.message}", error.hint)


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(_PARTS),
    help="Restore this part and leave the others (may be repeated).",
)
@click.option("--replace", is_flag=True, help="Move what is there aside, rather than refuse.")
@common_options
@pass_common
def restore(common: Common, file: str, only: tuple[str, ...], replace: bool) -> None:
    """Put what is in the backup FILE back in its places. No relay may run there.

    What waits in a queue that was put back is held, as it may have been sent after the backup was made: see
    `queue list --state held`, `queue release` and `queue cancel`.
    """
    need_relay()
    from postbearer.backup import ASIDE, Archive
    from postbearer.backup import restore as put_back

    state = _state()
    places = _places(common, state)
    try:
        with Archive.open(file) as archive:
            parts = [part for part in _parts() if part in (only or _PARTS) and archive.contents.of(part)]
            if lacking := [each for each in only if each not in parts]:
                raise UsageError(f"{file} has no {lacking[0]} in it.", hint=_has(archive.contents.of))
            _refuse_running(state)
            if "configuration" in parts:  # which says where the queue is
                places = replace_fields(places, queue=archive.contents.place_of_queue(places.state))
            aside = time.strftime(f"{ASIDE}%Y%m%dT%H%M%S") if replace else ""
            moved = put_back(archive, places, parts, aside=aside)
            made = archive.contents.made
    except FileNotFoundError:
        raise Unreadable(f"There is no file {file}.") from None
    except OSError as error:
        raise CannotCreate(
            f"{error.filename or file} cannot be used: {error.strerror or error}.",
            hint="Run it as the user whose files they are; --only restores one part.",
        ) from None
    if common.as_json:
        restored = {part: str(places.of(part)) for part in parts}
        print_json({"made": made, "restored": restored, "moved": [*map(str, moved)]})
        return
    click.echo(f"Restored as of {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(made))}:")
    for part in parts:
        click.echo(f"  {part} in {places.of(part)}")
    for folder in dict.fromkeys(moved):
        click.echo(f"  what was there is in {folder}")
    if "queue" in parts:
        note("The next start holds what waits in the queue.", "See: postbearer queue list --state held")


def _parts() -> list[BackupPart]:
    from postbearer.backup import BackupPart

    return [BackupPart(name) for name in _PARTS]


def _has(of: Any) -> str:
    return f"It has: {', '.join(part for part in _parts() if of(part))}."


def _state() -> StateFolder:
    from postbearer.state import StateFolder

    return StateFolder().ensure()


def _places(common: Common, state: StateFolder) -> RelayPaths:
    """Where things are by the configuration that is there; without one, where they would be looked for."""
    from postbearer.assembly import Assembly
    from postbearer.backup import RelayPaths
    from postbearer.config import candidates, find
    from postbearer.daemon import spool_url
    from postbearer.store import SpoolPlace, SpoolUrl

    try:
        configuration = find(common.config, os.environ)
    except ConfigError:
        configuration = os.path.abspath(common.config or candidates(os.environ)[0])
        url: SpoolPlace = SpoolUrl.in_folder(state.path)
    else:
        url = spool_url(Assembly.load(configuration))
    if not isinstance(url, SpoolUrl):
        raise UsageError(
            f"The queue is in a database ({url.place}), as are tokens and budgets.",
            hint="Back that up as a database is: pg_dump, or what yours has.",
        )
    return RelayPaths(Path(state.path), url.path, Path(configuration))


def _refuse_running(state: StateFolder) -> None:
    from postbearer.control import ControlClient

    relay = ControlClient.find(state)
    if relay is not None:
        with relay:
            raise UsageError(
                f"The relay of {state.path} runs.", hint="Nothing was changed. First: postbearer stop"
            )
