"""Whether others believe mail of an account: SPF, DKIM and DMARC of its domain, for the road that it takes.

What a domain lacks stops no mail here, but others may refuse it or take it for spam.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from postbearer.account import Account
from postbearer.address import Address, ascii_domain
from postbearer.diagnosis.dkim import DkimKeyError, check_dkim_key
from postbearer.diagnosis.dmarc import DmarcError, dmarc_records, parse_dmarc
from postbearer.diagnosis.finding import Failure, Finding, Step
from postbearer.diagnosis.name_service import LookupFailed, shown, text_records
from postbearer.diagnosis.spf import MOST_LOOKUPS, SpfError, SpfPolicy, follow_spf
from postbearer.providers import SenderDomain

Kind = Literal["SPF", "DKIM", "DMARC"]

KINDS: tuple[Kind, ...] = ("SPF", "DKIM", "DMARC")
WHO = "who looks after the domain's DNS"
_PATIENCE = 30.0  # seconds for each of the three
_REST = {"-": "refused", "~": "doubted", "?": "neither trusted nor refused", "+": "let through"}


def domain_in_use(account: Account) -> str:
    """The domain whose records matter; empty where none do.

    A server of this machine is not the road that mail takes to others: who that is, it alone knows.
    """
    if all(server.loopback for server in account.outgoing.servers):
        return ""
    return ascii_domain(Address.parse(account.address).domain)


async def examine_sender_domain(account: Account) -> tuple[Finding, ...]:
    """One finding for each of the three; none where there is nothing to look at."""
    domain, wanted = domain_in_use(account), account.sender_domain
    if not domain:
        return ()
    if wanted.owns(domain):
        text = f"{domain} is the provider's own, which looks after SPF, DKIM and DMARC"
        return (Finding(step=Step.DOMAIN, ok=True, text=text, details={"domain": domain}),)
    if wanted.spf and not await _is_there(wanted.spf):
        why = f"is not known: the name servers of this machine do not know {wanted.spf} either"
        return tuple(_finding(kind, domain, None, why) for kind in KINDS)
    return tuple(
        await asyncio.gather(
            _looked_at("SPF", domain, lambda: _spf(domain, wanted)),
            _looked_at("DKIM", domain, lambda: _dkim(domain, wanted, account.name)),
            _looked_at("DMARC", domain, lambda: _dmarc(domain)),
        )
    )


async def _is_there(name: str) -> bool:
    """Whether there is such a record, as far as is known: name servers of a closed network say no to all."""
    try:
        return bool(await text_records(name))
    except LookupFailed:
        return True  # which each look tells


async def _looked_at(kind: Kind, domain: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await look()
    except LookupFailed as error:
        return _finding(kind, domain, None, f"could not be looked up: {error}")
    except TimeoutError:
        return _finding(kind, domain, None, f"could not be looked up within {_PATIENCE:.0f} s")


async def _spf(domain: str, wanted: SenderDomain) -> Finding:
    host = wanted.spf
    example = f"v=spf1 include:{host} -all" if host else "v=spf1 include:… -all"
    try:
        policy = await follow_spf(domain, text_records)
    except SpfError as error:
        return _broken(
            "SPF",
            domain,
            f"is of no use: {shown(str(error))}",
            "Receivers treat it as if there were none, or refuse the mail (RFC 7208 2.6.7).",
            "Leave one record that begins with v=spf1, with at most ten names in it and in what it includes.",
        )
    if policy is None:
        return _broken(
            "SPF",
            domain,
            "is not there",
            "Nobody can tell which servers may send mail of the domain.",
            f"Publish a TXT record at {domain}: {example}",
        )
    if policy.rest == "+":
        return _broken(
            "SPF",
            domain,
            "lets everybody send (+all)",
            "It protects nothing, and many receivers take it for a sign of spam.",
            "End the record with ~all or -all.",
        )
    lets = f"includes {host}" if host else "is there; whether it names the account's servers is not known"
    if host and host not in policy.included and await _lists(policy, host):
        lets = f"lists the addresses of {host}, which may change"
    elif host and host not in policy.included:
        if policy.unclear:
            why = f"depends on the message, so whether the servers of {host} pass is not known from here"
            return _finding("SPF", domain, None, why)
        return _broken(
            "SPF",
            domain,
            f"does not include {host}",
            "The provider's servers send the mail, and the record does not name them.",
            f"Add include:{host} to the record, before its all.",
        )
    used = f"{policy.lookups} of {MOST_LOOKUPS} names are asked for"
    return _finding("SPF", domain, True, f"{lets}; others are {_REST[policy.rest]}; {used}")


async def _lists(policy: SpfPolicy, host: str) -> bool:
    """Whether the addresses that the provider's record lists are all listed instead of it."""
    if not policy.networks:
        return False
    try:
        theirs = await follow_spf(host, text_records)
    except SpfError:
        return False
    return theirs is not None and policy.covers(theirs.networks)


