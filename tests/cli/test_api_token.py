"""``postbearer api-token``: made and shown once, listed without the token, revoked."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

from cli.conftest import Home
from support.configuration import COMPLETE

CLIENTS = '\n[relay]\n[[relay.clients]]\nname = "shop"\nnetworks = ["192.0.2.0/24"]\n'


def test_a_token_is_shown_once(home: Home) -> None:
    home.write(COMPLETE + CLIENTS)
    ran = home.run("api-token", "create", "app", "--scope", "submit", "--client", "shop", "--expires", "90d")
    token = ran.out.strip()
    assert (ran.code, re.fullmatch(r"pbt_[\w-]{43}", token) is not None) == (0, True)
    listed = home.run("api-token", "list")
    assert "app" in listed.out
    assert token not in listed.out + listed.err
    (told,) = json.loads(home.run("api-token", "list", "--json").out)["tokens"]
    assert (told["scopes"], told["client"], told["expired"]) == (["submit"], "shop", False)
    made, ends = (datetime.fromisoformat(told[name]) for name in ("made", "expires"))
    assert ends - made == timedelta(days=90)
    assert home.run("api-token", "revoke", "app").code == 0
    assert home.run("api-token", "list").out == "There are no tokens.\n"


def test_as_json(home: Home) -> None:
    made = json.loads(home.run("--json", "api-token", "create", "app").out)
    assert (made["name"], made["expires"], made["token"][:4]) == ("app", None, "pbt_")
    assert json.loads(home.run("--json", "api-token", "revoke", "app").out) == {
        "name": "app",
        "revoked": True,
    }


def test_slips_are_told(home: Home) -> None:
    home.write(COMPLETE + CLIENTS)
    ran = home.run("api-token", "create", "app", "--client", "shpo")
    assert (ran.code, "Did you mean shop?" in ran.err) == (64, True)
    assert home.run("api-token", "create", "No Name").code == 64
    assert home.run("api-token", "create", "app", "--scope", "all").code == 64
    assert home.run("api-token", "create", "app").code == 0
    assert "already" in home.run("api-token", "create", "app").err
    ran = home.run("api-token", "revoke", "apq")
    assert (ran.code, "app" in ran.err) == (64, True)
