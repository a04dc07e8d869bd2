"""Cron and a mailbox password that is wrong: one request, however many commands."""

from __future__ import annotations

from cli.conftest import Home
from postbearer.testing import Sandbox
from support.tokenserver import said, serving

SEND = ["send", "--to", "anna@example.net", "--subject", "x", "--text", "x"]


def test_commands_send_a_refused_password_once(home: Home, postbearer_sandbox: Sandbox) -> None:
    with serving() as server:
        server.script += [said(400, error="invalid_grant", error_description="AADSTS50126: wrong")] * 9
        kept = [
            line
            for line in postbearer_sandbox.configuration("alerts").splitlines()
            if not line.startswith(("grant", "token-url", "client-secret"))
        ]
        ours = ['grant = "password"', f'token-url = "{server.url}"', 'password = "env:PASSWORD"']
        home.write("\n".join([kept[0], *ours, *kept[1:], ""]))
        home.environ |= {"PASSWORD": "wrong", "POSTBEARER_CONFIG": str(home.config)}
        told = [home.run(*command) for command in (SEND, SEND, ["check", "alerts"], ["token", "alerts"])]
        assert len(server.asked) == 1
    assert [each.code for each in told] == [77, 77, 77, 77]
    assert "not tried again" in told[1].err
