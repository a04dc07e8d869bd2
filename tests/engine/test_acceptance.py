"""What is accepted can leave: the rules at the door are those of each attempt."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from engine.test_intake import Door
from postbearer.engine import Submitter
from postbearer.engine.rewrite import header_for
from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.message import Header, authors, parse_header, with_header
from postbearer.message.sender import Rule
from postbearer.reply import Reply
from support.relay import account

PIECES = [
    *(
        "From",
        "From:",
        "Sender:",
        "Resent-From:",
        "Subject:",
        "Bcc:",
        ":",
        " ",
        "\t",
        "\r\n",
        "\r\n ",
        "\r\n\r\n",
    ),
    *(
        "alerts@example.org",
        "ceo@bank.example",
        "<",
        ">",
        '"',
        "(",
        ")",
        ",",
        ";",
        "\\",
        "@",
        "\u00fc",
        "a" * 300,
        "x y",
    ),
]
contents = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)
local_parts = st.sampled_from(["a", "\u0390" * 32, '"a b"', "\u017f", "=?utf-8?b?YQ==?=", "\u00e9" * 31])
domains = st.sampled_from(
    [
        "example.org",
        "\u00e9" * 60 + ".example",
        "\u0378.example",
        "\u00ad.example",
        "my_host",
        "b\u00fccher.example",
    ]
)
addresses = st.builds("{}@{}".format, local_parts, domains)
senders = st.sampled_from([(), ("alerts@example.org",), ("@example.org",), ("@b\u00fccher.example",)])


@given(contents, addresses, addresses, st.sampled_from(["force", "check", "allow"]), senders)
def test_what_is_accepted_can_leave(
    content: str, sender: str, recipient: str, rule: Rule, allowed: tuple[str, ...]
) -> None:
    async def once() -> None:
        policy = account(sender=rule)
        door = Door(policy)
        client = Submitter(name="app", senders=allowed)
        try:
            envelope = Envelope.of(sender, [recipient])
        except UsageError:
            return
        if door.intake.refuse_sender(client, sender) or door.intake.refuse_recipient(
            client, sender, recipient
        ):
            return
        answer = await door.submit(content.encode() + b"\r\n", envelope, client)
        if isinstance(answer, Reply):
            assert answer.code in (550, 554)
            return
        entry = await door.spool.show(answer)
        assert entry is not None
        stored = await door.spool.content(entry.message)
        lefts = [
            b"".join(with_header(stored, parsed, header_for(parsed, entry.message, policy)).blocks())
            for parsed in (parse_header(stored), entry.message.header)  # after a restart, and before
            if parsed is not None
        ]
        assert lefts == [lefts[0]] * 2
        left = lefts[0]
        assert len(Header.parse(left).all("from")) == 1 or rule == "allow"
        if rule == "force":
            assert set(authors(Header.parse(left))) == {"alerts@example.org"}

    asyncio.run(once())
