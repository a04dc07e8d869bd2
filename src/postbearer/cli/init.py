"""``postbearer init``: a few questions, and a configuration with comments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli import completion
from postbearer.cli.exit_codes import CannotCreate, ExitCode, UsageErrors
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json
from postbearer.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from postbearer.control import ConfigurationDraft

Command = Callable[..., Any]
_LISTEN = "127.0.0.1:2525"
_REFERENCE = "REFERENCE"
_MANY = {"servers": "--server", "scopes": "--scope"}  # given once for each
_OPTIONS = {  # key of the account → what stands for its value, and help
    "provider": ("NAME", "Who carries the mail: see postbearer providers; smtp for any other server."),
    "cloud": ("NAME", "Which of the provider's separate installations."),
    "tenant": ("TENANT", "The organisation at Microsoft: domain or id."),
    "address": ("ADDRESS", "The mailbox that mail leaves from."),
    "username": ("NAME", "The login, if it is not the address."),
    "token-user": ("NAME", "Who consents, if not the address."),
    "servers": ("HOST:PORT", "Mail server; several in the order to try them."),
    "tls": ("HOW", "implicit or starttls."),
    "ca-file": ("FILE", "Certificates to trust instead of the system's."),
    "authentication": ("HOW", "oauth, unless it is said otherwise: password, certificate or none."),
    "grant": ("GRANT", "How a token is obtained: see postbearer providers NAME."),
    "issuer": ("URL", "Whose metadata names the endpoints."),
    "token-url": ("URL", "Token endpoint."),
    "authorize-url": ("URL", "Authorization endpoint."),
    "device-url": ("URL", "Device authorization endpoint."),
    "scopes": ("SCOPE", "Scope to ask for; several one by one."),
    "audience": ("TEXT", "Audience or resource to ask for."),
    "client-id": ("ID", "Id of the app that is registered at the provider."),
    "client-secret": (_REFERENCE, "Where the app's secret is."),
    "certificate": (_REFERENCE, "Where the app's certificate is, instead of a secret."),
    "private-key": (_REFERENCE, "Where the key is that signs assertions."),
    "key-password": (_REFERENCE, "Where the password of that key is."),
    "assertion": (_REFERENCE, "Where an assertion of another identity provider is."),
    "password": (_REFERENCE, "Where the password is."),
    "refresh-token": (_REFERENCE, "Where a refresh token is that was obtained elsewhere."),
    "service-account": (_REFERENCE, "Where the key file of a service account is."),
    "token": (_REFERENCE, "Where a fixed access token is; for tests only."),
    "command": ("COMMAND", "A program that prints an access token."),
}
_COMPLETED = {"provider": completion.providers, "grant": completion.grants}


def flag(key: str) -> str:
    """The option that says what `key` of the account is."""
    return _MANY.get(key, f"--{key}" if key in _OPTIONS else f"--set {key}=…")


def account_options(function: Command) -> Command:
    """The options for the keys of an account; what they say is told by `given_keys`."""
    for key, (shown, told) in reversed(_OPTIONS.items()):
        name = key.replace("-", "_")
        function = click.option(
            flag(key),
            name,
            metavar=shown,
            multiple=key in _MANY,
            default=None,
            help=told,
            shell_complete=_COMPLETED.get(key),
        )(function)
    return click.option(
        "--set", "further", metavar="KEY=VALUE", multiple=True, help="Any other key of the account."
    )(function)


@click.command("init")
@account_options
@click.option("--name", default="", metavar="NAME", help="What to call the account.")
@click.option("--relay/--no-relay", default=None, help="Whether other programs send through it by SMTP.")
@click.option("--listen", default="", metavar="HOST:PORT", help=f"Where the relay listens: {_LISTEN}.")
@click.option("--force", is_flag=True, help="Write the file anew, in place of one that is there.")
@click.option("--non-interactive", is_flag=True, help="Ask nothing; what is missing is an error.")
@common_options
@pass_common
def command(common: Common, /, non_interactive: bool, **given: Any) -> int:
    """Describe a mailbox: ask a few questions, and write a configuration with comments.

    Asked for is what the options do not say. The account goes into the file that --config names, else
    into the one that is found, else into a new one: ~/.config/postbearer/postbearer.toml, for root
    /etc/postbearer/postbearer.toml. Nothing is written before the last question.

    A secret never stands in the file: a REFERENCE says where it is, as env:NAME, file:/path or
    command:…; or it is typed here, and sealed.

    \b
    postbearer init
    postbearer init --non-interactive --provider microsoft --tenant example.org \\
      --address alerts@example.org --grant client-credentials \\
      --client-id 00000000-0000-0000-0000-000000000000 \\
      --client-secret env:ALERTS_SECRET
    """
    from postbearer.cli.wizard import Wizard, ready

    asks = not non_interactive and not common.as_json and sys.stdin.isatty()
    draft = _draft(common, given)
    if asks:
        relay = given["relay"] if given["relay"] is not None else bool(given["listen"]) or None
        if not Wizard(draft, relay=relay, usual_listen=_LISTEN).run():
            click.echo("Nothing was written.", err=True)
            return ExitCode.INTERRUPTED
    else:
        if there := draft.same_mailbox():
            return _leave(common, draft, there)
        draft.complete()
        if given["relay"] and not draft.addition.listen:
            draft.addition.listen = _LISTEN
        _refuse_unfinished(draft)
    _write(draft, force=given["force"])
    following = list(_following(draft))
    if common.as_json:
        _tell(draft, following, changed=True)
        return ExitCode.OK
    click.echo(f"{draft.addition.path}: the account {draft.name} is there.")
    if asks and not draft.signs_in and ready("Check it now?"):
        from postbearer.cli.check import command as check

        common.config = draft.addition.path
        context = click.get_current_context()
        code = int(context.invoke(check, accounts=(draft.name,), send_to="", text=None))
        following = (
            following[-1:] if code == ExitCode.OK and draft.addition.listen else []
        )  # the relay's start
        _say_next(following)
        return code
    _say_next(following)
    return ExitCode.OK


def _leave(common: Common, draft: ConfigurationDraft, name: str) -> ExitCode:
    """The mailbox has the account `name` already: what was asked for is there, or else nothing is changed.

    Raises `CannotCreate` where it is described otherwise.
    """
    if other := draft.differs_from(name):
        raise CannotCreate(
            f"{draft.addition.path} has the account {name} for this mailbox, with another {other[0]}.",
            hint=f"Change that one: postbearer config set accounts.{name}.{other[0]} VALUE. "
            "Or describe it once more under another --name.",
        )
    draft.addition.name = name
    if common.as_json:
        _tell(draft, list(_following(draft)), changed=False)
    else:
        click.echo(f"{draft.addition.path}: the account {name} is there already; nothing was changed.")
    return ExitCode.OK


def _tell(draft: ConfigurationDraft, following: list[str], *, changed: bool) -> None:
    made = changed and draft.addition.before is None
    told = {"file": draft.addition.path, "account": draft.name, "created": made, "changed": changed}
    print_json({**told, "next": following})


def _say_next(steps: list[str]) -> None:
    for step in steps:
        click.echo(f"Next: {step}")


def _draft(common: Common, given: dict[str, Any]) -> ConfigurationDraft:
    from postbearer.config import Addition, Providers, candidates
    from postbearer.control import ConfigurationDraft, target
    from postbearer.daemon import RelayPlan

    path = target(common.config, candidates(os.environ))
    addition = Addition.to(path, os.environ, anew=given["force"])
    draft = ConfigurationDraft(addition, Providers(path), os.environ, examine=RelayPlan.of)
    addition.name = given["name"]
    addition.listen = given["listen"] if given["relay"] is not False else ""
    for key, value in given_keys(given).items():
        draft.put(key, value)
    return draft


def given_keys(given: dict[str, Any]) -> dict[str, Any]:
    """The keys of an account that its options and ``--set`` say. Raises `UsageError`."""
    from postbearer.config import typed_value

    keys: dict[str, Any] = {}
    for key in _OPTIONS:
        value = given[key.replace("-", "_")]
        if value and key == "ca-file":
            value = os.path.abspath(value)  # in the file a relative path would start at its folder
        if value:
            keys[key] = list(value) if key in _MANY else value
    for text in given["further"]:
        key, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"--set {text!r:.60} is not of the form KEY=VALUE.")
        try:
            keys[key] = typed_value(f"accounts.new.{key}", value)
        except ConfigError as error:
            raise UsageError(f"--set {key}: {error.message}", hint=error.hint) from None
    return keys


def _refuse_unfinished(draft: ConfigurationDraft) -> None:
    """Raise `UsageError` that names the options for all that is missing or wrong."""
    first = [key for key in ("provider", "address") if key not in draft.keys]
    if first:
        raise UsageError(
            f"Nobody can be asked here, and {' and '.join(map(flag, first))} did not come.",
            hint="An account needs at least --provider, --address and --grant: postbearer init --help",
        )
    if draft.name in draft.addition.accounts():
        raise CannotCreate(
            f"{draft.addition.path} has an account {draft.name} already.",
            hint="Choose another --name, or change that one: postbearer config set",
        )
    if found := [_said_of_options(draft, each) for each in draft.problems()]:
        raise UsageErrors(found)


def _said_of_options(draft: ConfigurationDraft, problem: ConfigError) -> UsageError:
    """What is wrong, in the words of the command line: keys are options here."""
    key = draft.key(problem)
    hint = problem.hint
    if key in _OPTIONS and problem.message.startswith("is missing"):
        shown, told = _OPTIONS[key]
        _, listed, more = hint.partition(": ")  # … one of client-credentials, …
        hint = f"Give {flag(key)} {shown}" + (f": {more}" if listed else f". {told}")
    return UsageError(f"{_place(draft, problem)}{problem.message}", hint=hint)


def _place(draft: ConfigurationDraft, problem: ConfigError) -> str:
    """The option that `problem` is about, else its place in the file."""
    if key := draft.key(problem):
        return f"{flag(key.split('.')[0])} "
    if draft.addition.listen and problem.key.startswith("relay"):
        return f"--listen {draft.addition.listen}: "
    place = problem.file + (f":{problem.line}" if problem.line else "")
    return "".join(f"{part}: " for part in (place, problem.key) if part)


def _write(draft: ConfigurationDraft, *, force: bool) -> None:
    try:
        draft.addition.write(draft.environ, force=force)
    except FileExistsError:
        raise CannotCreate(
            f"{draft.addition.path} was made by somebody else meanwhile.", hint="Try again."
        ) from None


def _following(draft: ConfigurationDraft) -> Iterator[str]:
    """The commands that come next."""
    option = f" --config {draft.addition.path}" if not draft.is_found() else ""
    if draft.signs_in:
        yield f"postbearer{option} login {draft.name}"
    yield f"postbearer{option} check {draft.name}"
    if draft.addition.listen:
        yield f"postbearer{option} serve"
