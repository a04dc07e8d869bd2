"""Examining an account, and looking at what was found."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from postbearer.account import Account
from postbearer.diagnosis import Diagnosis, Finding
from postbearer.oauth import ClientCredentials, Grant
from postbearer.providers import preset
from postbearer.secret import Secret

SECRET = "canary-client-secret-0123456789+/abc"
CLIENT = "11111111-2222-3333-4444-555555555555"
CLOSED = "127.0.0.1:1"  # nobody listens there


@dataclass(frozen=True)
class Report:
    """All findings of one examination."""

    findings: tuple[Finding, ...]

    def __getitem__(self, step: str) -> Finding:
        """The only finding of `step`."""
        (found,) = self.all(step)
        return found

    def all(self, step: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.step == step]

    def marks(self) -> dict[str, bool | None]:
        return {str(finding.step): finding.ok for finding in self.findings}

    def failed(self) -> Finding:
        """The only step that failed."""
        (found,) = (finding for finding in self.findings if finding.ok is False)
        return found

    def __str__(self) -> str:
        return "\n".join(repr(finding) for finding in self.findings)


async def examine(account: Account, **options: Any) -> Report:
    report = Report(tuple([finding async for finding in Diagnosis(account, **options).run()]))
    # Whatever was examined: a step that failed says why and what to do, and no other needs to.
    for finding in report.findings:
        assert finding.text
        assert (finding.ok is False) == (finding.failure is not None) == bool(finding.fix), finding
    return report


def an_account(
    *servers: str, provider: str = "smtp", grant: Grant | None = None, token_url: str = "", **options: Any
) -> Account:
    """An account whose client secret is a canary, and whose servers are unreachable unless given."""
    url = token_url or "http://127.0.0.1:1/token"
    return Account.of(
        preset(provider),
        "alerts@example.org",
        grant or ClientCredentials(CLIENT, Secret(SECRET)),
        name="alerts",
        tenant="example.org",
        servers=servers or [CLOSED],
        token_url=url,
        **options,
    )


def jwt(**claims: object) -> str:
    """A token as Microsoft's look, signed by nobody."""
    return ".".join([*(_part(each) for each in ({"alg": "RS256"}, claims)), "c2lnbmF0dXJl"])


def _part(fields: object) -> str:
    return urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
