"""``postbearer secret``: seal, test and look after secrets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.groups import Group
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import note, print_json
from postbearer.errors import ConfigError, SecretError, UsageError
from postbearer.secret import Secret

if TYPE_CHECKING:
    from postbearer.secret import SecretSource

_LARGEST = 1 << 20


@click.group("secret", cls=Group)
@common_options
def command() -> None:
    """Seal, test and look after secrets."""


@command.command("seal")
@common_options
@pass_common
def seal(common: Common) -> None:
    """Seal a secret for the configuration of this machine.

    The secret is asked for, or read from standard input when that is no terminal; one line end
    behind it is left away. It is never taken from the command line, where others could see it.
    """
    from postbearer.secrets import seal_reference
    from postbearer.state import KeyFile, StateFolder

    reference = seal_reference(KeyFile(StateFolder()).box(), _given())
    if common.as_json:
        print_json({"reference": reference})
    else:
        click.echo(reference)


@command.command("test")
@click.argument("reference")
@common_options
@pass_common
def test(common: Common, reference: str) -> None:
    """Read the secret that REFERENCE names, and say only that it works.

    REFERENCE may also be the name of a key: accounts.alerts.client-secret
    """
    import asyncio

    from postbearer.oauth import read_secret

    source, field = _source(common, reference)
    secret = asyncio.run(read_secret(field, source))
    if not secret:
        raise SecretError(f"{source.reference} is empty.", reference=source.reference)
    if common.as_json:
        print_json({"readable": True, "reference": source.reference})
    else:
        click.echo(f"{source.reference} can be read.")
    if not field and (breaks := secret.reveal().count("\n")):
        note(f"It has {breaks + 1} lines.", "Keys and certificates do; client secrets and passwords not.")


@command.command("rotate-key")
@common_options
@pass_common
def rotate_key(common: Common) -> None:
    """Make a new local key, and seal the kept tokens under it.

    Old keys stay in the key file: references in a configuration that were sealed under them still open.
    """
    from postbearer.state import StateFolder
    from postbearer.state import rotate_key as rotate

    folder = StateFolder()
    accounts = rotate(folder)
    if common.as_json:
        print_json({"key": folder.key, "resealed": accounts})
    else:
        click.echo(f"{folder.key} has a new key; sealed again: {', '.join(accounts) or 'nothing was kept'}.")


@command.command("hash-password")
@common_options
@pass_common
def hash_password(common: Common) -> None:
    """Hash a password, for password-hash in [[relay.clients]] or [[http.logins]].

    The password is asked for twice, or read from standard input when that is no terminal; it is
    never taken from the command line. The hash is argon2id.
    """
    from postbearer.submission import hash_password as hashed

    phc = hashed(_given("Password", confirmed=True))
    if common.as_json:
        print_json({"password_hash": phc})
    else:
        click.echo(phc)


@command.command("totp")
@click.argument("name")
@common_options
@pass_common
def totp(common: Common, name: str) -> None:
    """Make the second factor of a login to the console: a key for NAME's authenticator app.

    NAME is that of [[http.logins]]. The address goes into the app (as a QR code, or its secret typed in);
    the sealed key goes into the configuration. Neither can be shown again.
    """
    from postbearer.console import make_key, provisioning_uri
    from postbearer.secrets import seal_reference
    from postbearer.state import KeyFile, StateFolder

    key = make_key()
    address, reference = provisioning_uri(key, name), seal_reference(KeyFile(StateFolder()).box(), key)
    if common.as_json:
        print_json({"uri": address, "reference": reference})
    else:
        click.echo(f"For the app:            {address}")
        click.echo(f'For [[http.logins]]:    totp = "{reference}"')


def _given(prompt: str = "Secret", *, confirmed: bool = False) -> Secret:
    if sys.stdin.isatty():
        text = click.prompt(prompt, hide_input=True, confirmation_prompt=confirmed, err=True)
    else:
        try:
            text = sys.stdin.buffer.read(_LARGEST + 1).decode("utf-8", "strict")
        except UnicodeDecodeError:
            hint = "Secrets are texts: convert it first."
            raise UsageError("That is no text in UTF-8.", hint=hint) from None
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        this = click.get_current_context().command_path
        raise UsageError("No secret was given.", hint=f"Pipe it in: pass show mail | {this}")
    if len(text) > _LARGEST:
        raise UsageError("That is too long for a secret.")
    return Secret(text)


def _source(common: Common, reference: str) -> tuple[SecretSource, str]:
    """The source for a reference, or for the reference that a key of the configuration holds, and which."""
    from postbearer.secrets import is_reference, source
    from postbearer.state import StateFolder

    if is_reference(reference):
        return source(reference, base=Path.cwd(), state=StateFolder()), ""
    from postbearer.assembly import Assembly

    assembly = Assembly.load(common.config)
    if ":" in reference:  # of a store that the configuration names
        return assembly.secret_source(reference), ""
    from postbearer.cli.configuration import near_key
    from postbearer.config import key_path

    value: Any = assembly.configuration.data
    path = key_path(reference)
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise ConfigError(
            "This key is not set.", key=reference, file=assembly.configuration.path, hint=near_key(reference)
        )
    return assembly.secret_source(value), str(path[-1]).replace("-", "_")
