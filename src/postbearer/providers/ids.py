"""For whom a remedy is written: what stands in for its <blanks>."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

OBJECT_ID = ("object id of the Enterprise application", "service principal id", "service principal")
_BLANK = re.compile(r"<([A-Za-z ]+)>")
_OWN = "postbearer "
_LOGIN = ": postbearer login <account>"  # there is no such command where no configuration is
_REFUSED_SENDER = re.compile(r"not allowed to send as ([A-Za-z0-9._+-]+@[A-Za-z0-9.-]+[A-Za-z0-9])")
_ANYBODY = "Sign in again, or renew what the grant rests on."


@dataclass(frozen=True, slots=True)
class Ids:
    """What is known about an account that remedies and commands name. `check` is what finds out more."""

    account: str = ""
    address: str = ""  # of the mailbox that is logged in to
    client_id: str = ""
    tenant: str = ""
    object_id: str = ""  # of the Enterprise application, as an app-only token tells it
    sender: str = ""  # the address mail leaves as
    renewal: str = ""  # what a person does when the credential is refused, as the grant says it
    check: str = ""

    def fill(self, text: str, said: str = "") -> str:
        """`text` with every <blank> filled in that is known, also from what the server `said`."""
        if "<" not in text:
            return text
        words = self._words(said, own=_OWN in text)
        return _BLANK.sub(lambda blank: words.get(blank[1].lower()) or blank[0], text)

    def _words(self, said: str, *, own: bool) -> Mapping[str, str]:
        """Our own commands want the account's name; an administrator's, its address."""
        refused = _REFUSED_SENDER.search(said)
        return {
            "new credential": self._new_credential(),
            "mailbox": self.address,
            "account": self.account if own else self.address,
            "address": "" if own else refused[1] if refused else self.sender or self.address,
            "mailbox or service principal": self.object_id or self.address,
            "client id": self.client_id,
            "tenant": self.tenant,
            **dict.fromkeys((name.lower() for name in OBJECT_ID), self.object_id),
        }

    def _new_credential(self) -> str:
        said = self.renewal or _ANYBODY
        return said.replace("<account>", self.account) if self.check else said.replace(_LOGIN, "")
