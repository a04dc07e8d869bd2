"""SPF, DKIM and DMARC of a sender's domain, asked of a real name server, and each way it can go wrong."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable

import dns.rcode
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postbearer import Account, Secret, StaticToken
from postbearer.diagnosis import Failure, Finding, Step, examine_sender_domain, name_service, worst
from postbearer.settings import AccountSettings
from support.nameserver import NameServer, name_server

OUTLOOK = b"spf.protection.outlook.com"
GOOD_SPF = b"v=spf1 include:" + OUTLOOK + b" -all"
THEIRS = [b"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"]
GOOD_DMARC = b"v=DMARC1; p=reject; rua=mailto:dmarc@example.org"


def _der(bits: int) -> bytes:
    key = rsa.generate_private_key(65537, bits).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


KEY = base64.b64encode(_der(2048))
GOOD_KEY = b"v=DKIM1; k=rsa; p=" + KEY


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    """A name server that knows example.org as Microsoft wants it."""
    async with name_server() as server:
        server.texts["example.org"] = [b"some-site-verification=1", GOOD_SPF]
        server.texts[OUTLOOK.decode()] = THEIRS
        server.aliases["selector1._domainkey.example.org"] = "selector1-example-org._domainkey.keys.example"
        server.texts["selector1-example-org._domainkey.keys.example"] = [
            [GOOD_KEY[:255], GOOD_KEY[255:]]  # a string holds 255 octets
        ]
        server.texts["_dmarc.example.org"] = [GOOD_DMARC]
        monkeypatch.setattr(name_service, "system_resolver", server.resolver)
        monkeypatch.setattr(name_service, "_PATIENCE", 0.2)
        monkeypatch.setattr(name_service, "_LIFETIME", 0.4)
        yield server


def microsoft(address: str = "alerts@example.org", **more: str) -> Account:
    return Account.microsoft(address, tenant="example.org", grant=StaticToken(Secret("x")), **more)


async def found(account: Account | None = None) -> dict[str, Finding]:
    findings = await examine_sender_domain(account or microsoft())
    assert worst(findings) in (None, Failure.UNTRUSTED)  # mail leaves all the same
    assert {each.step for each in findings} <= {Step.DOMAIN}
    return {str(each.details.get("record", "")): each for each in findings}


async def test_a_domain_with_all_three(names: NameServer) -> None:
    told = await found()
    assert [each.ok for each in told.values()] == [True, True, True]
    assert told["SPF"].text == (
        "SPF of example.org includes spf.protection.outlook.com; others are refused; "
        "1 of 10 names are asked for"
    )
    assert told["DKIM"].text == "DKIM of example.org has a key under selector1"  # the other comes later
    assert told["DMARC"].text == "DMARC of example.org asks for reject"


async def test_a_domain_with_nothing(names: NameServer) -> None:
    names.texts = {OUTLOOK.decode(): THEIRS}
    told = await found()
    assert [each.ok for each in told.values()] == [False, False, False]
    assert told["SPF"].fix == (
        "Publish a TXT record at example.org: v=spf1 include:spf.protection.outlook.com -all"
    )
    assert "selector2._domainkey.example.org" in told["DKIM"].text
    assert told["DMARC"].fix.startswith("Publish a TXT record at _dmarc.example.org: v=DMARC1; p=none")


async def test_a_name_server_that_knows_nothing_of_others_proves_nothing(names: NameServer) -> None:
    """As in a network that is shut off: it does not know the provider either."""
    names.texts.clear()
    told = await found()
    assert [each.ok for each in told.values()] == [None, None, None]
    assert told["DKIM"].text == (
        "DKIM of example.org is not known: the name servers of this machine do not know "
        "spf.protection.outlook.com either"
    )


@pytest.mark.parametrize(
    ("records", "ok", "text"),
    [
        ([b"v=spf1 -all"], False, "does not include spf.protection.outlook.com"),
        ([b"V=SPF1 INCLUDE:SPF.Protection.Outlook.Com ~ALL"], True, "others are doubted"),
        ([b"v=spf1 redirect=spf.protection.outlook.com"], True, "others are refused"),
        ([b"v=spf1 redirect=away.example -all"], False, "does not include"),  # all ends it (6.1)
        ([b"v=spf1 -all include:spf.protection.outlook.com"], False, "does not include"),  # nor behind it
        ([b"v=spf1 -include:spf.protection.outlook.com -all"], False, "does not include"),
        ([b"v=spf1 include:nested.example ~all"], True, "2 of 10 names"),
        ([b"v=spf1 include:nested.example"], True, "neither trusted nor refused"),
        (
            [b"v=spf1 ip4:192.0.0.0/16 ip6:2001:db8::/32 -all"],
            True,
            "lists the addresses of spf.",
        ),
        ([b"v=spf1 ip4:192.0.2.0/25 ip6:2001:db8::/32 -all"], False, "does not include"),
        ([b"v=spf1 include:spf.protection.outlook.com +all"], False, "lets everybody send"),
        ([GOOD_SPF, b"v=spf1 -all"], False, "2 SPF records"),
        ([b"v=spf10 include:spf.protection.outlook.com"], False, "is not there"),
        ([b"v=spf1 includ:spf.protection.outlook.com -all"], False, "nobody knows the word includ:"),
        ([b"v=spf1 ip4:192.0.2.300 -all"], False, "ip4:192.0.2.300 is no network"),
        ([b"v=spf1 ip4:192.0.2.0/24/24 -all"], False, "is no network"),
        ([b"v=spf1 a:/24 -all"], False, "names no domain"),
        ([b"v=spf1 a/33 -all"], False, "no length of a network"),
        ([b"v=spf1 all:x"], False, "is not how all is written"),
        ([b"v=spf1 redirect=a.example redirect=b.example"], False, "redirect stands in it twice"),
        ([b"v=spf1 include:gone.example -all"], False, "gone.example, which it refers to, has no SPF record"),
        ([b"v=spf1 include:loop.example -all"], False, "asks for more than 10 names"),
        ([b"v=spf1 a a a a a mx mx mx ptr ptr ptr -all"], False, "asks for more than 10 names"),
        ([b"v=spf1 exists:%{i}.pass.example -all"], None, "depends on the message"),
        ([b"v=spf1 include:%{d}.pass.example -all"], None, "depends on the message"),
        ([b"v=spf1 include:%{z}.pass.example -all"], False, "cannot be read"),
        ([b"v=spf1 moo=%{d} exp=why.example.org include:nested.example -all"], True, "2 of 10"),
        ([b"v=spf1 \x1b[2J<script>\xff -all"], False, "\\x1b[2J<script>\\xff"),
        ([b"v=spf1 " + b"x" * 5000], False, "…"),
    ],
)
async def test_what_an_spf_record_comes_to(
    names: NameServer, records: list[bytes], ok: bool | None, text: str
) -> None:
    names.texts["example.org"] = records
    names.texts["nested.example"] = [b"v=spf1 include:" + OUTLOOK + b" ?all"]
    names.texts["away.example"] = [GOOD_SPF]
    names.texts["loop.example"] = [b"v=spf1 include:loop.example -all"]
    spf = (await found())["SPF"]
    assert spf.ok is ok
    assert text in spf.text
    assert "\x1b" not in spf.text
    assert len(spf.text) < 400
    assert bool(spf.fix) is (ok is False)


@pytest.mark.parametrize(
    ("record", "ok", "text"),
    [
        (b"p=" + KEY, True, "has a key"),
        (
            b"v=DKIM1; h=sha1:sha256; s=email; n=note; p=" + KEY[:100] + b" \t" + KEY[100:] + b";",
            True,
            "has a key",
        ),
        (b"v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(32)), True, "has a key"),
        (b"v=DKIM1; t=y:s; p=" + KEY, True, "has a key"),
        (b"v=DKIM1; p=", False, "was revoked"),
        (b"v=DKIM1; p= ; k=rsa", False, "was revoked"),
        (b"p=" + KEY + b"; v=DKIM1", False, "no key of DKIM"),
        (b"v=DKIM2; p=" + KEY, False, "no key of DKIM"),
        (b"v=DKIM1; h=sha1; p=" + KEY, False, "does not allow sha256"),
        (b"v=DKIM1; s=tlsrpt; p=" + KEY, False, "is not for mail"),
        (b"v=DKIM1; k=dsa; p=" + KEY, False, "kind of key is not known"),
        (b"v=DKIM1; k=ed25519; p=" + KEY, False, "not of 32 octets"),
        (b"v=DKIM1; p=" + KEY[:-8], False, "holds no public key"),
        (b"v=DKIM1; p=" + KEY[:-3] + b"!", False, "no base64"),
        (b"v=DKIM1; p=" + KEY + b"; p=" + KEY, False, "p= stands in it twice"),
        (b"just some words", False, "is no name=value"),
        (b"<script>\x1b[2J", False, "<script>\\x1b[2J"),
        (b"v=DKIM1; p=" + base64.b64encode(_der(1024)), True, "has a key"),
        (
            b"v=DKIM1; p="
            + base64.b64encode(
                ed25519.Ed25519PrivateKey.generate()
                .public_key()
                .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ),
            False,
            "another kind",
        ),
    ],
)
async def test_what_a_key_record_comes_to(names: NameServer, record: bytes, ok: bool, text: str) -> None:
    names.aliases.clear()
    names.texts["selector2._domainkey.example.org"] = [record]
    dkim = (await found())["DKIM"]
    assert dkim.ok is ok
    assert text in dkim.text
    assert bool(dkim.notes) is (b"t=y" in record)
    assert "\x1b" not in dkim.text


async def test_two_records_under_one_selector(names: NameServer) -> None:
    names.texts["selector1-example-org._domainkey.keys.example"] = [GOOD_KEY, b"v=DKIM1; p="]
    assert "has 2 records" in (await found())["DKIM"].text


async def test_selectors_may_be_named(names: NameServer) -> None:
    names.texts["mine._domainkey.example.org"] = [b"v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(32))]
    settings = AccountSettings(
        provider="smtp",
        address="alerts@example.org",
        servers=("mail.example.org:587",),
        authentication="none",
        dkim_selectors=("mine",),
    )
    from postbearer.providers import preset

    told = await found(Account.configured(preset("smtp"), settings))
    assert told["DKIM"].text == "DKIM of example.org has a key under mine"
    unknown = await found(
        Account.smtp("alerts@example.org", servers=["mail.example.org:587"], authentication="none")
    )
    assert unknown["DKIM"].ok is None
    assert "dkim-selectors" in unknown["DKIM"].notes[0]
    assert "whether it names the account's servers is not known" in unknown["SPF"].text


@pytest.mark.parametrize(
    ("records", "ok", "text"),
    [
        ([b"v=DMARC1; p=quarantine"], True, "asks for quarantine"),
        ([b"v = DMARC1 ;p=NONE; rua=mailto:a@example.org"], True, "asks for none"),
        ([b"v=DMARC1; rua=mailto:a@example.org"], True, "asks for none"),
        ([b"v=DMARC1; p=destroy; rua=mailto:a@example.org"], True, "asks for none"),
        ([b"v=DMARC1; p=destroy"], False, "has no policy"),
        ([b"v=DMARC1"], False, "has no policy"),
        ([b"v=dmarc1; p=reject"], False, "is not there"),
        ([b"p=reject; v=DMARC1"], False, "is not there"),
        ([GOOD_DMARC, b"v=DMARC1; p=none"], False, "has 2 records"),
        ([b"v=DMARC1; p=reject; p=none"], False, "p= stands in it twice"),
        ([b"some other text"], False, "is not there"),
    ],
)
async def test_what_a_dmarc_record_comes_to(
    names: NameServer, records: list[bytes], ok: bool, text: str
) -> None:
    names.texts["_dmarc.example.org"] = records
    dmarc = (await found())["DMARC"]
    assert dmarc.ok is ok
    assert text in dmarc.text


async def test_a_domain_above_may_speak_for_those_below(names: NameServer) -> None:
    names.texts["_dmarc.example.org"] = [b"v=DMARC1; p=reject; sp=quarantine; rua=mailto:a@example.org"]
    told = await found(microsoft("alerts@mail.office.example.org"))
    assert told["DMARC"].text == "DMARC of mail.office.example.org asks for quarantine, by example.org"
    assert "_dmarc.org" not in names.asked


@pytest.mark.parametrize("how", ["SERVFAIL", "REFUSED", "silent"])
async def test_a_name_server_that_fails_leaves_all_unknown(names: NameServer, how: str) -> None:
    for name in ("example.org", "selector1._domainkey.example.org", "_dmarc.example.org"):
        if how == "silent":
            names.silent.add(name)
        else:
            names.broken[name] = dns.rcode.from_text(how)
    told = await found()
    assert [each.ok for each in told.values()] == [None, None, None]
    assert all("could not be looked up" in each.text for each in told.values())


async def test_what_is_included_may_be_out_of_reach(names: NameServer) -> None:
    names.silent.add(OUTLOOK.decode())
    spf = (await found())["SPF"]
    assert (spf.ok, "spf.protection.outlook.com" in spf.text) == (None, True)


async def test_no_name_server_at_all(names: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        from dns.resolver import NoResolverConfiguration

        raise NoResolverConfiguration

    monkeypatch.setattr(name_service, "system_resolver", none)
    assert [each.ok for each in (await found()).values()] == [None, None, None]


async def test_a_long_answer_comes_by_tcp(names: NameServer) -> None:
    names.texts["example.org"] = [GOOD_SPF, *(b"x" * 250 for _ in range(20))]
    names.drowned.add("_dmarc.example.org")
    told = await found()
    assert [each.ok for each in told.values()] == [True, True, True]
    assert {"example.org by TCP", "_dmarc.example.org by TCP"} <= set(names.asked)


async def test_names_in_other_scripts(names: NameServer) -> None:
    names.texts["xn--bcher-kva.example.org"] = [GOOD_SPF]
    told = await found(microsoft("alerts@bücher.example.org"))
    assert told["SPF"].ok is True


@pytest.mark.parametrize(
    ("account", "texts"),
    [
        (microsoft("a@contoso.onmicrosoft.com"), ["contoso.onmicrosoft.com is the provider's own"]),
        (Account.google("a@gmail.com", grant=StaticToken(Secret("x"))), ["gmail.com is the provider's own"]),
        (Account.smtp("a@example.org", servers=["127.0.0.1:25"], authentication="none"), []),
    ],
)
async def test_where_there_is_nothing_to_look_at(
    names: NameServer, account: Account, texts: Iterable[str]
) -> None:
    findings = await examine_sender_domain(account)
    assert [each.text.partition(",")[0] for each in findings] == texts
    assert names.asked == []