async def _dkim(domain: str, wanted: SenderDomain, account: str) -> Finding:
    if not wanted.dkim:
        return _finding(
            "DKIM",
            domain,
            None,
            "is not known: its key stands under a selector of the provider's choice",
            f"Name it: postbearer config set accounts.{account}.dkim-selectors '[\"…\"]'",
        )
    wrong: list[str] = []
    for selector in wanted.dkim:
        name = f"{selector}._domainkey.{domain}"
        records = await text_records(name)
        if len(records) > 1:  # RFC 6376 3.6.2.2
            wrong.append(f"{name} has {len(records)} records, and a receiver may take any")
            continue
        for record in records:
            try:
                notes = check_dkim_key(record)
            except DkimKeyError as error:
                wrong.append(f"{name}: {shown(str(error))}")
            else:
                return _finding("DKIM", domain, True, f"has a key under {selector}", *notes)
    names = " and ".join(f"{selector}._domainkey.{domain}" for selector in wanted.dkim)
    return _broken(
        "DKIM",
        domain,
        f"has no key that works: {'; '.join(wrong)}" if wrong else f"has no key: nothing is at {names}",
        "What the provider signs cannot be checked, or it signs with a domain of its own.",
        "Switch DKIM on for the domain at the provider, and publish what it shows. If it signs by another "
        f"selector, name it: postbearer config set accounts.{account}.dkim-selectors '[\"…\"]'",
    )


async def _dmarc(domain: str) -> Finding:
    """Also of the domains above, as no list of public suffixes is asked (RFC 7489 6.6.3, step 3)."""
    labels, found, at = domain.split("."), [], domain
    for above in range(max(1, len(labels) - 1)):
        at = ".".join(labels[above:])
        found = dmarc_records(await text_records(f"_dmarc.{at}"))
        if found:
            break
    if not found:
        return _broken(
            "DMARC",
            domain,
            "is not there",
            "The large providers want it of who sends much, and without it anybody may use the name.",
            f"Publish a TXT record at _dmarc.{domain}: v=DMARC1; p=none; rua=mailto:postmaster@{domain}",
        )
    try:
        if len(found) > 1:
            raise DmarcError(f"_dmarc.{at} has {len(found)} records")
        policy = parse_dmarc(found[0])
    except DmarcError as error:
        return _broken(
            "DMARC",
            domain,
            f"is of no use: {shown(str(error))}",
            "Receivers treat it as if there were none (RFC 7489 6.6.3).",
            f"Leave one record at _dmarc.{at}, such as: v=DMARC1; p=none; rua=mailto:postmaster@{domain}",
        )
    asked = policy.policy if at == domain else policy.subdomains
    notes = [] if asked != "none" else ["p=none only watches: quarantine or reject protects the name."]
    notes += [] if policy.reports else ["No reports are asked for (rua=), so nobody hears of misuse."]
    return _finding("DMARC", domain, True, f"asks for {asked}{'' if at == domain else f', by {at}'}", *notes)


def _finding(kind: Kind, domain: str, ok: bool | None, text: str, *notes: str) -> Finding:
    return Finding(
        step=Step.DOMAIN,
        ok=ok,
        text=f"{kind} of {domain} {text}",
        notes=notes,
        details={"domain": domain, "record": kind},
    )


def _broken(kind: Kind, domain: str, text: str, cause: str, fix: str) -> Finding:
    return Finding(
        step=Step.DOMAIN,
        ok=False,
        text=f"{kind} of {domain} {text}",
        cause=cause,
        fix=fix,
        who=WHO,
        failure=Failure.UNTRUSTED,
        details={"domain": domain, "record": kind},
    )
