"""``postbearer import``: the accounts of another program, as a configuration of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.exit_codes import CannotCreate
from postbearer.cli.groups import Group
from postbearer.cli.input_files import read_file
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import note, print_json, warn
from postbearer.errors import ConfigError

if TYPE_CHECKING:
    from postbearer.importing import Imported, ImportedConfiguration, Remark

Command = Callable[..., Any]


@click.group("import", cls=Group)
@common_options
def command() -> None:
    """Turn the configuration of another program into one of ours.

    Prints the configuration; what could not be carried over is told on standard error, and in comments at
    its top. Secrets are never printed: they become references to variables that you set, or are sealed at
    once with --seal.
    """


def importing(function: Command) -> Command:
    """The argument and the options that every format has."""
    decorators: tuple[Callable[[Command], Command], ...] = (
        pass_common,
        common_options,
        click.option(
            "--set",
            "settings",
            metavar="KEY=VALUE",
            multiple=True,
            help="A key that the file does not have, for every account or as NAME.KEY for one; repeat it.",
        ),
        click.option("--force", is_flag=True, help="Write over the file if it is there."),
        click.option(
            "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write to a new file."
        ),
        click.option("--seal", is_flag=True, help="Seal secrets that are written out under the local key."),
        click.argument("file", type=click.Path()),
    )
    for decorate in decorators:
        function = decorate(function)
    return function


def address_option(function: Command) -> Command:
    """Add ``--address``."""
    return click.option(
        "--address", metavar="ADDRESS", default="", help="Mailbox where the file names none."
    )(function)


@command.command("dsconfig", short_help="A directory server's batch file of dsconfig commands.")
@click.option("--root", metavar="FOLDER", default="", help="Folder of the directory server.")
@click.option("--server", metavar="HOST:PORT", default="", help="Mail server where the file creates none.")
@address_option
@importing
def dsconfig(common: Common, file: str, root: str, server: str, address: str, **how: Any) -> None:
    """Import the mail servers of a directory server from a batch FILE of dsconfig commands.

    Read are create-passphrase-provider, create-http-authorization-method, create-external-server --type smtp
    and set-global-configuration-prop. Relative paths begin at the folder that --root names.
    """
    from postbearer.importing import read_dsconfig

    draft = _draft(file, "dsconfig", how["seal"])
    read_dsconfig(_content(file), draft, root=root, server=server, address=address)
    _finish(common, draft, how)


@command.command("emailproxy", short_help="The emailproxy.config of email-oauth2-proxy.")
@importing
def emailproxy(common: Common, file: str, **how: Any) -> None:
    """Import the accounts of email-oauth2-proxy from its FILE, emailproxy.config.

    The tokens it keeps are locked by the password of its client: people sign in anew.
    """
    from postbearer.importing import read_emailproxy

    draft = _draft(file, "emailproxy", how["seal"])
    read_emailproxy(_content(file), draft)
    _finish(common, draft, how)


@command.command("env", short_help="The environment file of a relay in a container.")
@address_option
@importing
def env(common: Common, file: str, address: str, **how: Any) -> None:
    """Import the mailbox and the clients of a relay in a container from its environment FILE.

    Read are the variables of docker-postfix (RELAYHOST, XOAUTH2_…) and of relays that send by Microsoft's
    Graph (CLIENT_ID, ENTRA_…, Relay__…). All others are named. Passwords of clients become hashes.
    """
    from postbearer.importing import read_environment
    from postbearer.submission import hash_password

    draft = _draft(file, "env", how["seal"])
    read_environment(_content(file), draft, hash_password=hash_password, address=address)
    _finish(common, draft, how)


@command.command("msmtp", short_help="The configuration of msmtp, such as ~/.msmtprc.")
@address_option
@importing
def msmtp(common: Common, file: str, address: str, **how: Any) -> None:
    """Import the accounts of msmtp from its configuration FILE, such as ~/.msmtprc.

    Nothing in it is run: passwordeval becomes the account's command, and eval lines are left out.
    """
    from postbearer.importing import read_msmtp

    draft = _draft(file, "msmtp", how["seal"])
    read_msmtp(_content(file), draft, address=address)
    _finish(common, draft, how)


@command.command("properties", short_help="The SMTP and OAuth properties of a partner portal.")
@click.option(
    "--map", "given", metavar="NAME=KEY", multiple=True, help="The key that a property stands for; repeat it."
)
@click.option("--connector", metavar="HOST:PORT", default="", help="Relay without OAuth, for high volume.")
@click.option(
    "--urgent", metavar="'NAME: PATTERN'", multiple=True, help="Header of what goes first; repeat it."
)
@importing
def properties(
    common: Common,
    file: str,
    given: tuple[str, ...],
    connector: str,
    urgent: tuple[str, ...],
    **how: Any,
) -> None:
    """Import a partner portal's SMTP and OAuth system properties from a properties FILE.

    Names are read by their meaning; --map says what others stand for: a key of an account, or host, port,
    grant, provider, username, connector. The grant has to be password, and the user name the mailbox.
    """
    from postbearer.importing import URGENT, parse_map, parse_settings, read_portal

    draft = _draft(file, "properties", how["seal"])
    mapped = parse_map(given)
    settings, how["settings"] = parse_settings(how["settings"]), ()
    read_portal(
        _content(file), draft, mapped=mapped, given=settings, connector=connector, urgent=urgent or URGENT
    )
    _finish(common, draft, how)


@command.command("sasl-xoauth2", short_help="The files of sasl-xoauth2, Postfix's plug-in.")
@click.option(
    "--passwords",
    metavar="FILE",
    type=click.Path(),
    help="Postfix's password map, such as sasl_passwd.",
)
@click.option("--root", metavar="FOLDER", default="", help="Folder that Postfix's client runs in, if any.")
@address_option
@importing
def sasl_xoauth2(
    common: Common, file: str, passwords: str | None, root: str, address: str, **how: Any
) -> None:
    """Import the mailboxes of sasl-xoauth2, Postfix's plug-in, from its FILE /etc/sasl-xoauth2.conf.

    Mailboxes, servers and token files are named by Postfix's password map; without it, --address names one
    mailbox.
    """
    from postbearer.importing import read_saslxoauth2

    draft = _draft(file, "sasl-xoauth2", how["seal"])
    entries = _content(passwords) if passwords else b""
    read_saslxoauth2(_content(file), draft, passwords=entries, root=root, address=address)
    _finish(common, draft, how)


@command.command("smtp2graph", short_help="The config.yml of SMTP2Graph.")
@address_option
@importing
def smtp2graph(common: Common, file: str, address: str, **how: Any) -> None:
    """Import the mailboxes and clients of SMTP2Graph from its FILE, config.yml.

    It needs the extra import. Passwords of clients become hashes.
    """
    from postbearer.cli.extras import need_yaml
    from postbearer.importing import read_smtp2graph
    from postbearer.submission import hash_password

    need_yaml()
    draft = _draft(file, "smtp2graph", how["seal"])
    read_smtp2graph(_content(file), draft, hash_password=hash_password, address=address)
    _finish(common, draft, how)


def _draft(file: str, program: str, seal: bool) -> ImportedConfiguration:
    from postbearer.importing import ImportedConfiguration

    name = _called(file)
    if not seal:
        return ImportedConfiguration(name, program)
    from postbearer.secrets import seal_reference
    from postbearer.state import KeyFile, StateFolder

    box = KeyFile(StateFolder()).box()
    return ImportedConfiguration(name, program, lambda secret: seal_reference(box, secret))


def _called(file: str) -> str:
    return "standard input" if file == "-" else file


def _content(file: str) -> bytes:
    from postbearer.importing import LARGEST, bounded

    return bounded(read_file(file, LARGEST + 1), _called(file))


def _finish(common: Common, draft: ImportedConfiguration, how: dict[str, Any]) -> None:
    from postbearer.importing import finish, parse_settings, settle

    settle(draft, parse_settings(how["settings"]))
    imported = finish(draft)
    output = how["output"]
    _demand_relay(draft, imported.text, output)
    if output:
        _write(output, imported.text, force=how["force"])
    if common.as_json:
        print_json(_told(draft, imported, output))
        return
    for each in imported.left:
        warn(_placed(draft, each), each.hint)
    for each in imported.notes:
        note(_placed(draft, each), each.hint)
    for variable, meaning in imported.to_set.items():
        note(f"Set {variable}: {meaning}.")
    if output:
        click.echo(f"{output}: {', '.join(imported.accounts)}. Try: postbearer --config {output} check")
    else:
        click.echo(imported.text, nl=False)


def _demand_relay(draft: ImportedConfiguration, text: str, output: str | None) -> None:
    """Raise `ConfigError`, at the place in the source, for what ``serve`` would refuse."""
    from postbearer.assembly import Assembly
    from postbearer.config import parse
    from postbearer.daemon import RelayPlan
    from postbearer.importing import in_source
    from postbearer.state import StateFolder

    place = os.path.abspath(output or "postbearer.toml")
    configuration = parse(text.encode(), place, {})
    if configuration.settings.relay is None:
        return
    try:
        RelayPlan.of(Assembly(configuration, StateFolder(), {}))
    except ConfigError as error:
        raise in_source(draft, error) from None


def _write(path: str, text: str, *, force: bool) -> None:
    from postbearer.config import write_new

    try:
        write_new(path, text.encode(), replace=force)
    except FileExistsError:
        raise CannotCreate(f"{path} is there already.", hint="Name another file, or add --force.") from None


def _placed(draft: ImportedConfiguration, remark: Remark) -> str:
    return f"{draft.file}:{remark.line}: {remark.message}" if remark.line else remark.message


def _told(draft: ImportedConfiguration, imported: Imported, output: str | None) -> dict[str, Any]:
    def remark(each: Remark) -> dict[str, Any]:
        return {"file": draft.file, "line": each.line, "message": each.message, "hint": each.hint}

    return {
        "accounts": list(imported.accounts),
        "configuration": imported.text,
        "output": output,
        "not_carried_over": [remark(each) for each in imported.left],
        "to_look_at": [remark(each) for each in imported.notes],
        "to_set": imported.to_set,
    }
