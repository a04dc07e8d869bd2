"""What to say about one message to one server: parameters, local refusals, groups of recipients. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from postbearer.address import Address, ascii_domain
from postbearer.envelope import Body, Envelope, Recipient
from postbearer.message import Content
from postbearer.reply import EnhancedStatus, Reply
from postbearer.wire import Extensions, Mail, MailParameters, Rcpt, RcptParameters


class Plan(NamedTuple):
    """How a message can be offered. `rcpts` and `refused` go by the recipient's place in the envelope.

    `refusal` is why it cannot be offered at all, worded as the server's own reply would be.
    """

    mail: Mail
    rcpts: tuple[tuple[int, Rcpt], ...] = ()
    refused: tuple[tuple[int, Reply], ...] = ()
    refusal: Reply | None = None


def make_plan(envelope: Envelope, content: Content, offered: Extensions, *, tls: bool) -> Plan:
    """Fit a message to what the server offers: no parameter it did not offer, nothing sent in vain."""
    refusal = _refusal(envelope, content, offered, tls=tls)
    if refusal is not None:
        return Plan(Mail(""), refusal=refusal)
    utf8 = envelope.needs_smtputf8 and offered.smtputf8
    if not utf8 and not _fits_ascii(envelope.reverse_path):
        return Plan(Mail(""), refusal=_no_utf8("sender"))
    rcpts, refused = [], []
    for place, recipient in enumerate(envelope.recipients):
        if utf8 or _fits_ascii(recipient.address):
            rcpts.append((place, _rcpt(recipient, offered, utf8=utf8)))
        else:
            refused.append((place, _no_utf8("recipient")))
    return Plan(_mail(envelope, content, offered, utf8=utf8), tuple(rcpts), tuple(refused))


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


def refuse(code: int, status: str, text: str) -> Reply:
    """A refusal of our own, worded like a server's, so that reports need to know only one kind."""
    kind, subject, detail = (int(part) for part in status.split("."))
    return Reply(code, (f"{status} {text}".encode(),), EnhancedStatus(kind, subject, detail))


def _refusal(envelope: Envelope, content: Content, offered: Extensions, *, tls: bool) -> Reply | None:
    if offered.size is not None and content.size > offered.size:  # RFC 1870 6.1
        text = f"The message has {content.size} octets; the server takes {offered.size}"
        return refuse(552, "5.3.4", text)
    if envelope.require_tls and not (tls and offered.requiretls):  # RFC 8689 4.2.1
        return refuse(550, "5.7.30", "The server does not offer REQUIRETLS")
    if content.binary and not (offered.binarymime and offered.chunking and offered.eightbitmime):
        what = "bare CR or LF, NUL, or lines longer than 998 octets"
        return refuse(554, "5.6.3", f"The message has {what}, and the server does not offer BINARYMIME")
    if content.eight_bit and not offered.eightbitmime:
        return refuse(554, "5.6.3", "The message is 8-bit and the server does not offer 8BITMIME")
    if envelope.smtputf8 and not offered.smtputf8 and content.eight_bit and _header_eight_bit(content):
        return refuse(554, "5.6.9", "The header is in UTF-8 and the server does not offer SMTPUTF8")
    return None


def _mail(envelope: Envelope, content: Content, offered: Extensions, *, utf8: bool) -> Mail:
    parameters = MailParameters(
        size=content.size if "SIZE" in offered else None,
        body=_body(envelope, content, offered),
        smtputf8=utf8,
        ret=envelope.ret if offered.dsn else None,
        envid=envelope.envid if offered.dsn else "",
        require_tls=envelope.require_tls,
        priority=envelope.priority if offered.mt_priority else None,
    )
    return Mail(_path(envelope.reverse_path, utf8=utf8), parameters)


def _body(envelope: Envelope, content: Content, offered: Extensions) -> Body | None:
    # Content decides: a BODY=BINARYMIME that it does not need would only narrow the choice of servers.
    if content.binary:
        return "BINARYMIME"
    if offered.eightbitmime and (content.eight_bit or envelope.body == "8BITMIME"):
        return "8BITMIME"
    return None


def _rcpt(recipient: Recipient, offered: Extensions, *, utf8: bool) -> Rcpt:
    path = _path(recipient.address, utf8=utf8)
    if not offered.dsn:
        return Rcpt(path)
    orcpt = recipient.orcpt if utf8 or recipient.orcpt.isascii() else ""
    return Rcpt(path, RcptParameters(notify=recipient.notify, orcpt=orcpt))


def _fits_ascii(address: str) -> bool:
    """True if A-labels make `address` ASCII; nothing does that for a local part (RFC 6531 3.2)."""
    return address.rpartition("@")[0].isascii()


def _path(address: str, *, utf8: bool) -> str:
    if utf8 or address.isascii():
        return address
    parsed = Address.parse(address)
    return f"{parsed.local}@{ascii_domain(parsed.domain)}"


def _no_utf8(whose: str) -> Reply:
    return refuse(553, "5.6.7", f"The {whose}'s address is not ASCII and the server does not offer SMTPUTF8")


def _header_eight_bit(content: Content) -> bool:
    header = b""
    for block in content.blocks():
        header += block
        head, end, _ = header.partition(b"\r\n\r\n")
        if end:
            return not head.isascii()
    return not header.isascii()
