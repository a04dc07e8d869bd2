"""S6: who may send at all, and as whom; no configuration by accident opens the relay."""

from __future__ import annotations

from base64 import b64encode

import pytest

from postbearer.engine import Submitter
from postbearer.errors import ConfigError
from postbearer.submission import LOCAL, Access, Admission, networks
from support.submitting import MESSAGE, account, cheap_hash, offering, running

ALICE = Admission(Submitter(name="alice", senders=("alice@corp.example",)), networks(["127.0.0.1"]))
LOGIN = Admission(Submitter(name="app"), networks(["127.0.0.2"]), "app", cheap_hash("x"))


def header(line: str) -> bytes:
    return f"{line}\r\nTo: b@example.net\r\n\r\nhello\r\n".encode()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", ""])
def test_this_machine_is_let_in_by_default(address: str) -> None:
    assert Access().by_network(address) is LOCAL


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "10.0.0.1", "169.254.1.1", "fe80::1%eth0", "::ffff:10.0.0.1", "0.0.0.0", "::", "junk"],
)
def test_and_nobody_else(address: str) -> None:
    assert Access().by_network(address) is None


def test_a_named_network_goes_before_the_trust_in_this_machine() -> None:
    access = Access([Admission(Submitter(name="ci"), networks(["127.0.0.0/8", "10.0.0.0/8"]))])
    found = [access.by_network(address) for address in ("127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "::1")]
    assert [client.name for client in found if client] == ["ci", "ci", "ci", "local"]
    assert access.by_network("11.0.0.1") is None


def test_network_and_login_are_both_needed_where_both_are_named() -> None:
    access = Access([Admission(Submitter(name="app"), networks(["10.0.0.0/8", "127.0.0.1"]), "app", "hash")])
    assert access.by_network("10.1.2.3") is None
    assert access.by_network("127.0.0.1") is None
    assert access.by_login("app", "192.0.2.1") is None
    found = access.by_login("app", "10.1.2.3")
    assert found is not None
    assert found.client.name == "app"


def test_on_a_legacy_listener_only_named_devices_are_known() -> None:
    printer = Submitter(name="printer", legacy=True)
    access = Access(
        [Admission(printer, networks(["10.0.0.9"])), Admission(Submitter(name="ci"), networks(["10.0.0.1"]))]
    )
    assert access.by_network("10.0.0.9", legacy=True) is printer
    assert access.by_network("10.0.0.9") is None
    for stranger in ("10.0.0.1", "127.0.0.1", ""):
        assert access.by_network(stranger, legacy=True) is None


def test_a_client_that_could_be_anybody_is_refused() -> None:
    with pytest.raises(ConfigError, match="could be anybody") as caught:
        Access([Admission(Submitter(name="app"))])
    assert caught.value.hint


@pytest.mark.parametrize("text", ["10.0.0.1/8", "300.1.1.1", "example.org", ""])
def test_networks_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        networks([text])
    assert caught.value.hint


async def test_strangers_may_not_send() -> None:
    async with running(
        admissions=[LOGIN, Admission(Submitter(name="x"), networks(["127.0.0.1"]), "x", "h")]
    ) as relay:
        async with await relay.client() as client:
            await client.say("EHLO client.example.org")
            assert (await client.say("MAIL FROM:<app@example.org>")).startswith("550 5.7.1")
            assert (await client.say("RCPT TO:<b@example.net>")).startswith("503")
            assert (await client.say("DATA")).startswith("503")
            assert (await client.say("XCLIENT LOGIN=root")).startswith("502")
            assert (await client.say("MAIL FROM:<app@example.org>")).startswith("550")
        assert await relay.messages() == []


async def test_where_network_and_login_are_asked_for_the_login_alone_is_wrong() -> None:
    offer = offering(mechanisms=("PLAIN",), auth_in_clear=True)
    async with running(offer=offer, admissions=[LOGIN]) as relay:
        async with await relay.client() as client:
            await client.say("EHLO client.example.org")
            line = "AUTH PLAIN " + b64encode(b"\0app\0x").decode()
            assert (await client.say(line)).startswith("535")
        async with await relay.client(local_addr=("127.0.0.2", 0)) as client:
            await client.say("EHLO client.example.org")
            assert (await client.say("MAIL FROM:<app@example.org>")).startswith("530")
            assert (await client.say(line)).startswith("235")
            assert (await client.deliver()).startswith("250")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("alice@corp.example", "250"),
        ("Alice@CORP.example", "250"),
        ("alice@corp.example.", "250"),
        ('"alice"@corp.example', "250"),
        ("", "250"),
        ("bob@corp.example", "550"),
        ("alice+x@corp.example", "550"),
        ('"alice@corp.example"@evil.example', "550"),
        ('"a@evil.example"@corp.example', "550"),
        ("a@b@c", "501"),
        ("@relay.example:bob@corp.example", "501"),
        ("alice%relay@corp.example", "550"),
        (";cmd;", "501"),
        ("${run{/bin/sh}}@corp.example", "550"),
        ("аlice@corp.example", "553"),
    ],
)
async def test_s6_reverse_paths_of_a_client_that_is_bound_to_one(path: str, code: str) -> None:
    async with running(admissions=[ALICE]) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        assert (await client.say(f"MAIL FROM:<{path}>"))[:3] == code


