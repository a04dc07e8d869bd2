"""Changing the settings of an account: a form of its keys, what would change in the file, and the change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from starlette.responses import Response

from postbearer.console import checks
from postbearer.console.accounts import account_named
from postbearer.console.connect_form import FILES, LABELS, NOT_HERE
from postbearer.console.drafts import SettingsDraft, keep, text_of
from postbearer.console.forms import beside
from postbearer.console.visit import ConsolePage, Visit
from postbearer.console.wording import octets, span
from postbearer.control import AccountDifference, AccountSettingList, AccountSettingRow, Right
from postbearer.errors import ConfigError, Conflict, PostbearerError, StoreError
from postbearer.oauth import grant_class
from postbearer.secret import Secret

_LONGEST = 20_000  # characters of a field that is no secret
_GROUPS = {  # by the key that each begins with
    "provider": "Whose mailbox it is",
    "authentication": "How it proves who it is",
    "client-secret-expires": "What ends one day",
    "servers": "Where mail goes",
    "sender": "What leaves, and how much",
}
_FROM = {
    "file": "from the configuration",
    "provider": "usual at the provider",
    "default": "usual, as nobody set it",
    "none": "",
}


class SettingField(NamedTuple):
    """A key in the form: what stands in its field, what holds now and why, and what is wrong with it."""

    row: AccountSettingRow
    label: str
    text: str
    held: str  # the value in force, as text
    source: str
    wrong: str
    choices: Sequence[str]
    kept: bool  # a secret that was given on this form before
    file: bool

    @property
    def shown(self) -> bool:
        """Whether it stands there at once, and not among those that nobody set."""
        return self.row.origin in ("file", "environment") or bool(self.text or self.wrong or self.kept)


class SettingGroup(NamedTuple):
    """Keys that belong together: those that can be changed here."""

    title: str
    set: Sequence[SettingField]
    more: Sequence[SettingField]


async def ask(visit: Visit) -> Response:
    """The form as the file is now, or as it was typed before; and where it cannot be sent, what holds."""
    name = (await account_named(visit)).name
    draft = visit.of.drafts.get(visit.request.query_params.get("draft", ""))
    return await _form(visit, name, draft if draft is not None and draft.account == name else None)


async def review(visit: Visit) -> Response:
    """What would change; or beside each field what is wrong with it. Nothing is written."""
    name = (await account_named(visit)).name
    found: AccountSettingList = await visit.perform("accounts.settings", name=name)
    draft = _draft(visit, found)
    try:
        told: AccountDifference = await visit.perform("accounts.preview", **draft.asked(found))
    except PostbearerError as error:
        return await _refused(visit, draft, error)
    if not told.lines:
        return await _form(visit, name, draft, {"": "All is as it was: nothing was typed that differs."}, 422)
    return visit.page("account_settings_confirm.html", name=name, lines=told.lines, draft=draft)


async def apply(visit: Visit) -> Response:
    """Write what was looked at, have the relay go by it, and see whether the account works."""
    name = (await account_named(visit)).name
    draft = visit.of.drafts.get(visit.field("draft"))
    if draft is None or draft.account != name:
        visit.of.say("Nothing was done: this change was written already, or given up. Begin anew.", "problem")
        return visit.go(f"/accounts/{name}/settings")
    found: AccountSettingList = await visit.perform("accounts.settings", name=name)
    try:
        await visit.perform("accounts.change", **draft.asked(found))
    except PostbearerError as error:
        return await _refused(visit, draft, error)
    visit.of.drafts.pop(draft.id, None)
    visit.of.say(f"The settings of {name} are changed, and the relay goes by them. This is how it does now:")
    await checks.start(visit, name)
    return visit.go(f"/accounts/{name}/check", changed="1")


async def put_back(visit: Visit) -> Response:
    """Have what was changed last as it was."""
    name = (await account_named(visit)).name
    try:
        await visit.perform("accounts.put-back", name=name)
    except PostbearerError as error:
        visit.of.say(f"Nothing was done: {error.message} {error.hint}".strip(), "problem")
    else:
        visit.of.say(f"The settings of {name} are as they were before.")
    return visit.go(f"/accounts/{name}/settings")


def _draft(visit: Visit, found: AccountSettingList) -> SettingsDraft:
    """What was typed now, with the secrets that were given on this form before."""
    before = visit.of.drafts.get(visit.field("draft"))
    ours = before if before is not None and before.account == found.name else None
    draft = SettingsDraft(account=found.name, version=visit.field("version")[:100] or "none")
    draft.secrets = dict(ours.secrets) if ours is not None else {}
    if ours is not None:
        draft.id = ours.id
    for row in found.rows:
        if not row.changeable:
            continue
        if row.entry == "secret":
            if text := visit.field(f"{row.key}-file").strip() or visit.field(row.key).strip():
                draft.secrets[row.key] = Secret(text)
        elif row.key in visit.form:
            draft.texts[row.key] = visit.field(row.key).replace("\r\n", "\n").strip()[:_LONGEST]
    secrets = {row.key for row in found.rows if row.entry == "secret" and row.origin == "file"}
    draft.dropped = frozenset(key for key in secrets if visit.field(f"{key}-drop"))
    draft.sure = bool(visit.field("sure"))
    keep(visit.of, draft)
    return draft


async def _refused(visit: Visit, draft: SettingsDraft, error: PostbearerError) -> Response:
    """The form again, with what is in the way; of one that was made from other settings, as these are now."""
    if isinstance(error, Conflict):
        found: AccountSettingList = await visit.perform("accounts.settings", name=draft.account)
        typed = {row.key: text for row in found.rows if (text := draft.text(row)) != text_of(row)}
        wrong = {key: f"Now it is so. You had typed: {text or '(nothing)'}" for key, text in typed.items()}
        visit.of.drafts.pop(draft.id, None)
        told = " Secrets have to be given again." if draft.secrets else ""
        return await _form(
            visit, draft.account, None, {**wrong, "": f"{error.message} {error.hint}{told}"}, 409
        )
    if not isinstance(error, ConfigError | StoreError):
        raise error
    if isinstance(error, StoreError):
        return await _form(visit, draft.account, draft, {"": f"{error.message} {error.hint}"}, 503)
    return await _form(visit, draft.account, draft, error, 422)


async def _form(
    visit: Visit,
    name: str,
    draft: SettingsDraft | None,
    wrong: Mapping[str, str] | ConfigError | None = None,
    status: int = 200,
) -> Response:
    found: AccountSettingList = await visit.perform("accounts.settings", name=name)
    if isinstance(wrong, ConfigError):
        wrong = beside(wrong, [row.key for row in found.rows if row.changeable])
    wrong = wrong or {}
    fields = [_field(row, draft, wrong.get(row.key, "")) for row in found.rows]
    here = found.file.editable and found.file.writable
    free = [each for each in fields if here and each.row.changeable]
    return visit.page(
        "account_settings.html",
        status,
        found=found,
        open=here,
        groups=list(_groups(found.rows, free, _secrets(found))),
        fixed=[each for each in fields if each not in free and each.row.origin != "none"],
        draft=draft,
        wrong=wrong,
        odd=any("sure" in each.wrong for each in fields if each.row.entry == "secret"),
    )


def _field(row: AccountSettingRow, draft: SettingsDraft | None, wrong: str) -> SettingField:
    words = row.key.rpartition(".")[2].replace("-", " ").capitalize()
    label = LABELS[row.key][0] if row.key in LABELS else words
    source = f"from the variable {row.variable}" if row.origin == "environment" else _FROM[row.origin]
    return SettingField(
        row,
        label,
        draft.text(row) if draft is not None else text_of(row),
        _held(row),
        source,
        wrong,
        [each for each in row.choices if each not in NOT_HERE],
        draft is not None and row.key in draft.secrets and not wrong,
        row.key in (*FILES, "private-key"),
    )


def _held(row: AccountSettingRow) -> str:
    """The value in force, for people."""
    match row.value:
        case None:
            return ""
        case list() | tuple() as values:
            return ", ".join(map(str, values))
        case int() | float() as number if row.unit == "seconds":
            return span(number)
        case int() as number if row.unit == "octets":
            return octets(number)
        case value:
            return str(value)


def _secrets(found: AccountSettingList) -> frozenset[str]:
    """The secrets that an account of this kind can have."""
    values = {row.key: row.value for row in found.rows}
    if values["authentication"] == "password":
        return frozenset({"password"})
    kind = grant_class(values["grant"]) if values["authentication"] == "oauth" else None
    if kind is None:
        return frozenset()
    asked = {key for group in kind.needs for key in group} | ({"client-secret"} if kind.public else set())
    return frozenset(asked | ({"key-password"} if asked & {"certificate", "private-key"} else set()))


def _groups(
    rows: Sequence[AccountSettingRow], fields: Sequence[SettingField], secrets: frozenset[str]
) -> Iterator[SettingGroup]:
    titles: dict[str, str] = {}
    for row in rows:
        titles[row.key] = _GROUPS.get(row.key) or next(reversed(titles.values()), "")
    for title in _GROUPS.values():
        some = [each for each in fields if titles[each.row.key] == title]
        some = [each for each in some if each.row.entry != "secret" or each.shown or each.row.key in secrets]
        at_once = [each for each in some if each.shown or each.row.key in secrets]
        if some:
            yield SettingGroup(title, at_once, [each for each in some if each not in at_once])


PAGES = (
    ConsolePage(path="/accounts/{name}/settings", needs=Right.ADMIN, do=ask),
    ConsolePage(path="/accounts/{name}/settings", needs=Right.ADMIN, do=review, method="POST", files=True),
    ConsolePage(path="/accounts/{name}/settings/apply", needs=Right.ADMIN, do=apply, method="POST"),
    ConsolePage(path="/accounts/{name}/settings/put-back", needs=Right.ADMIN, do=put_back, method="POST"),
)
