"""What DNS says, by the name servers of this machine. It was written by others: it is hostile text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postbearer.reply import cut, printable

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

_PATIENCE = 3.0  # seconds that one name server is waited for
_LIFETIME = 8.0  # … and all of them, for one name
_SHOWN = 160  # characters of a record


class LookupFailed(Exception):
    """No answer was to be had: nothing is known, neither that a record is there nor that it is not."""


def system_resolver() -> Resolver:
    """What asks the name servers of this machine, as they are configured now."""
    from dns.asyncresolver import Resolver

    return Resolver()


async def text_records(name: str) -> tuple[str, ...]:
    """The TXT records at `name`, each in one piece; none if there is no such name. Raises `LookupFailed`.

    An alias is followed (RFC 1034 3.6.2), and a truncated answer asked for again by TCP (RFC 7766 5).
    """
    try:
        from dns.exception import DNSException
        from dns.name import from_text
        from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers
    except ModuleNotFoundError:
        raise LookupFailed("this needs dnspython: pip install 'postbearer[dns]'") from None
    try:
        resolver = system_resolver()
        resolver.timeout, resolver.lifetime = _PATIENCE, _LIFETIME
        answer = await resolver.resolve(from_text(name), "TXT", search=False)
        # The strings of one record belong together with nothing between them (RFC 7208 3.3, 6376 3.6.2.2).
        return tuple(b"".join(record.strings).decode("ascii", "backslashreplace") for record in answer)
    except (NXDOMAIN, NoAnswer):
        return ()
    except NoNameservers:
        raise LookupFailed(f"the name servers could not tell about {shown(name)}") from None
    except (DNSException, OSError, UnicodeError):
        raise LookupFailed(f"no name server answered about {shown(name)}") from None


def shown(text: str) -> str:
    """What DNS said, for people: cut, and without what would not print."""
    return cut(printable(text), _SHOWN)
