"""Who may send as whom, and which way mail goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.engine import Route, Router, RouteRule, Submitter, new_id
from postbearer.engine.route import lane_for
from postbearer.engine.submitter import matches
from postbearer.message import Header
from postbearer.store import Priority

APP = Submitter(name="app")


@pytest.mark.parametrize(
    ("address", "patterns", "expected"),
    [
        ("shop@example.org", ("shop@example.org",), True),
        ("Shop@EXAMPLE.org", ("shop@example.org",), True),
        ('"shop"@example.org', ("shop@example.org",), True),
        ("other@example.org", ("shop@example.org",), False),
        ("other@example.org", ("@example.org",), True),
        ("other@example.org", ("*@example.org",), True),
        ("other@sub.example.org", ("@example.org",), False),
        ("x@bücher.example", ("@xn--bcher-kva.example",), True),
        ("anyone@example.net", ("*",), True),
        ("no address", ("@example.org",), False),
        ("no address", ("*",), True),
    ],
)
def test_senders(address: str, patterns: tuple[str, ...], expected: bool) -> None:
    assert matches(address, patterns) is expected


def header(text: str) -> Header:
    return Header.parse(text.encode())


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({}, True),
        ({"from_": "codes@example.org"}, True),
        ({"from_": "CODES@example.org"}, True),
        ({"from_": "example.org"}, True),
        ({"from_": "@example.org"}, True),
        ({"from_": "*.org"}, True),
        ({"from_": "other@*"}, False),
        ({"from_": "<>"}, False),
        ({"to": ("example.net",)}, True),
        ({"to": ("anna@*",)}, True),
        ({"to": ("example.com",)}, False),
        ({"client": "app"}, True),
        ({"client": "web*"}, False),
        ({"header": (("X-Kind", "login*"),)}, True),
        ({"header": (("x-kind", ""),)}, True),
        ({"header": (("x-other", ""),)}, False),
        ({"header": (("X-Kind", "news*"),)}, False),
        ({"to": ("example.net",), "client": "web"}, False),
    ],
)
def test_a_rule_holds_when_all_its_patterns_match(rule: dict[str, object], holds: bool) -> None:
    made = RouteRule(route=Route(), **rule)  # type: ignore[arg-type]
    fields = header("X-Kind: Login code\r\n")
    assert made.holds(APP, "codes@example.org", "anna@example.net", fields) is holds


def test_no_reverse_path_is_matched_by_its_sign() -> None:
    assert RouteRule(from_="<>", route=Route()).holds(APP, "", "anna@example.net", None)
    assert not RouteRule(from_="example.org", route=Route()).holds(APP, "", "anna@example.net", None)


def test_the_first_rule_decides_and_client_and_default_say_the_rest() -> None:
    rules = (
        RouteRule(to=("example.com",), route=Route(account="other")),
        RouteRule(from_="codes@*", route=Route(priority=Priority.URGENT, expire_after=600)),
    )
    router = Router(rules, "main")
    mine = Submitter(name="app", account="mine")
    assert router.choose(APP, "codes@example.org", "a@example.com") == Route(account="other")
    assert router.choose(APP, "codes@example.org", "a@example.net").account == "main"
    chosen = router.choose(mine, "codes@example.org", "a@example.net")
    assert chosen == Route(account="mine", priority=Priority.URGENT, expire_after=600)


@pytest.mark.parametrize(
    ("route", "client", "asked", "lane"),
    [
        (None, Priority.NORMAL, None, Priority.NORMAL),
        (None, Priority.NORMAL, 4, Priority.URGENT),
        (None, Priority.NORMAL, 3, Priority.NORMAL),
        (None, Priority.URGENT, -1, Priority.BULK),
        (None, Priority.BULK, 9, Priority.BULK),
        (Priority.BULK, Priority.URGENT, 9, Priority.BULK),
    ],
)
def test_lanes(route: Priority | None, client: Priority, asked: int | None, lane: Priority) -> None:
    assert lane_for(Route(priority=route), Submitter(name="app", priority=client), asked) is lane


@given(st.floats(1, 2e9), st.floats(0.01, 1e6))
def test_ids_sort_by_age(now: float, later: float) -> None:
    first, second = new_id(now), new_id(now + later)
    assert len(first) == 16
    assert first.isalnum()
    assert first < second


PATTERNS = st.sampled_from(
    [
        "",
        "*",
        "<>",
        "example.org",
        "EXAMPLE.net",
        "@example.org",
        "*@example.net",
        "a@example.org",
        "A@*",
        "*.org",
        "a*",
    ]
)
ADDRESSES = st.sampled_from(
    ["", "a@example.org", "A@Example.ORG", "b@example.net", '"a"@example.org', "a", "x@sub.example.org"]
)


@given(
    st.lists(st.tuples(PATTERNS, PATTERNS, st.sampled_from(["", "app", "web", "a*"])), max_size=12),
    ADDRESSES,
    ADDRESSES,
)
def test_routes_are_found_by_what_they_name_as_one_after_the_other(
    rules: list[tuple[str, str, str]], sender: str, recipient: str
) -> None:
    made = [
        RouteRule(from_=from_, to=(to,) if to else (), client=client, route=Route(account=str(number)))
        for number, (from_, to, client) in enumerate(rules)
    ]
    first = next(
        (rule.route for rule in made if rule.holds(APP, sender, recipient, None)), Route(account="-")
    )
    assert Router(made, "-").choose(APP, sender, recipient) == first


def test_a_route_is_found_without_trying_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    holds = RouteRule.holds

    def counting(rule: RouteRule, *given: object) -> bool:
        tried.append(rule.route.account)
        return holds(rule, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(RouteRule, "holds", counting)
    rules = [
        RouteRule(**{key: value}, route=Route(account=f"{key}{number}"))  # type: ignore[arg-type]
        for number in range(1000)
        for key, value in (
            ("from_", f"a{number}@example.org"),
            ("to", (f"d{number}.example.net",)),
            ("client", f"c{number}"),
        )
    ]
    router = Router(rules, "-")
    assert router.choose(Submitter(name="c7"), "a5@example.org", "x@d6.example.net").account == "from_5"
    assert router.choose(APP, "z@example.org", "x@d6.example.net").account == "to6"
    assert router.choose(APP, "z@example.org", "x@example.net").account == "-"
    assert tried == ["from_5", "to6"]


def test_a_rule_may_name_several_recipients() -> None:
    """One message may leave by two accounts: mail within the company by one, all else by the other."""
    inside = RouteRule(to=("@corp.example", "boss@example.org"), route=Route(account="hve"))
    router = Router((inside, RouteRule(to=("*.example",), route=Route(account="wild"))), "mailbox")
    found = {
        address: router.choose(APP, "app@example.org", address).account
        for address in ("a@corp.example", "Boss@example.org", "b@example.org", "c@other.example")
    }
    assert list(found.values()) == ["hve", "hve", "mailbox", "wild"]
