"""Where a URL that somebody gave may lead: by the address that is connected to, whatever the name said."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from postbearer.errors import ConnectFailed, NetworkError
from postbearer.http import fetch
from postbearer.http_addresses import AddressRules
from postbearer.http_session import HttpSession
from support.hooks import receiving
from support.ports import free_ports

ALL, NONE = AddressRules.allowing(True), AddressRules.allowing(False)
PUBLIC = ("93.184.216.34", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::200e")
OWN = (
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("100.64.0.1", "100.127.255.255", "::1", "fc00::1", "fd12:3456::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1"),
)
NOBODYS = (
    *("0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
    *("::", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1", "fec0::1"),
    *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "::7f00:1", "::127.0.0.1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2001::4136:e378", "no address", ""),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    assert (NONE.refusal(address), ALL.refusal(address)) == ("", "")


def test_one_that_is_public_by_way_of_nat64_is_public() -> None:
    assert NONE.refusal("64:ff9b::8.8.8.8") == ""


@pytest.mark.parametrize("address", OWN)
def test_ones_own_only_by_leave(address: str) -> None:
    assert "this machine or of a private network" in NONE.refusal(address)
    assert ALL.refusal(address) == ""


@pytest.mark.parametrize("address", NOBODYS[:-2])
def test_what_is_nobodys_never(address: str) -> None:
    assert NONE.refusal(address)
    assert ALL.refusal(address)


def test_what_is_no_address_is_not_called() -> None:
    assert [ALL.refusal(each) for each in NOBODYS[-2:]] == ["no address", "no address"]


def test_networks_by_name() -> None:
    rules = AddressRules.allowing(["10.1.0.0/16", "fd00::/8"])
    assert [rules.refusal(each) for each in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1")] == ["", "", ""]
    assert all(rules.refusal(each) for each in ("10.2.0.1", "127.0.0.1", "fc00::1", "169.254.169.254"))


class Names:
    """A resolver that answers what it is told, in turn."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **more: Any) -> list[Any]:
        self.asked.append(host)
        answer = self.answers.pop(0)
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answer]


@pytest.fixture
async def session() -> AsyncIterator[HttpSession]:
    made = HttpSession(ALL)
    yield made
    await made.close()


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Names:
    names = Names(*answers)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
    return names


async def ask(url: str, session: HttpSession) -> int:
    return (await fetch("POST", url, content=b"{}", session=session, timeout=5)).status


async def test_a_name_is_looked_up_once_and_what_was_found_is_connected_to(
    session: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as hooks:
        port = hooks.url.split(":")[2].partition("/")[0]
        names = answering(monkeypatch, ["127.0.0.1"], ["127.0.0.1"])
        url = f"http://hooks.localhost:{port}/hook?a=b"
        assert [await ask(url, session) for _ in range(2)] == [204, 204]
        assert names.asked == ["hooks.localhost"] * 2  # and never again for the connection
        assert [call.headers["host"] for call in hooks.calls] == [f"hooks.localhost:{port}"] * 2
        assert [call.path for call in hooks.calls] == ["/hook?a=b"] * 2


async def test_a_name_that_leads_home_on_the_second_look_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: what the name says a moment later is of no account."""
    with receiving() as hooks:
        port = hooks.url.split(":")[2].partition("/")[0]
        session = HttpSession(NONE, hint="Name it.")
        names = answering(monkeypatch, ["127.0.0.1"], ["10.0.0.1", "192.168.0.1"], ["169.254.169.254"])
        for leads in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
            with pytest.raises(ConnectFailed, match=rf"hooks\.localhost leads to {leads}") as caught:
                await ask(f"http://hooks.localhost:{port}/", session)
            assert caught.value.hint == "Name it."
        assert (hooks.calls, len(names.asked)) == ([], 3)


async def test_of_several_addresses_those_that_may_be_called_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiving() as hooks:
        port = hooks.url.split(":")[2].partition("/")[0]
        session = HttpSession(AddressRules.allowing(["127.0.0.0/8"]))
        answering(monkeypatch, ["10.0.0.1", "127.0.0.2", "127.0.0.1"], [])
        assert await ask(f"http://hooks.localhost:{port}/", session) == 204  # nobody listens at 127.0.0.2
        with pytest.raises(NetworkError, match=r"hooks\.localhost cannot be found"):
            await ask(f"http://hooks.localhost:{port}/", session)
        await session.close()


async def test_a_long_answer_is_cut_and_no_redirect_followed(session: HttpSession) -> None:
    with receiving() as hooks:
        hooks.answers.append((302, {"location": "http://169.254.169.254/latest"}))
        assert await ask(hooks.url, session) == 302
    [free] = free_ports(1)
    with pytest.raises(NetworkError):
        await ask(f"http://127.0.0.1:{free}/", session)


async def test_behind_a_proxy_an_address_that_is_written_out_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [free] = free_ports(1)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    session = HttpSession(NONE)
    for host, why in (
        ("10.0.0.1", "10.0.0.1 is an address of this machine or of a private network"),
        ("[fd00::1]", "fd00::1 is an address of this machine or of a private network"),
        ("hooks.example.org", "through the proxy"),  # which looks it up, and has to see where it leads
    ):
        with pytest.raises(ConnectFailed) as caught:
            await fetch("POST", f"https://{host}/", content=b"{}", session=session, timeout=5)
        assert why in caught.value.message
    await session.close()
