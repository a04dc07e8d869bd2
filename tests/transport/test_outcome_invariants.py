"""Whatever a server says, and wherever it stops: each recipient has one outcome, and it is true."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import ConnectFailed
from postbearer.outcome import Outcome, State
from postbearer.testing import Close, Expect, Send, conversation
from postbearer.testing.stream import Step
from support.provider import CONTENT, MESSAGE, envelope, opened, with_provider

FLIGHT: list[Step] = [Expect("BDAT"), *(Expect(line) for line in MESSAGE.decode().split("\r\n")[:-1])]
RCPT = st.sampled_from(["250 2.1.5 ok", "550 5.1.1 unknown", "450 4.2.0 later", "421 4.3.2 bye"])
MAIL = st.sampled_from(["250 2.1.0 ok", "250 2.1.0 ok", "250 2.1.0 ok", "550 5.7.1 no", "451 4.3.0 later"])
FINAL = st.sampled_from(
    ["250 2.0.0 ok", "250 2.0.0 ok", "554 5.6.0 no", "452 4.3.1 full", "354 what", "junk"]
)


async def deliver(replies: list[str], octets: int) -> tuple[tuple[Outcome, ...], bytes]:
    """One flight to a server that sends only the first `octets` of its `replies`, then closes."""
    said = "".join(f"{reply}\r\n" for reply in replies).encode()[:octets]
    count = len(replies) - 2
    provider = with_provider(
        conversation(opened(), Expect("MAIL"), [Expect("RCPT")] * count, FLIGHT, Send(said), Close()),
        ConnectFailed("no other connection"),
    )
    receipt = await provider.deliver(envelope(*(f"u{n}@example.net" for n in range(count))), CONTENT)
    await provider.transport.close()
    return receipt.outcomes, provider.tap.sent


@given(MAIL, st.lists(RCPT, min_size=1, max_size=4), FINAL, st.integers(0, 200))
def test_one_true_outcome_for_everybody(mail: str, rcpts: list[str], final: str, octets: int) -> None:
    replies = [mail, *rcpts, final]
    outcomes, sent = asyncio.run(deliver(replies, octets))
    heard = "".join(f"{reply}\r\n" for reply in replies)[:octets].count("\r\n")
    accepted = mail[0] == "2" and heard == len(replies) and final[0] == "2"
    closing = any(reply.startswith("421") for reply in rcpts[: max(heard - 1, 0)])
    assert len(outcomes) == len(rcpts)
    assert sent.count(b"BDAT") == 1  # the content left once, whatever happened
    for place, outcome in enumerate(outcomes):
        own = rcpts[place] if heard > place + 1 else ""
        assert (outcome.state is State.DELIVERED) is (accepted and own.startswith("250"))
        assert outcome.reply is not None or outcome.error is not None
        if heard and mail[0] == "2" and own[:1] in ("4", "5"):
            assert str(outcome.reply) == own
        refused = own[:1] in ("4", "5") or (heard and mail[0] != "2") or closing
        answered = heard == len(replies) and final[0] in "245"
        assert (outcome.state is State.UNKNOWN) is not (refused or answered)