async def test_s6_a_look_alike_is_somebody_else() -> None:
    async with running(admissions=[ALICE]) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        assert (await client.say("MAIL FROM:<аlice@corp.example> SMTPUTF8")).startswith("550")


async def test_s6_one_domain_in_two_spellings() -> None:
    admission = Admission(Submitter(name="b", senders=("@bücher.example",)), networks(["127.0.0.1"]))
    async with running(admissions=[admission]) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        assert (await client.say("MAIL FROM:<a@xn--bcher-kva.example>")).startswith("250")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("From: alice@corp.example", "250"),
        ('From: "bob@corp.example" <alice@corp.example>', "250"),
        ("From: bob@corp.example", "550"),
        ("From: alice@corp.example, bob@corp.example", "550"),
        ("From: alice@corp.example\r\nFrom: bob@corp.example", "550"),
        ("From: alice@corp.example <bob@corp.example>", "550"),
    ],
)
async def test_s6_authors_in_the_header(line: str, code: str) -> None:
    async with running(admissions=[ALICE]) as relay, await relay.client() as client:
        assert (await client.deliver(header(line), "alice@corp.example"))[:3] == code


async def test_s6_what_an_account_does_not_carry_is_refused_at_once() -> None:
    async with running(account=account("check")) as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        await client.say("MAIL FROM:<other@example.org>")
        assert (await client.say("RCPT TO:<b@example.net>")).startswith("550 5.7.1")


async def test_the_postmaster_is_whoever_looks_after_the_relay() -> None:
    async with running() as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        await client.say("MAIL FROM:<app@my_host>")
        assert (await client.say("RCPT TO:<Postmaster>")).startswith("250")
        await client.say("DATA")
        assert (await client.say(MESSAGE + b".\r\n")).startswith("250")
        (message,) = await relay.messages()
        assert message.envelope.addresses == ("alerts@example.org",)
        assert message.envelope.reverse_path == "app@my_host"


@pytest.mark.parametrize("path", ["nobody", "a@☃-.example", "a@" + "ü" * 200 + ".example"])
async def test_recipients_that_are_no_address_end_nothing(path: str) -> None:
    async with running() as relay, await relay.client() as client:
        await client.say("EHLO client.example.org")
        await client.say("MAIL FROM:<app@example.org> SMTPUTF8")
        assert (await client.say(f"RCPT TO:<{path}>"))[:1] in "25"
        assert await client.say("NOOP") == "250 2.0.0 OK"


