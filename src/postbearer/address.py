"""Mail addresses as RFC 5321 4.1.2 spells them, and the one canonical form they are compared in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from postbearer.errors import UsageError

# C0, DEL, C1 and the Unicode line ends: never in an address, an EHLO name or a header value.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# The classes say what is left out (RFC 6531 3.3 lets all else in from U+00A0 on): a class that ends at
# U+10FFFF takes longer to compile than all the rest of a short command.
_ATEXT = r"""[^\x00-\x20"(),.:;<>@\[\\\]\x7f-\x9f]"""
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*\Z")
_QUOTED = re.compile(r'"(?:[^\x00-\x1f"\\\x7f-\x9f]|\\[ -~])*"\Z')
# An underscore is no letter of a host name (RFC 1123 2.1), but containers and Windows machines have it.
_LABEL = r"[^\x00-/:-@\[-^`{-\x9f](?:[^\x00-,./:-@\[-^`{-\x9f]*[^\x00-/:-@\[-^`{-\x9f])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?\Z")
_LITERAL = re.compile(r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-F:.]+)\]\Z", re.IGNORECASE | re.ASCII)
_ENCODED_WORD = re.compile(r"=\?[^?]+\?[BbQq]\?[^?]*\?=")  # RFC 2047 2
_NOWHERE = (".localdomain", ".local", ".localhost", ".internal")  # RFC 6762, 6761, 8375 and usage


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox, ``local@domain``, as it was written."""

    local: str
    domain: str

    @staticmethod
    @lru_cache(maxsize=4096)  # the same few come again and again, several times in each message
    def parse(text: str) -> Address:
        """Read one bare address (no display name, no angle brackets).

        Raises `UsageError` naming what is wrong: a control character, a missing domain, a bad label. What is
        not refused has a canonical form, which is an address, too.
        """
        if not isinstance(text, str):  # not every program is type-checked
            raise UsageError(f"A mail address is a text, and no {type(text).__name__}.")
        refuse_controls(text, "the address")
        local, at, domain = text.rpartition("@")
        if not at or not domain:
            raise UsageError(f"{text!r} is not a mail address: the domain is missing.")
        if not (_DOT_STRING.match(local) or _QUOTED.match(local)):
            raise UsageError(f"{text!r} is not a mail address: the part before the @ is not valid.")
        if not (_DOMAIN.match(domain) or _LITERAL.match(domain)):
            raise UsageError(f"{text!r} is not a mail address: the domain is not valid.")
        if _ENCODED_WORD.search(local):  # RFC 2047 5 (3); some readers would decode it, and find another one
            raise UsageError(f"{text[:80]!r} is not a mail address: an encoded word cannot stand in one.")
        address = Address(local, domain)
        _bound(local, domain)
        if not text.isascii():  # case folding and A-labels may be longer, and not every name has them
            _bound(*address.canonical.rsplit("@", 1))
        return address

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def ascii_only(self) -> bool:
        return self.local.isascii() and self.domain.isascii()

    def with_ascii_domain(self) -> Address:
        """The same mailbox with its domain in A-labels (RFC 5891), for servers without SMTPUTF8."""
        return Address(self.local, ascii_domain(self.domain))

    @property
    def canonical(self) -> str:
        """The form in which addresses are compared, for rights and for finding an account alike.

        The local part is compared without case, as every provider here does, although RFC 5321 2.4
        would let it matter: telling ``Alice@`` from ``alice@`` would only open a gap between the
        two comparisons.
        """
        return f"{_folded(_unquoted(self.local))}@{ascii_domain(self.domain)}"

    @property
    def deliverable(self) -> bool:
        """Whether mail to it can be expected to arrive somewhere: not at ``root@host``, nor at an IP address.

        No provider takes mail to ``x@[192.0.2.1]`` (RFC 5321 4.1.3); without the brackets, as devices write
        it, that is a domain whose last label is a number, and there is none (RFC 3696 2).
        """
        domain = self.domain.rstrip(".").lower()
        last = domain.rpartition(".")[2]
        return "." in domain and not (domain.startswith("[") or last.isdecimal() or domain.endswith(_NOWHERE))


def _bound(local: str, domain: str) -> None:
    """RFC 5321 4.5.3.1.1 and .2, in octets."""
    label = max(map(len, domain.split("."))) if domain.isascii() else 0  # at most 63: RFC 1035 2.3.4
    if len(local.encode()) > 64 or len(domain.encode()) > 255 or label > 63:
        raise UsageError(f"{local[:40]!r}… is too long for a mail address.")


def _unquoted(local: str) -> str:
    """A local part in the one spelling that is compared: quoted only where it must be, and no more in it."""
    if not local.startswith('"'):
        return local
    plain = re.sub(r"\\(.)", r"\1", local[1:-1])
    return plain if _DOT_STRING.match(plain) else '"' + re.sub(r'(["\\])', r"\\\1", plain) + '"'


def _folded(local: str) -> str:
    """Without case; but nothing becomes ASCII that was not: the long s makes another mailbox than s."""
    if local.isascii():
        return local.lower()
    return "".join(
        char.lower()
        if char.isascii()
        else char
        if re.search("[\0-\x7f]", char.casefold())
        else char.casefold()
        for char in local
    )


def ascii_domain(domain: str) -> str:
    """A domain in lower case A-labels without a trailing dot. Raises `UsageError` if it has none."""
    domain = domain.rstrip(".").lower()
    if domain.isascii():
        return domain
    import idna

    try:
        mapped = idna.uts46_remap(domain, std3_rules=False).rstrip(".")
        labels = [each if each.isascii() else idna.alabel(each).decode("ascii") for each in mapped.split(".")]
    except idna.IDNAError as error:
        raise UsageError(f"{domain!r} is not a valid domain: {error}.") from None
    if not _DOMAIN.match(found := ".".join(labels)):
        raise UsageError(f"{domain!r} is not a valid domain: it stands for {found!r}.")
    return found


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """`Address.canonical` of an address given as text."""
    return Address.parse(text).canonical


def same_mailbox(one: str, other: str) -> bool:
    """Whether both name one mailbox. What is no address, as in a damaged row, does so only literally."""
    try:
        return one == other or canonical(one) == canonical(other)
    except UsageError:
        return False


find_control = _UNSAFE.search  # the first control character in a text, if there is any


def refuse_controls(text: str, what: str) -> None:
    """Raise `UsageError` if `text` holds CR, LF, NUL, another control character or a lone surrogate."""
    if found := find_control(text):
        kind = "an octet that is no UTF-8" if "\udc80" <= found[0] <= "\udcff" else "a control character"
        raise UsageError(f"{what} holds {kind} (U+{ord(found[0]):04X}): {text[:80]!r}.")
