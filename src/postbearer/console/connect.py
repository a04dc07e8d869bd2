"""Connecting a mailbox: choose the provider, see what to set up there, give ids and secret, and it lives."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from postbearer.config import Addition, Providers
from postbearer.console import checks, connect_form
from postbearer.console.connect_form import LISTS, NOT_HERE, SECRETS, FormField
from postbearer.console.forms import beside
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import AccountFile, ConfigurationDraft, Right
from postbearer.errors import ConfigError, Conflict, StoreError
from postbearer.oauth import grant_class
from postbearer.providers import Preset
from postbearer.secret import Secret

_LONGEST = 2000  # characters of a field that is no secret


class Chosen(NamedTuple):
    """What is being connected: at which provider, and by which of the grants that work there."""

    preset: Preset
    grant: str  # empty: by password
    grants: Mapping[str, str]
    like: str
    cloud: str

    @property
    def signs_in(self) -> bool:
        kind = grant_class(self.grant) if self.grant else None
        return kind is not None and kind.signs_in


async def ask(visit: Visit) -> Response:
    """Choose a provider; then its form."""
    found: AccountFile = await visit.perform("accounts.file")
    query = visit.request.query_params
    given = {name: query.get(name, "")[:200] for name in ("provider", "like", "grant", "cloud")}
    chosen = _choose(found, given)
    if chosen is None:
        accounts = sorted(visit.services.api.dispatcher.account_states)
        providers = connect_form.choices(Providers(found.file))
        return visit.page("connect.html", providers=providers, accounts=accounts[:50], file=found)
    visit.of.typed.clear()
    return _form(visit, found, chosen, {}, {})


async def connect(visit: Visit) -> Response:
    """Add the account; or tell beside each field what is wrong with it."""
    found: AccountFile = await visit.perform("accounts.file")
    given = {name: visit.field(name)[:200] for name in ("provider", "like", "grant", "cloud")}
    chosen = _choose(found, given)
    if chosen is None:
        return visit.go("/connect")
    asked = list(connect_form.fields(chosen.preset, chosen.grant, like=bool(chosen.like)))
    typed = {each.key: visit.field(each.key).strip()[:_LONGEST] for each in asked if not each.secret}
    secrets = _secrets(visit, asked)
    if visit.field("fill"):
        return _form(visit, found, chosen, typed, {})
    try:
        edited = await visit.perform(
            "accounts.add",
            name=typed.get("name", ""),
            settings=_settings(chosen, typed),
            secrets={key: secret.reveal() for key, secret in secrets.items()},
            like=chosen.like,
            sure=bool(visit.field("sure")),
        )
    except ConfigError as error:
        return _form(visit, found, chosen, typed, beside(error, [each.key for each in asked]), status=422)
    except Conflict as error:
        return _form(visit, found, chosen, typed, {"name": f"{error.message} {error.hint}"}, status=409)
    except StoreError as error:
        return _form(visit, found, chosen, typed, {"": f"{error.message} {error.hint}"}, status=503)
    visit.of.typed.clear()
    visit.of.say(f"The account {edited.name} is there, and the relay goes by it.")
    if chosen.signs_in:
        return visit.go(f"/accounts/{edited.name}/sign-in")
    await checks.start(visit, edited.name)
    return visit.go(f"/accounts/{edited.name}/check", new="1")


def _choose(file: AccountFile, given: Mapping[str, str]) -> Chosen | None:
    """What the address or the form says, as far as it can be; None where nothing was chosen."""
    providers = Providers(file.file)
    table: Mapping[str, Any] = {}
    if given["like"]:
        table = Addition.to(file.file, {}).tables().get(given["like"], {}) if file.writable else {}
        if not table:
            return None
    provider = str(table.get("provider") or given["provider"])
    cloud = str(table.get("cloud") or given["cloud"])
    if not provider:
        return None
    try:
        preset = providers.preset(provider, cloud)
    except ConfigError:
        return None
    draft = ConfigurationDraft(Addition(file.file, None), providers, {})
    draft.put("provider", provider)
    draft.put("cloud", cloud or None)
    grants = {name: told for name, told in draft.grants().items() if name not in NOT_HERE}
    if preset.no_oauth:
        grants = {}
    wanted = given["grant"] or str(table.get("grant", ""))
    grant = wanted if wanted in grants else next(iter(grants), "")
    return Chosen(preset, grant, grants, given["like"], cloud)


def _settings(chosen: Chosen, typed: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        key: value.replace(",", " ").split() if key in LISTS else value
        for key, value in typed.items()
        if value and key != "name"
    }
    if not chosen.like:
        settings["provider"] = chosen.preset.name
        if chosen.cloud:
            settings["cloud"] = chosen.cloud
    if chosen.grant:
        settings["grant"] = chosen.grant
    elif not chosen.like:
        settings["authentication"] = "password"
    return settings


def _secrets(visit: Visit, asked: list[FormField]) -> dict[str, Secret]:
    """What was given now or, of a form that was not right yet, before: no page holds it in between."""
    kept = visit.of.typed
    for field in asked:
        text = (visit.field(f"{field.key}-file") if field.file else "") or visit.field(field.key)
        if field.secret and text.strip():
            kept[field.key] = Secret(text)
    return {each.key: kept[each.key] for each in asked if each.secret and each.key in kept}


def _form(
    visit: Visit,
    file: AccountFile,
    chosen: Chosen,
    typed: Mapping[str, str],
    wrong: Mapping[str, str],
    *,
    status: int = 200,
) -> Response:
    asked = list(connect_form.fields(chosen.preset, chosen.grant, like=bool(chosen.like)))
    return visit.page(
        "connect_form.html",
        status,
        file=file,
        chosen=chosen,
        fields=asked,
        typed=typed,
        kept={key for key in visit.of.typed if key not in wrong},
        wrong=wrong,
        odd=any("sure" in each for key, each in wrong.items() if key in SECRETS),
        steps=connect_form.steps(chosen.preset, chosen.grant, typed),
        command=_command(chosen, asked, typed),
    )


def _command(chosen: Chosen, asked: list[FormField], typed: Mapping[str, str]) -> str:
    """What does the same on the relay's machine."""
    words = ["postbearer", "accounts", "add", typed.get("name") or "NAME"]
    words += ["--like", chosen.like] if chosen.like else ["--provider", chosen.preset.name]
    words += ["--cloud", chosen.cloud] if chosen.cloud and not chosen.like else []
    words += ["--grant", chosen.grant] if chosen.grant else ["--authentication", "password"]
    for field in asked:
        if field.key == "name" or (field.optional and not typed.get(field.key)):
            continue
        option = {"servers": "--server", "scopes": "--scope"}.get(field.key, f"--{field.key}")
        words += [option, "file:/PATH" if field.secret else typed.get(field.key) or field.key.upper()]
    return shlex.join(words)


PAGES = (
    ConsolePage(path="/connect", needs=Right.ADMIN, do=ask),
    ConsolePage(path="/connect", needs=Right.ADMIN, do=connect, method="POST", files=True),
)
