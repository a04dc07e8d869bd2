"""Clients are found by network and by login as one after the other would be, however many there are."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.engine import Submitter
from postbearer.submission import LOCAL, Access, Admission, networks
from postbearer.submission.access import is_loopback

NETWORKS = st.sampled_from(
    [
        "192.0.2.0/24",
        "192.0.2.128/25",
        "192.0.2.7",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "2001:db8::/32",
        "2001:db8::1",
        "::1",
    ]
)
ADDRESSES = st.sampled_from(
    [
        "",
        *[
            "192.0.2.7",
            "192.0.2.200",
            "10.1.2.3",
            "127.0.0.1",
            "::1",
            "2001:db8::1",
            "2001:db8:1::",
            "::ffff:192.0.2.7",
        ],
    ]
)
TABLES = st.lists(
    st.tuples(st.lists(NETWORKS, max_size=3), st.sampled_from(["", "", "app", "web"]), st.booleans()),
    max_size=6,
)


def admissions(tables: list[tuple[list[str], str, bool]]) -> list[Admission]:
    return [
        Admission(
            Submitter(name=f"c{number}", legacy=legacy), networks(texts), login, "hash" if login else ""
        )
        for number, (texts, login, legacy) in enumerate(tables)
        if texts or login
    ]


def within(address: str, admission: Admission) -> bool:
    if not address:
        return False
    parsed = ipaddress.ip_address(address)
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in each for each in admission.networks)


@given(TABLES, ADDRESSES, st.booleans())
def test_by_network(tables: list[tuple[list[str], str, bool]], address: str, legacy: bool) -> None:
    made = admissions(tables)
    fitting = [each for each in made if within(address, each)]
    named = [each.client for each in fitting if not each.username and each.client.legacy is legacy]
    usual = None if legacy or fitting or not is_loopback(address) else LOCAL
    assert Access(made).by_network(address, legacy=legacy) == (named[0] if named else usual)


@given(TABLES, ADDRESSES, st.sampled_from(["app", "web", "nobody"]))
def test_by_login(tables: list[tuple[list[str], str, bool]], address: str, login: str) -> None:
    made = admissions(tables)
    fitting = [
        each
        for each in made
        if login and each.username == login and (not each.networks or within(address, each))
    ]
    assert (Access(made).by_login(login, address) if login else None) == (fitting[0] if fitting else None)


LOGIN = Admission(Submitter(name="shop"), networks(["127.0.0.1", "192.0.2.0/24"]), "shop", "$argon2id$")
DEVICE = Admission(Submitter(name="printer", legacy=True), networks(["127.0.0.0/8", "192.0.2.0/24"]))
TOLD = [
    (
        [LOGIN],
        "127.0.0.1",
        False,
        "client shop names its network with a login",
        '["127.0.0.0/8", "::1"] and no',
    ),
    (
        [LOGIN],
        "192.0.2.7",
        False,
        "client shop names its network with a login",
        '["192.0.2.7"] and no username',
    ),
    ([DEVICE], "127.0.0.1", False, "client printer names its network for legacy listeners", "without legacy"),
    ([DEVICE], "198.51.100.7", False, "no client names its network", 'networks = ["198.51.100.7"]'),
    ([DEVICE], "198.51.100.7", True, "only clients that are for one", "legacy = true"),
    ([LOGIN], "127.0.0.1", True, "only clients that are for one", "legacy = true"),
    ([], "192.0.2.7", False, "no client names its network", "have it log in"),
]


@pytest.mark.parametrize(("admissions", "address", "legacy", "why", "cure"), TOLD)
def test_whoever_is_nobody_is_told_of_with_a_cure(
    admissions: list[Admission], address: str, legacy: bool, why: str, cure: str
) -> None:
    access = Access(admissions)
    assert access.by_network(address, legacy=legacy) is None
    told = access.why_not(address, legacy=legacy)
    assert why in told
    assert cure in told


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("shop", Submitter(name="shop", senders=("@shop.example.org",))),
        ("local", Submitter(name="local", senders=("root@example.org",))),
        ("user:anna", Submitter(name="user:anna", senders=("root@example.org",))),
        ("outbox", Submitter(name="outbox")),
        ("token:app", Submitter(name="token:app")),
        ("old-shop", None),
        ("", None),
    ],
)
def test_who_handed_in_a_message_is_known_by_the_name_that_it_bears(
    name: str, client: Submitter | None
) -> None:
    shop = Admission(client=Submitter(name="shop", senders=("@shop.example.org",)), username="shop")
    local = Submitter(name="local", senders=("root@example.org",))
    assert Access([shop]).known(name, local) == client
