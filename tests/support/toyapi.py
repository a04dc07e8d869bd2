"""A second transport, as a provider's API would need one: a toy API on loopback, and what speaks to it.

The API takes ``{"from", "to", "mime"}`` and answers 202; ``{"refused": {address: word}}`` for some of `to`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from postbearer.account import Account
from postbearer.answer import HttpAnswer
from postbearer.clock import Clock
from postbearer.envelope import Envelope
from postbearer.errors import ConnectFailed, NetworkError, RemoteProtocolError, TlsFailed, UsageError
from postbearer.events import Attempted, Observer
from postbearer.http import HttpResponse, fetch
from postbearer.meaning import Disposition, Scope, State, Who
from postbearer.message import Content
from postbearer.outcome import Outcome, Receipt
from postbearer.providers import Phase, Rule, generic_rules
from postbearer.secret import Secret
from postbearer.state import ConnectionShare
from postbearer.transport import Capture, ServerAddress, Transport, TransportSettings, dealt_with
from postbearer.transport.login import Source
from postbearer.verdict import judged
from support.relay import account
from support.tokenserver import Answer, Asked, TokenServer, said

RULES = (
    Rule(
        id="send-as-denied",
        phase=(Phase.HTTP,),
        error=("ErrorSendAsDenied",),
        scope=Scope.MESSAGE,
        disposition=Disposition.PERMANENT,
        cause="The account may not send as this sender.",
        remedy="Grant it the right to, or send as its own address.",
        who=Who.TENANT_ADMIN,
        mark="documented",
        sample="HTTP 403 ErrorSendAsDenied",
        provider="toy",
    ),
    Rule(
        id="no-such-user",
        phase=(Phase.HTTP,),
        error=("ErrorInvalidRecipients",),
        scope=Scope.RECIPIENT,
        disposition=Disposition.PERMANENT,
        cause="Nobody has this address.",
        remedy="Correct the address.",
        who=Who.SENDER,
        mark="documented",
        sample="HTTP 400 ErrorInvalidRecipients",
        provider="toy",
    ),
)


class ToyApi(TokenServer):
    """The provider. What it took is in `taken`; `refused` are addresses it does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, str] = {}
        self.taken: list[dict[str, object]] = []

    def reply(self, asked: Asked) -> Answer:
        mail = json.loads(asked.body)
        refused = {address: self.refused[address] for address in mail["to"] if address in self.refused}
        if len(refused) == len(mail["to"]):
            return said(400, error={"code": "ErrorInvalidRecipients", "message": "Nobody of these."})
        mail["content"] = base64.b64decode(mail.pop("mime"))
        mail["to"] = [address for address in mail["to"] if address not in refused]
        self.taken.append(mail)
        return said(202, id=f"toy-{len(self.taken)}", refused=refused)

    @property
    def tokens(self) -> set[str]:
        return {asked.headers["authorization"] for asked in self.asked}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToySettings(TransportSettings):
    """How mail leaves by the toy API at `url`."""

    url: str

    def open(
        self,
        source: Source | None,
        *,
        account: str,
        clock: Clock,
        observer: Observer,
        capture: Callable[[], Capture] | None = None,
        share: ConnectionShare | None = None,
    ) -> Transport:
        return ToyTransport(self, source, account, clock, observer)


class ToyTransport:
    """One request a message, and never a second one for it."""

    def __init__(
        self, settings: ToySettings, source: Source | None, account: str, clock: Clock, observer: Observer
    ) -> None:
        self._settings = settings
        self._source = source
        self._account = account
        self._clock = clock
        self._observer = observer

    async def deliver(self, envelope: Envelope, content: Content) -> Receipt:
        assert self._source is not None
        token = (await self._source.token()).access  # type: ignore[union-attr]
        began = self._clock.monotonic()
        outcomes = await self._outcomes(envelope, content, token)
        server = str(self._settings.servers[0])
        self._observer.notice(Attempted(self._account, server, outcomes, self._clock.monotonic() - began))
        return Receipt(outcomes, server=server, works=dealt_with(outcomes))

    async def forgive(self) -> None:
        """It knows no passwords."""

    async def close(self) -> None:
        """Each request has a connection of its own."""

    async def _outcomes(self, envelope: Envelope, content: Content, token: Secret) -> tuple[Outcome, ...]:
        if not all(each.isascii() for each in envelope.addresses):
            refusal = UsageError("The API takes ASCII addresses only.", status="5.6.7")
            return tuple(judged(each, refusal) for each in envelope.addresses)
        mail = {
            "from": envelope.reverse_path,
            "to": envelope.addresses,
            "mime": base64.b64encode(b"".join(content.blocks())).decode(),
        }
        rules = self._settings.rules
        try:
            response = await fetch(
                "POST",
                self._settings.url,
                content=json.dumps(mail).encode(),
                headers={"Authorization": Secret(f"Bearer {token.reveal()}")},
                timeout=5.0,
            )
        except (ConnectFailed, TlsFailed):
            raise  # nothing was attempted
        except (NetworkError, RemoteProtocolError) as error:
            return tuple(judged(each, error, Phase.HTTP, rules) for each in envelope.addresses)
        return tuple(self._outcome(each, response) for each in envelope.addresses)

    def _outcome(self, address: str, response: HttpResponse) -> Outcome:
        told = response.json()
        fields = told if isinstance(told, dict) else {}
        if response.ok and address not in fields.get("refused", {}):
            return Outcome(
                address, State.DELIVERED, HttpAnswer(response.status), queue_id=fields.get("id", "")
            )
        error = fields.get("error")
        words = error if isinstance(error, dict) else {}
        code, message = str(words.get("code", "")), str(words.get("message", ""))
        if response.ok:  # for the others
            answer = HttpAnswer(400, fields["refused"][address], "Nobody has this address.")
        else:
            answer = HttpAnswer(response.status, code, message, response.retry_after(self._clock.now()))
        return judged(address, answer, Phase.HTTP, self._settings.rules)


def toy_account(api: ToyApi, **options: object) -> Account:
    """An account whose mail leaves by the toy API."""
    host, _, port = api.url.removeprefix("http://").partition("/")[0].partition(":")
    settings = ToySettings(
        servers=(ServerAddress(host, int(port)),),
        authentication="oauth",
        username="alerts@example.org",
        rules=(*RULES, *generic_rules()),
        null_sender=False,
        any_sender=False,
        url=api.url,
    )
    return replace(account(**options), outgoing=settings)
