"""Words of the trade that pages use, each with what it means to who does not know it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

WORDS: Mapping[str, str] = {
    "AADSTS": "The beginning of a number by which Microsoft names what went wrong with a sign-in.",
    "access token": "What the relay shows the provider in place of a password; good for an hour or so.",
    "API": "The way in which other programs use this one.",
    "audit": "The list of who did what. Nothing in it can be changed without its being seen.",
    "AUTH": "The command by which a client logs in to a mail server.",
    "authenticator app": "A program on a telephone that shows a new code of six digits every 30 seconds.",
    "authorization code": "A sign-in in the browser of this machine, which sends a code back to the relay.",
    "authorization server": "The provider's server that gives out access tokens.",
    "bounce": "The mail that tells a sender that something could not be delivered.",
    "client": "A program that hands mail to this relay.",
    "client credentials": "The relay signs in as itself, by a secret or a certificate; no person takes part.",
    "client id": "The number of the app that was registered at the provider.",
    "client secret": "The password of the app that was registered at the provider.",
    "Conditional Access": "Rules by which a Microsoft organisation decides who may sign in from where.",
    "delivery report": "Mail that tells a sender what became of a message.",
    "device code": "A sign-in on any other device: a short code is typed in there.",
    "DKIM": "A signature that a mail server puts on mail, which shows that it was not changed on its way.",
    "DMARC": "What a domain asks others to do with mail that has neither SPF nor DKIM for it.",
    "DNS": "The directory of the internet's names.",
    "DSN": "Delivery status notification: mail that tells a sender what became of a message.",
    "EHLO": "The first command of a client: the mail server answers with what it can do.",
    "envelope": "The addresses that mail servers go by; what stands in the message itself may differ.",
    "grant": "The way in which the relay gets access tokens.",
    "greylisting": "A server refuses mail of a stranger once, and takes it a few minutes later.",
    "header": "The lines at the top of a message: From, To, Subject and others.",
    "HMAC": "A signature by a key that both sides have.",
    "HTTP": "How browsers and other programs talk with web servers.",
    "idempotency": "The same request, sent twice, is carried out once.",
    "JSON": "A form of text by which programs exchange data.",
    "JWT": "A form of token: signed text, which says for whom and until when it is good.",
    "Message-ID": "The number that the sender's program gave the message; it stays the same everywhere.",
    "OAuth": "How a program may use a mailbox without its password: by a token of the provider.",
    "OAUTHBEARER": "The standard way of logging in to a mail server by a token (RFC 7628).",
    "passkey": "A key in a telephone, computer or security key, which logs in in place of a password.",
    "postmaster": "The address that a mail system's own reports and complaints go to.",
    "Prometheus": "A program that collects numbers of others, and tells when something is wrong.",
    "queue": "The mail that was accepted and is kept on disk until it has left.",
    "recipient": "An address that a message goes to; each is delivered, and counted, for itself.",
    "redirect": "The address that the provider sends a browser back to after a sign-in.",
    "refresh token": "What the relay gets new access tokens with, once somebody has signed in.",
    "relay": "This program: it takes mail from others, keeps it safe, and hands it to the provider.",
    "return address": "Where reports about a message go; often not the address in From.",
    "RFC": "One of the documents that define how the internet works.",
    "route": "A rule that says by which account mail leaves.",
    "scope": "What an access token is good for.",
    "SHA-256": "A digest: the same content always has the same one, and any change gives another.",
    "SMTP": "The language of mail servers.",
    "SPF": "The list, in a domain's DNS, of the servers that may send its mail.",
    "SQLite": "The database, one file, that the queue is kept in.",
    "STARTTLS": "The command that begins encryption on a connection that began without.",
    "tag": "A word that a program files its messages under.",
    "tenant": "An organisation at Microsoft.",
    "TLS": "The encryption of a connection, by which the other side also proves who it is.",
    "TOTP": "Codes of six digits that change every 30 seconds, shown by an authenticator app.",
    "URL": "An address of the web.",
    "UTC": "The time of the world, the same everywhere; not that of your zone.",
    "webhook": "A call that the relay makes to another program when something happened to a message.",
    "XOAUTH2": "The way of logging in to a mail server by a token that Google and Microsoft know.",
}
_SKIPPED = re.compile(r"<pre\b.*?</pre>|<[^>]*>", re.DOTALL)  # tags, and what is shown as it came
_WORD = re.compile(r"[\w-]+")


class GlossaryEntry(NamedTuple):
    """One word, and what it means."""

    word: str
    meaning: str


def words(page: str) -> list[GlossaryEntry]:
    """Those of `page`, HTML, that need to be explained, in alphabetical order; plurals, too."""
    text = _SKIPPED.sub(" ", page).lower()
    found = set(_WORD.findall(text))
    found |= {each.removesuffix("s") for each in found}
    spaced = " ".join(text.split())
    return [
        GlossaryEntry(each, meaning)
        for each, meaning in WORDS.items()
        if (each.lower() in spaced if " " in each else each.lower() in found)
    ]