async def test_a_legacy_listener_for_a_printer() -> None:
    printer = Submitter(name="printer", legacy=True, default_sender="scan@example.org", size=200)
    async with running(
        legacy=True,
        offer=offering(lenient=True),
        admissions=[Admission(printer, networks(["127.0.0.1"]))],
    ) as relay:
        async with await relay.client() as client:
            assert await client.say("HELO printer") == "250 relay.example.org"
            assert (await client.say("MAIL FROM:<>")).startswith("250")
            assert (await client.say("RCPT TO:<b@example.net>")).startswith("250")
            assert (await client.say("DATA")).startswith("354")
            assert (await client.say(b"Subject: scan\n\npage 1\npage 2\r\n.\r\n")).startswith("250")
            (message,) = await relay.messages()
            assert message.envelope.reverse_path == "scan@example.org"
            assert " with SMTP id " in message.received
            assert await relay.contents() == [b"Subject: scan\r\n\r\npage 1\r\npage 2\r\n"]
            await client.say("EHLO printer")
            assert (await client.say("MAIL FROM:<a@example.org> SIZE=201")).startswith("552")
            assert (await client.deliver(MESSAGE + b"x" * 200 + b"\r\n")).startswith("552")
        async with await relay.client(local_addr=("127.0.0.3", 0)) as stranger:
            await stranger.say("HELO printer")
            assert (await stranger.say("MAIL FROM:<>")).startswith("550")


@pytest.mark.parametrize("login", ["AUTH PLAIN " + b64encode(b"\0any\0body").decode(), "AUTH LOGIN"])
async def test_a_device_that_insists_on_a_login_is_known_by_its_network_alone(login: str) -> None:
    printer = Submitter(name="printer", legacy=True, senders=("scan@example.org",))
    async with running(
        legacy=True,
        offer=offering(lenient=True, mechanisms=("PLAIN", "LOGIN"), auth_in_clear=True),
        admissions=[Admission(printer, networks(["127.0.0.1"]))],
    ) as relay:
        for address, code, sender in (("127.0.0.1", "235", "250"), ("127.0.0.3", "535", "550")):
            async with await relay.client(local_addr=(address, 0)) as client:
                assert "AUTH PLAIN LOGIN" in await client.say("EHLO printer")
                said = await client.say(login)
                while said.startswith("334"):
                    said = await client.say(b64encode(b"admin").decode())
                assert said[:3] == code
                assert (await client.say("MAIL FROM:<scan@example.org>"))[:3] == sender
                assert (await client.say("RSET"))[:3] == "250"
                assert (await client.say("MAIL FROM:<ceo@example.org>"))[:3] == "550"
        async with await relay.client() as client:
            await client.say("EHLO printer")
            await client.say("AUTH PLAIN " + b64encode(b"\0a\0b").decode())
            await client.say("MAIL FROM:<scan@example.org>")
            await client.say("RCPT TO:<b@example.net>")
            await client.say("DATA")
            assert (await client.say(MESSAGE.replace(b"app@", b"scan@") + b".\r\n"))[:3] == "250"
        (message,) = await relay.messages()
        assert " with ESMTP id " in message.received  # nobody was authenticated (RFC 3848)


async def test_a_device_without_a_name_is_named_by_its_address() -> None:
    printer = Submitter(name="printer", legacy=True)
    async with running(
        legacy=True,
        offer=offering(lenient=True),
        admissions=[Admission(printer, networks(["127.0.0.1"]))],
    ) as relay:
        async with await relay.client() as client:
            client.send(b"HELO\nMAIL FROM: a@example.org\nRCPT TO: b@example.net\nDATA\n")
            assert await client.replies(4) == ["250", "250", "250", "354"]
            assert (await client.say(b"Subject: x\n\nhi\n.\n"))[:3] == "250"
        (message,) = await relay.messages()
        assert message.received.startswith("from [127.0.0.1] ([127.0.0.1]) by ")
