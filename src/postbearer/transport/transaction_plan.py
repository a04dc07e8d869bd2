"""What to say about one message to one server: parameters, local refusals, groups of recipients. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from postbearer.address import Address, ascii_domain
from postbearer.envelope import Body, Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.message import Content
from postbearer.wire import Extensions, Mail, MailParameters, Rcpt, RcptParameters


class TransactionPlan(NamedTuple):
    """How a message can be offered. `rcpts` and `refused` go by the recipient's place in the envelope.

    `refusal` is why it cannot be offered at all; no server said so.
    """

    mail: Mail
    rcpts: tuple[tuple[int, Rcpt], ...] = ()
    refused: tuple[tuple[int, UsageError], ...] = ()
    refusal: UsageError | None = None


def make_plan(envelope: Envelope, content: Content, offered: Extensions, *, tls: bool) -> TransactionPlan:
    """Fit a message to what the server offers: no parameter it did not offer, nothing sent in vain.

    Its content is fitted already.
    """
    refusal = _refusal(envelope, content, offered, tls=tls)
    if refusal is not None:
        return TransactionPlan(Mail(""), refusal=refusal)
    utf8 = envelope.needs_smtputf8 and offered.smtputf8
    reverse_path = _path(envelope.reverse_path, utf8=utf8)
    if reverse_path is None:
        return TransactionPlan(Mail(""), refusal=_no_utf8("sender"))
    rcpts, refused = [], []
    for place, recipient in enumerate(envelope.recipients):
        path = _path(recipient.address, utf8=utf8)
        if path is not None:
            rcpts.append((place, _rcpt(path, recipient, offered, utf8=utf8)))
        else:
            refused.append((place, _no_utf8("recipient")))
    mail = _mail(reverse_path, envelope, content, offered, utf8=utf8)
    return TransactionPlan(mail, tuple(rcpts), tuple(refused))


def groups(
    rcpts: Sequence[tuple[int, Rcpt]], offered: Extensions, most: int | None
) -> Iterator[list[tuple[int, Rcpt]]]:
    """Recipients for one transaction each: at most `most`, and within the server's LIMITS (RFC 9422)."""
    count = len(rcpts)
    most = min(most or count, offered.limits.get("RCPTMAX", count))
    most_domains = offered.limits.get("RCPTDOMAINMAX", count)
    if count <= most and count <= most_domains:
        yield list(rcpts)
        return
    group: list[tuple[int, Rcpt]] = []
    domains: set[str] = set()
    for place, rcpt in rcpts:
        domain = rcpt.forward_path.rpartition("@")[2].lower()
        if group and (len(group) >= most or len(domains | {domain}) > most_domains):
            yield group
            group, domains = [], set()
        group.append((place, rcpt))
        domains.add(domain)
    if group:
        yield group


def _refusal(envelope: Envelope, content: Content, offered: Extensions, *, tls: bool) -> UsageError | None:
    if offered.size is not None and content.size > offered.size:  # RFC 1870 6.1
        return UsageError(
            f"The message has {content.size} octets; the server takes {offered.size}.",
            hint="Make it smaller.",
            status="5.3.4",
        )
    if envelope.require_tls and not (tls and offered.requiretls):  # RFC 8689 4.2.1
        return UsageError(
            "The message asks for REQUIRETLS, which the server does not offer.",
            hint="Send it without, or through another server.",
            status="5.7.30",
        )
    return None


def _mail(
    reverse_path: str, envelope: Envelope, content: Content, offered: Extensions, *, utf8: bool
) -> Mail:
    parameters = MailParameters(
        size=content.size if "SIZE" in offered.keywords else None,
        body=_body(envelope, content, offered),
        smtputf8=utf8,
        ret=envelope.ret if offered.dsn else None,
        envid=envelope.envid if offered.dsn else "",
        require_tls=envelope.require_tls,
        priority=envelope.priority if offered.mt_priority else None,
    )
    return Mail(reverse_path, parameters)


def _body(envelope: Envelope, content: Content, offered: Extensions) -> Body | None:
    # Content decides: a BODY=BINARYMIME that it does not need would only narrow the choice of servers.
    if content.binary:
        return "BINARYMIME"
    if offered.eightbitmime and (content.eight_bit or envelope.body == "8BITMIME"):
        return "8BITMIME"
    return None


def _rcpt(path: str, recipient: Recipient, offered: Extensions, *, utf8: bool) -> Rcpt:
    if not offered.dsn:
        return Rcpt(path)
    orcpt = recipient.orcpt if utf8 or recipient.orcpt.isascii() else ""
    return Rcpt(path, RcptParameters(notify=recipient.notify, orcpt=orcpt))


def _path(address: str, *, utf8: bool) -> str | None:
    """The address as it can be written: A-labels make a domain ASCII, nothing a local part (RFC 6531 3.2)."""
    if utf8 or address.isascii():
        return address
    parsed = Address.parse(address)
    if not parsed.local.isascii():
        return None
    return f"{parsed.local}@{ascii_domain(parsed.domain)}"


def _no_utf8(whose: str) -> UsageError:
    return UsageError(
        f"The {whose}'s address is not ASCII before the @, and the server does not offer SMTPUTF8.",
        hint="Use an address in ASCII, or a server that offers SMTPUTF8.",
        status="5.6.7",
    )
