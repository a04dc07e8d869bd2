"""A machine that its cloud knows sends mail without any secret."""

from __future__ import annotations

from cli.conftest import Home
from postbearer.testing import Sandbox


def test_a_machine_with_an_identity_sends(home: Home, postbearer_sandbox: Sandbox) -> None:
    described = postbearer_sandbox.describe()
    lines = postbearer_sandbox.configuration().splitlines()
    kept = [line for line in lines if not line.startswith(("client-", "token-url", "grant", "refresh"))]
    home.write("\n".join([*kept, 'grant = "managed-identity"', ""]))
    home.environ |= {
        "IDENTITY_ENDPOINT": described["identity_endpoint"],
        "IDENTITY_HEADER": described["identity_header"],
    }
    for _ in range(2):
        sent = home.run("send", "--account", "sandbox", "--to", "you@example.org", "--text", "Hello")
        assert sent.code == 0, sent.err
    assert postbearer_sandbox.authorization.counts["managed_identity"] == 1
    assert len(postbearer_sandbox.inbox.messages) == 2
