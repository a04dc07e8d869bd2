"""Accounts added, changed, renamed and removed by HTTP, by the methods that commands use."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from postbearer.api.accounts import account_named, perform_for
from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import Fault, HttpProblem
from postbearer.api.tokens import TokenScope
from postbearer.control import AccountEdited
from postbearer.errors import ConfigError

Name = Annotated[str, Meta(max_length=1000)]
SecretText = Annotated[str, Meta(max_length=60_000)]


class AccountToAdd(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mailbox: `settings` as in the configuration, `secrets` themselves, which are sealed.

    With `like`, what is not said is as that account has it. Without a `name` it gets a usual one.
    `sure`: a secret that looks odd is taken all the same.
    """

    name: Name = ""
    settings: dict[str, Any] = {}
    secrets: dict[str, SecretText] = {}
    like: Name = ""
    sure: bool = False


class AccountChange(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is to be otherwise: another `name`; `settings`, of which null takes one away; new `secrets`."""

    name: Name | UnsetType = UNSET
    settings: dict[str, Any] = {}
    secrets: dict[str, SecretText] = {}
    sure: bool = False


async def add(call: Call) -> AccountEdited:
    asked: AccountToAdd = call.body
    return await _edit(
        call,
        "accounts.add",
        name=asked.name,
        settings=asked.settings,
        secrets=asked.secrets,
        like=asked.like,
        sure=asked.sure,
    )


async def change(call: Call) -> AccountEdited:
    name, asked = await account_named(call), call.body
    if asked.name is not UNSET and (asked.settings or asked.secrets):
        raise HttpProblem("invalid", "A name is changed alone.", hint="Change the rest before, or after.")
    if asked.name is not UNSET:
        return await _edit(call, "accounts.rename", name=name, to=asked.name)
    return await _edit(
        call,
        "accounts.change",
        name=name,
        settings=asked.settings,
        secrets=asked.secrets,
        sure=asked.sure,
    )


async def remove(call: Call) -> AccountEdited:
    return await _edit(call, "accounts.remove", name=await account_named(call))


async def _edit(call: Call, method: str, **given: Any) -> AccountEdited:
    try:
        done: AccountEdited = await perform_for(call, method, **given)
    except ConfigError as error:
        faults = [_fault(each, given) for each in error.problems]
        first = error.problems[0]
        where = faults[0].pointer or first.key
        text = f"{where}: {first.message}" if where else first.message
        raise HttpProblem("invalid", text, hint=first.hint, errors=faults) from None
    return done


def _fault(error: ConfigError, given: dict[str, Any]) -> Fault:
    key = error.key
    if key.startswith("accounts.") and key.count(".") > 1:
        key = key.split(".")[2]
        only = key in given.get("secrets", ()) and key not in given.get("settings", ())
        part = "secrets" if only else "settings"
        return Fault(detail=error.message, pointer=f"/{part}/{key.replace('~', '~0').replace('/', '~1')}")
    return Fault(detail=error.message, pointer=f"/{key}" if key in ("name", "like") else "")


ENDPOINTS = (
    ApiEndpoint(
        name="add-account",
        method="POST",
        path="/v1/accounts",
        needs=TokenScope.ADMIN,
        summary="Add an account, where the configuration lets it be done from elsewhere.",
        do=add,
        takes=AccountToAdd,
        answers=AccountEdited,
        status=201,
        problems=("conflict",),
    ),
    ApiEndpoint(
        name="change-account",
        method="PATCH",
        path="/v1/accounts/{name}",
        needs=TokenScope.ADMIN,
        summary="Change settings of an account, give it new secrets, or another name.",
        do=change,
        takes=AccountChange,
        answers=AccountEdited,
        problems=("conflict",),
    ),
    ApiEndpoint(
        name="remove-account",
        method="DELETE",
        path="/v1/accounts/{name}",
        needs=TokenScope.ADMIN,
        summary="Remove an account that no mail waits for.",
        do=remove,
        answers=AccountEdited,
        problems=("conflict",),
    ),
)
