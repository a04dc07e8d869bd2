"""``postbearer providers``: what is known about mail providers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli import completion
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import folded, print_json
from postbearer.errors import UsageError
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postbearer.config import Providers
    from postbearer.providers import Preset

_BY_NAME = ("grants", "clouds", "scopes")  # tables whose keys are names, and stay what they are


@click.command("providers")
@click.argument("name", required=False, shell_complete=completion.providers)
@click.option(
    "--grant", default="", metavar="GRANT", shell_complete=completion.grants, help="Only of this grant."
)
@click.option("--cloud", default="", help="One of the provider's separate clouds.")
@common_options
@pass_common
def command(common: Common, name: str | None, grant: str, cloud: str) -> None:
    """List the mail providers that are known; with NAME, what one of them needs.

    Any other server works too: provider = "smtp", with servers, token-url and scopes. A file
    providers/NAME.toml beside the configuration is a provider as well.
    """
    known = common.providers()
    if name is None:
        _list(known, as_json=common.as_json)
        return
    chosen = known.preset(name, cloud)
    if grant:
        chosen = _narrowed(chosen, grant)
    if common.as_json:
        print_json(_json(chosen))
    else:
        for line in _lines(chosen):
            indent = len(line) - len(line.lstrip(" 0123456789.·✓✗?"))
            click.echo(line[:indent] + folded(line[indent:], sys.stdout, taken=indent, indent=indent))


def _narrowed(chosen: Preset, grant: str) -> Preset:
    """`chosen` with what one grant needs. Raises `UsageError` for a grant that it does not know."""
    import msgspec

    if grant not in chosen.grants:
        raise UsageError(
            f"{chosen.title} has no grant {grant!r:.60}.", hint=did_you_mean(grant, chosen.grants)
        )
    return msgspec.structs.replace(
        chosen,
        grants={name: each for name, each in chosen.grants.items() if name == grant},
        setup=tuple(step for step in chosen.setup if not step.grants or grant in step.grants),
    )


def _list(known: Providers, *, as_json: bool) -> None:
    presets = [known.preset(each) for each in known.names()]
    if as_json:
        shown = ("name", "title", "servers")
        told = [
            {key: getattr(each, key) for key in shown} | {"file": known.own(each.name)} for each in presets
        ]
        print_json({"providers": told})
        return
    width = max(len(each.name) for each in presets)
    for each in presets:
        file = known.own(each.name)
        click.echo(f"{each.name:{width}}  {each.title}{f' ({file})' if file else ''}")


def _json(chosen: Preset) -> dict[str, Any]:
    import msgspec

    hidden = ("rules", "replies", "written")
    shown = (name for name in chosen.__struct_fields__ if name not in hidden)
    told = {name: msgspec.to_builtins(getattr(chosen, name)) for name in shown}
    return {name: value if name in _BY_NAME else _snake(value) for name, value in told.items()}


def _snake(value: Any) -> Any:
    """The names of settings as programs write them."""
    return {key.replace("-", "_"): each for key, each in value.items()} if isinstance(value, dict) else value


def _lines(chosen: Preset) -> Iterator[str]:
    yield chosen.title
    yield ""
    facts = {
        "servers": ", ".join(chosen.servers),
        "tls": chosen.tls,
        "mechanisms": ", ".join(chosen.mechanisms) or "whatever the server offers",
        "token-url": chosen.token_url or chosen.issuer,
        "passwords": chosen.passwords,
        "cloud": chosen.cloud and f"{chosen.cloud} (of {', '.join(chosen.clouds)})",
        "limits": ", ".join(_limits(chosen)),
    }
    for name, value in facts.items():
        if value:
            yield f"{name:11} {value}"
    if chosen.no_oauth:
        yield ""
        yield f"No OAuth. {chosen.no_oauth}"
    if chosen.grants:
        yield ""
        yield "Grants"
    for grant, each in chosen.grants.items():
        works = {"yes": "✓", "no": "✗", "unsure": "?"}[each.works]
        yield f"  {works} {grant}{': ' + each.note if each.note else ''}"
    if chosen.setup:
        yield ""
        yield "Set up at the provider"
    for number, step in enumerate(chosen.setup, 1):
        only = f" ({', '.join(step.grants)})" if step.grants else ""
        yield f"  {number}. {step.do}{only}"
        if step.where:
            yield f"     {step.where}"
        if step.command:
            yield from (f"     {line}" for line in step.command.splitlines())
    for note in chosen.quirks:
        yield f"  · {note.text}"


def _limits(chosen: Preset) -> Iterator[str]:
    for field in chosen.limits.__struct_fields__:
        if value := getattr(chosen.limits, field):
            yield f"{field.replace('_', ' ')} {value:,}"
