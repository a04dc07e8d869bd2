"""``postbearer queue``: look at the queue of the relay, and work on it."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from errno import EDQUOT, ENOSPC
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

import click

from postbearer.cli import completion
from postbearer.cli.exit_codes import CannotCreate, UnusableMessage
from postbearer.cli.extras import NotInstalled
from postbearer.cli.groups import Listing
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import note, print_json, printable, warn
from postbearer.cli.queue_filters import FINAL, OPEN, Choice, choosing, filters, only_named, searched, work
from postbearer.cli.tables import age, facts, moment, table
from postbearer.encodings import plain_json
from postbearer.errors import UsageError

if TYPE_CHECKING:
    from postbearer.cli.queue_client import QueueClient
    from postbearer.control import (
        Change,
        MessageDetail,
        MessageResent,
        MessageSummary,
        NodeInfo,
        NodeList,
        Page,
        PausedAccount,
        QueueStatistics,
    )

_PAGE = 100
_CHOOSING = "Name messages by id, of which the beginning will do, or choose them by the options."
_CANDIDATES = 10  # ids, or recipients, that an error names
_SHORT = 100  # characters of a cure that a row of the list has room for


@click.group("queue", cls=Listing)
@common_options
def command() -> None:
    """Look at the queue of the relay, and work on it, whether the relay runs or not.

    Without a word behind it, it lists what is open.
    """


@command.command("list")
@filters
@click.option("--all", "everything", is_flag=True, help="Also what is finished.")
@click.option(
    "--limit",
    default=_PAGE,
    type=click.IntRange(1, 100_000),
    show_default=True,
    help="Show so many messages at most.",
)
@common_options
@pass_common
def list_(common: Common, /, everything: bool, limit: int, **query: Any) -> None:
    """List messages, oldest first: those that are open, unless --all or --state says otherwise."""
    from postbearer.cli.queue_client import queue_client

    query = searched(query)
    if not query.get("statuses") and not everything:
        query["statuses"] = OPEN
    found = list(islice(_matching(queue_client(common), query, most=min(limit + 1, _PAGE)), limit + 1))
    more = len(found) > limit
    del found[limit:]
    if common.as_json:
        print_json({"messages": found, "more": more, "limit": limit})
        return
    if not found:
        click.echo("Nothing." if everything or query.get("statuses") != OPEN else "The queue is empty.")
        return
    table(
        ("id", "age", "state", "from", "to", "what is known"), [row for each in found for row in _rows(each)]
    )
    if more:
        note(f"There are more than these {limit} messages.", "See more by --limit.")


@command.command("show")
@click.argument("message", shell_complete=completion.messages)
@common_options
@pass_common
def show(common: Common, message: str) -> None:
    """Show all that is known about one message: recipients, attempts, what the provider said.

    The beginning of its id will do, if that of no other begins so.
    """
    from postbearer.cli.queue_client import queue_client

    found = _named(queue_client(common), message, most=0)
    if common.as_json:
        print_json(found)
        return
    facts(
        (
            ("id", found.id),
            ("accepted", f"{moment(found.accepted)} ({age(found.age)} ago)"),
            ("client", found.client),
            ("from", found.sender or "<>"),
            ("author", found.author),
            ("subject", found.subject),
            ("message-id", found.message_id),
            ("tags", ", ".join(f"{name}: {value}" for name, each in found.tags.items() for value in each)),
            ("size", f"{found.size} octets"),
            ("leaves at", moment(found.send_at)),
            ("tried until", moment(found.expires)),
            ("report about", found.report_of),
        )
    )
    for row in found.recipients:
        click.echo(f"\n{printable(row.address)}: {row.meaning}")
        facts(
            (
                ("  account", f"{row.account}, {row.priority}"),
                ("  attempts", str(row.attempts)),
                ("  next", moment(row.due) if row.state in ("scheduled", "ready", "deferred") else ""),
                ("  reply", row.reply),
                ("  cause", row.cause),
                ("  remedy", row.remedy),
                ("  waits", row.waits),
                ("  way out", row.way_out),
                ("  note", "it may have arrived; a copy is possible" if row.unknown else ""),
            )
        )
    for attempt in found.attempts:
        told = (
            attempt.server,
            f"queue id {attempt.queue_id}" if attempt.queue_id else "",
            attempt.error,
            "outcome unknown" if attempt.unknown else "",
        )
        said = printable(", ".join(part for part in told if part))
        click.echo(f"\nattempt {attempt.number}  {moment(attempt.began)}  {said}")
    recorded = [attempt for attempt in found.attempts if attempt.transcript]
    if recorded:
        click.echo(f"\nwhat was said in attempt {recorded[-1].number}")
        for line in recorded[-1].transcript.split("\n"):
            click.echo(f"  {printable(line)}")


def _changing(name: str, purpose: str, done: str) -> click.Command:
    """One of the commands that change messages named by id, or all that filters choose."""

    @click.argument("messages", nargs=-1, metavar="[ID]…", shell_complete=completion.messages)
    @choosing
    @click.option("--recipient", default="", metavar="ADDRESS", help="Only this recipient of it.")
    @common_options
    @pass_common
    def change(
        common: Common, /, messages: tuple[str, ...], recipient: str, **choice: Unpack[Choice]
    ) -> None:
        if not messages:
            if recipient:
                raise UsageError("--recipient is for messages that are named by id.")
            work(common, name, done, choice)
            return
        only_named(choice)
        from postbearer.cli.queue_client import queue_client

        asked = queue_client(common, changes=True)
        # Before any is changed: one that is mistyped leaves all as they are.
        ids = [_named(asked, each, recipient).id for each in messages]
        _tell(common, done, [_call(asked, name, message, recipient) for message in dict.fromkeys(ids)])

    change.__doc__ = f"{purpose}\n\n{_CHOOSING}"
    return click.command(name)(change)


def _call(asked: QueueClient, name: str, message: str, recipient: str) -> Change:
    done: Change = asked.call(f"queue.{name}", message=message, address=recipient)
    return done


@command.command("move")
@click.argument("messages", nargs=-1, metavar="[ID]…", shell_complete=completion.messages)
@click.option(
    *("--account", "target"),
    required=True,
    metavar="NAME",
    shell_complete=completion.accounts,
    help="The account that they are to leave by.",
)
@partial(choosing, account="--from-account")
@common_options
@pass_common
def move(common: Common, /, messages: tuple[str, ...], target: str, **choice: Unpack[Choice]) -> None:
    """Have messages that wait, or are held, leave by another account.

    That is refused where its sender rule, or its size limit, does not take the message. What is being
    attempted now stays where it is.
    """
    if not messages:
        work(common, "move", f"moved to {target}", choice, target)
        return
    only_named(choice)
    from postbearer.cli.queue_client import queue_client

    asked = queue_client(common, changes=True)
    ids = [_named(asked, each).id for each in messages]
    moved = [asked.call("queue.move", message=message, account=target) for message in dict.fromkeys(ids)]
    _tell(common, f"moved to {target}", moved)


@command.command("resend")
@click.argument("message", metavar="ID", shell_complete=completion.messages)
@click.option(
    "--to",
    multiple=True,
    metavar="ADDRESS",
    help="Only to this address; may be repeated. Others than its recipients are for who may read messages.",
)
@common_options
@pass_common
def resend(common: Common, message: str, to: tuple[str, ...]) -> None:
    """Hand in a new message of the same content, to the same recipients.

    The relay takes it as the client that handed in the first one, by the rules and limits of now. Whoever
    got that gets it twice. It works for what is still in the queue, or was done with in the last days.
    """
    from postbearer.cli.queue_client import queue_client

    asked = queue_client(common, changes=True)
    done: MessageResent = asked.call("queue.resend", message=_named(asked, message).id, to=to)
    if common.as_json:
        print_json(done)
        return
    click.echo(f"{done.id}: made of {done.original}, for {_recipients(len(done.recipients))}")


def _tell(common: Common, done: str, changed: Sequence[Change]) -> None:
    """What became of messages that were named."""
    if common.as_json:
        print_json({"messages": changed})
        return
    for each in changed:
        click.echo(f"{each.id}: {'; '.join(_became(each, done)) or _unchanged(each)}")
    for pause in {one.account: one for each in changed for one in _waited_for(each)}.values():
        again = f" It is tried again at {moment(pause.tried_again)}." if pause.tried_again else ""
        hint = pause.remedy or f"Find out more: postbearer check {pause.account}"
        warn(f"The account {pause.account} is paused: {pause.reason}{again}", hint)


def _waited_for(answer: Change) -> tuple[PausedAccount, ...]:
    """The pauses that what was let go has to wait for."""
    from postbearer.control import LetGo

    return answer.paused if isinstance(answer, LetGo) else ()


def _unchanged(answer: Change) -> str:
    """Why nothing was: where all of it stands."""
    stand = ", ".join(f"{count} {state}" for state, count in answer.states.items())
    return f"nothing to change ({stand})"


def _became(answer: Change, done: str) -> Iterator[str]:
    """What became of the recipients of a message: `done`, but for those whose account is paused."""
    waits = {pause.account: pause.recipients for pause in _waited_for(answer)}
    if (count := answer.changed - sum(waits.values())) > 0:
        yield f"{_recipients(count)} {done}{_until(answer)}"
    for account, count in waits.items():
        yield f"{_recipients(count)} {'waits' if count == 1 else 'wait'} for the paused account {account}"


def _until(answer: Change) -> str:
    """What was let go may have a time that is still to come."""
    from msgspec import UnsetType

    from postbearer.control import LetGo

    if not isinstance(answer, LetGo) or isinstance(answer.send_at, UnsetType):
        return ""
    return f" to leave at {moment(answer.send_at)}, or at once by: postbearer queue retry {answer.id}"


def _recipients(count: int) -> str:
    return f"{count} recipient{'' if count == 1 else 's'}"


for _name, _purpose, _done in (
    ("hold", "Keep messages until they are released.", "held"),
    ("release", "Let go what was held.", "released"),
    ("retry", "Try now what would be tried later, or waits for its time.", "due now"),
    ("cancel", "Give up the open recipients of messages. Nobody is told.", "cancelled"),
):
    command.add_command(_changing(_name, _purpose, _done))


@command.command("stats")
@common_options
@pass_common
def stats(common: Common) -> None:
    """Count recipients by state and account."""
    from postbearer.cli.queue_client import queue_client

    asked = queue_client(common)
    found: QueueStatistics = asked.call("queue.stats")
    if common.as_json:
        print_json(found)
        return
    relays: NodeList = asked.call("nodes.list")
    states = [state for state in (*OPEN, *FINAL) if state in found.counts]
    lines = [
        (name, *(str(counts.get(state, 0)) for state in states)) for name, counts in found.accounts.items()
    ]
    table(("account", *states), [*lines, ("all", *(str(found.counts[state]) for state in states))])
    if found.age is not None:
        click.echo(f"The oldest open message has waited {age(found.age)}.")
    if len(relays.nodes) > 1:
        click.echo()
        heading = ("relay", "version", "listens on", "under way", "configuration", "last heartbeat")
        table(heading, [_node(each) for each in relays.nodes])


def _node(node: NodeInfo) -> tuple[str, ...]:
    heartbeat = moment(node.heartbeat) if node.alive else f"{moment(node.heartbeat)}, none since"
    return node.name, node.version, node.address, str(node.busy), node.configuration, heartbeat


@command.command("export")
@click.argument("file", type=click.Path(allow_dash=True), default="-")
@common_options
@pass_common
def export(common: Common, file: str) -> None:
    """Write every open message to FILE, as JSON lines, for another store.

    FILE is for its owner alone, and holds all of it or is not there. The messages stay in the queue: hold
    or cancel them here before they are imported elsewhere.
    """
    from postbearer.cli.queue_client import queue_client
    from postbearer.state import whole_file

    asked = queue_client(common)
    try:
        if file == "-":
            count = _write_export(asked, sys.stdout.buffer)
        else:
            with whole_file(file, replace=True) as written:
                count = _write_export(asked, written)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotCreate(
            f"{file} cannot be written: {error.strerror}.",
            hint="Make room there, or write it elsewhere."
            if error.errno in (ENOSPC, EDQUOT)
            else "Check the folder and the permissions.",
        ) from None
    if common.as_json and file != "-":
        print_json({"exported": count, "file": file})
    else:
        click.echo(f"{count} message{'' if count == 1 else 's'} written.", err=True)


def _write_export(asked: QueueClient, file: BinaryIO) -> int:
    """How many messages were written."""
    count = 0
    for record in asked.export():
        file.write(plain_json(json.dumps(record, ensure_ascii=False)).encode() + b"\n")
        count += "end" in record
    file.flush()
    return count


@command.command("import")
@click.argument("file", type=click.Path(allow_dash=True), default="-")
@common_options
@pass_common
def import_(common: Common, file: str) -> None:
    """Take the messages that an export wrote to FILE. Those that are here already are left alone."""
    from postbearer.cli.input_files import opened
    from postbearer.cli.queue_client import queue_client

    asked = queue_client(common)
    with opened(file) as given:
        try:
            count = asked.import_(given)
        except NotInstalled:
            raise
        except UsageError as error:  # what stands in the file, and not the command line
            hint = error.hint or "Give it what `postbearer queue export` wrote."
            raise UnusableMessage(error.message, hint=hint) from None
    if common.as_json:
        print_json({"imported": count})
    else:
        click.echo(f"{count} message{'' if count == 1 else 's'} taken.")


def _named(asked: QueueClient, given: str, recipient: str = "", *, most: int = 1) -> MessageDetail:
    """The message whose id begins as `given`; it must have the `recipient`, if one is named.

    With so many recipients at `most`; 0, or if one is named: all of them.
    """
    from postbearer.address import same_mailbox

    page: Page = asked.call("queue.list", id_prefix=given, limit=_CANDIDATES)
    ids = [each.id for each in page.messages]
    if len(ids) > 1 and given not in ids:
        more = ", and more" if page.more else ""
        raise UsageError(f"Several ids begin with {given!r:.60}.", hint=f"Name one: {', '.join(ids)}{more}.")
    found: MessageDetail = asked.call(
        "queue.show", message=ids[0] if len(ids) == 1 else given, limit=0 if recipient else most
    )
    if recipient and not any(same_mailbox(row.address, recipient) for row in found.recipients):
        known = ", ".join(row.address for row in found.recipients[:_CANDIDATES])
        raise UsageError(
            f"{recipient!r:.200} is no recipient of the message {found.id}.", hint=f"Its recipients: {known}."
        )
    return found


def _matching(asked: QueueClient, query: dict[str, Any], most: int = _PAGE) -> Iterator[MessageSummary]:
    """All messages that fit, page by page."""
    after = ""
    while True:
        page: Page = asked.call("queue.list", **query, limit=most, after=after)
        if page.subjects_since and not after:
            since = moment(page.subjects_since)
            note(
                f"Subjects were looked at in what was accepted since {since}.", "Look further back by older:"
            )
        yield from page.messages
        if not page.more:
            return
        after = page.cursor


def _rows(message: MessageSummary) -> Iterator[tuple[str, ...]]:
    """One line a recipient; what they share stands in the first."""
    first = message.id, age(message.age, 1)
    for row in message.recipients:
        known = row.waits or row.reply or row.cause
        if row.state == "scheduled":
            known = f"leaves at {moment(row.due)}"
        if row.waits and len(row.way_out) <= _SHORT:  # a longer one is for `show`
            known = f"{known} {row.way_out}"
        left = (row.due or 0.0) - time.time()
        if row.state == "deferred" and left > 0:  # else it waits for its account, not for a time
            known = f"again in {age(left)}; {known}"
        yield (*first, row.state, message.sender or "<>", row.address, known)
        first = "", ""
    if message.others:
        yield "", "", "", "", f"and {message.others:,} others", _others(message)


def _others(message: MessageSummary) -> str:
    """In which states those are that have no row."""
    left = Counter(message.counts)
    left.subtract(str(row.state) for row in message.recipients)
    return ", ".join(f"{count:,} {state}" for state, count in left.items() if count > 0)
