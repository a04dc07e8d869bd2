"""Who comes in, what each may do, and that no other site does anything in somebody's name."""

from __future__ import annotations

import re
import ssl
import time
from pathlib import Path

import httpx2
import pytest
import trustme

from console.conftest import CSRF, Person, code
from postbearer.console.codes import LIFETIME, MOST, OneTimeCodes
from postbearer.console.second_factor import STEP, make_key, provisioning_uri
from postbearer.console.sessions import IDLE, LONGEST, ConsoleSessions
from postbearer.control import Principal
from postbearer.events import LoginFailed, OperatorAction
from postbearer.store import Query
from postbearer.testing import ManualClock
from support.shown_relay import PASSWORD, ShownRelay, fill

ALICE = Principal("alice", "console login", frozenset())


async def test_nothing_is_shown_to_who_has_not_logged_in(person: Person) -> None:
    for path in ("/", "/queue", "/accounts", "/accounts/alerts", "/messages/x", "/messages/x/read"):
        answer = await person.get(path)
        assert (answer.status_code, answer.text) == (303, "")
        assert answer.headers["location"].startswith("/console/login")
    assert (await person.post("/accounts/alerts/act", {"act": "pause"})).status_code == 303
    assert not person.shown.running.dispatcher.account_states["alerts"].paused


async def test_a_code_opens_the_console_once(person: Person) -> None:
    good = code(person.shown)
    form = await person.page(f"/login?code={good}")
    assert f'value="{good}"' in form  # to look at the address does not use it up
    answer = await person.post("/login", {"one_time_code": good})
    assert answer.headers["location"] == "/console/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/console" in cookie
    assert "Secure" not in cookie  # there is no TLS on loopback
    assert "needs you" in await person.page("/") or "Before you rely" in await person.page("/")
    again = await person.post("/login", {"one_time_code": good})
    assert again.status_code == 401
    assert "This code is over" in again.text
    assert [event.by for event in person.shown.ears.events if isinstance(event, OperatorAction)] == [
        "console"
    ]
    assert [event.peer for event in person.shown.ears.events if isinstance(event, LoginFailed)] == [
        "127.0.0.1"
    ]


def test_codes_end_by_time_and_when_there_are_too_many() -> None:
    clock = ManualClock()
    codes = OneTimeCodes(clock)
    first, second = codes.make(), codes.make()
    clock.advance(LIFETIME + 1)
    assert not codes.use(first)
    assert not codes.use("")
    made = [codes.make() for _ in range(MOST + 1)]
    assert not codes.use(made[0])
    assert codes.use(made[1])
    assert not codes.use(second)


def test_sessions_end_when_nobody_comes_and_after_a_day_at_work() -> None:
    clock = ManualClock()
    sessions = ConsoleSessions(clock)
    idle, _ = sessions.begin(ALICE)
    busy, _ = sessions.begin(ALICE)
    for _ in range(int(LONGEST // (IDLE / 2))):
        clock.advance(IDLE / 2)
        assert sessions.find(busy) is not None
    assert sessions.find(idle) is None
    clock.advance(1)
    assert sessions.find(busy) is None
    ended, _ = sessions.begin(ALICE)
    sessions.end(ended)
    assert sessions.find(ended) is None
    assert sessions.find("") is None


async def test_to_log_out_ends_the_session_and_not_only_the_cookie(person: Person) -> None:
    await person.open()
    kept = dict(person.http.cookies)
    answer = await person.send("/logout", {})
    assert answer.headers["location"] == "/console/login"
    person.http.cookies.update(kept)
    assert (await person.get("/")).status_code == 303


async def test_what_is_asked_for_is_shown_after_the_login_and_no_other_site(person: Person) -> None:
    assert (await person.get("/queue")).headers["location"] == "/console/login?to=%2Fqueue"
    answer = await person.post("/login", {"one_time_code": code(person.shown), "to": "/queue"})
    assert answer.headers["location"] == "/console/queue"
    for to in ("//example.org", "https://example.org", "/\\example.org", "\\\\example.org", "/a\nb"):
        answer = await person.post("/login", {"one_time_code": code(person.shown), "to": to})
        assert answer.headers["location"] == "/console/", to


async def test_a_form_of_another_session_or_of_none_does_nothing(person: Person) -> None:
    await person.open()
    for csrf in ("", "x" * 32):
        answer = await person.post("/accounts/alerts/act", {"csrf": csrf, "act": "pause"})
        assert answer.status_code == 403
        assert "Nothing was done" in answer.text
    found = CSRF.search(await person.page("/"))
    assert found
    await person.open()  # another session
    answer = await person.post("/accounts/alerts/act", {"csrf": found[1], "act": "pause"})
    assert answer.status_code == 403
    assert not person.shown.running.dispatcher.account_states["alerts"].paused


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "https://example.org"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_another_site_does_nothing_even_with_cookie_and_token(
    person: Person, fields: dict[str, str]
) -> None:
    await person.open()
    found = CSRF.search(await person.page("/"))
    assert found
    form = {"csrf": found[1], "act": "pause"}
    answer = await person.post("/accounts/alerts/act", form, headers=fields)
    assert answer.status_code == 403
    assert not person.shown.running.dispatcher.account_states["alerts"].paused


async def test_another_site_may_lead_here_and_fetch_nothing(person: Person) -> None:
    await person.open()
    follow = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    seen = await person.get("/accounts", headers=follow)
    assert (seen.status_code, "/accounts/alerts" in seen.text) == (200, True)
    for fetched in (
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ):
        answer = await person.get("/accounts", headers=fetched)
        assert answer.status_code == 403
        assert "/accounts/alerts" not in answer.text


async def test_another_name_is_none_of_ours(person: Person) -> None:
    answer = await person.get("/login", headers={"host": "rebound.example.org"})
    assert answer.status_code == 421
    port = person.shown.url.split(":")[-1].partition("/")[0]
    assert (await person.get("/login", headers={"host": f"localhost:{port}"})).status_code == 200
    assert (await person.get("/login", headers={"host": "localhost:99999"})).status_code == 200


async def test_a_poll_of_who_is_logged_out_loads_the_page_anew(person: Person) -> None:
    answer = await person.get("/", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-refresh"], answer.text) == (401, "true", "")


async def test_each_role_does_what_it_may(person: Person) -> None:
    shown = person.shown
    shown.more = "".join(shown.login(name, name) for name in ("see", "operate", "admin"))
    await shown.reload()
    await fill(shown)
    [message, *_] = (await shown.running.spool.search(Query())).copy()
    can = {"see": (403, 403), "operate": (303, 403), "admin": (303, 200)}
    for name, (acts, reads) in can.items():
        assert (await person.log_in(name)).status_code == 303
        assert (await person.get("/queue")).status_code == 200
        done = await person.send("/accounts/alerts/act", {"act": "resume"})
        read = await person.get(f"/messages/{message.message.id}/read")
        assert (done.status_code, read.status_code) == (acts, reads), name
        buttons = await person.page("/accounts/alerts")
        assert ('name="act"' in buttons) is (acts == 303)
    reads_told = [e for e in shown.ears.events if isinstance(e, OperatorAction) and e.action == "read"]
    assert [(each.by, each.id) for each in reads_told] == [("admin", message.message.id)]


async def test_a_login_that_is_taken_away_or_changed_ends_its_session(person: Person) -> None:
    shown = person.shown
    shown.more = shown.login("alice", "operate")
    await shown.reload()
    await person.log_in("alice")
    await shown.reload()  # as it was
    assert (await person.get("/")).status_code == 200
    shown.more = shown.more.replace('"operate"', '"see"')
    await shown.reload()
    assert (await person.get("/")).status_code == 303
    await person.log_in("alice")
    shown.more = ""
    await shown.reload()
    assert (await person.get("/")).status_code == 303
    refused = await person.log_in("alice")
    assert refused.status_code == 401


async def test_wrong_passwords_are_few(person: Person) -> None:
    shown = person.shown
    shown.more = shown.login("alice", "see")
    await shown.reload()
    answers = [
        (await person.post("/login", {"name": "alice", "password": f"guess {number}"})).status_code
        for number in range(11)
    ]
    assert answers == [401] * 10 + [429]
    late = await person.log_in("alice")
    assert late.status_code == 429
    assert "Wait a minute" in late.text
    assert (await person.open()).status_code == 429  # from this address nothing more, for a minute
    assert "alice" not in [event.by for event in shown.ears.events if isinstance(event, OperatorAction)]


async def test_who_has_no_name_learns_nothing(person: Person) -> None:
    shown = person.shown
    shown.more = shown.login("alice", "see")
    await shown.reload()
    wrong = await person.post("/login", {"name": "alice", "password": "wrong"})
    nobody = await person.post("/login", {"name": "bob", "password": "wrong"})
    assert wrong.status_code == nobody.status_code
    challenge = re.compile(r'data-passkey="[^"]*"')  # made by chance for each page
    assert challenge.sub("", wrong.text) == challenge.sub("", nobody.text)
    assert PASSWORD not in wrong.text
    assert (await person.post("/login", {"name": "", "password": ""})).status_code == 422


async def test_a_second_factor_is_asked_for_where_one_is_set(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from postbearer.console.second_factor import _totp

    shown, key = person.shown, make_key()
    path = shown.home / "totp"
    path.touch(mode=0o600)
    path.write_text(key.reveal())
    shown.more = shown.login("alice", "operate", f'totp = "file:{path}"\n')
    await shown.reload()
    now = time.time()
    good = _totp(key).generate(int(now) // STEP * STEP).decode()
    assert (await person.log_in("alice")).status_code == 401
    assert (
        await person.log_in("alice", second_factor="000000" if good != "000000" else "1")
    ).status_code == 401
    assert (await person.log_in("alice", second_factor=f" {good[:3]} {good[3:]} ")).status_code == 303
    assert (await person.log_in("alice", second_factor=good)).status_code == 401  # seen over a shoulder
    path.write_text("not base32!")
    broken = await person.log_in("alice", second_factor=good)
    assert broken.status_code == 503
    assert "secret totp" in broken.text
    assert key.reveal() in provisioning_uri(key, "alice")


async def test_from_another_machine_a_code_is_no_good(home: object, person: Person) -> None:
    """Behind a proxy that is trusted, the browser's address counts."""
    shown = person.shown
    shown.more = 'trusted-proxies = ["127.0.0.1"]\n' + shown.login("alice", "see")
    await shown.reload()
    far = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    form = await person.get("/login", headers=far)
    assert "One-time code" not in form.text
    assert 'name="password"' in form.text
    refused = await person.post("/login", {"one_time_code": code(shown)}, headers=far)
    assert refused.status_code == 401
    assert "own machine only" in refused.text
    entered = await person.post("/login", {"name": "alice", "password": PASSWORD}, headers=far)
    assert entered.status_code == 303
    assert "Secure" in entered.headers["set-cookie"]


async def test_from_another_machine_a_code_is_good_where_the_configuration_says_so(person: Person) -> None:
    """As in a container, which sees its network's gateway in place of the browser."""
    shown = person.shown
    shown.more = 'trusted-proxies = ["127.0.0.1"]\none-time-codes = "anywhere"\n'
    await shown.reload()
    far = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    assert "One-time code" in (await person.get("/login", headers=far)).text
    assert (await person.post("/login", {"one_time_code": "guess"}, headers=far)).status_code == 401
    entered = await person.post("/login", {"one_time_code": code(shown)}, headers=far)
    assert entered.status_code == 303


async def test_by_tls_the_cookie_never_leaves_without_it(home: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        home / "both.pem"
    )
    shown = ShownRelay(home, more='certificate = "both.pem"\n')
    await shown.start()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with httpx2.AsyncClient(verify=context) as http:
        someone = Person(shown, http)
        assert shown.running.open_console().startswith("https://127.0.0.1:")
        assert "; Secure" in (await someone.open()).headers["set-cookie"]
        assert "Some" in await someone.page("/") or "Mail" in await someone.page("/")
    await shown.stop()


async def test_two_people_act_on_the_same_message(person: Person) -> None:
    shown = person.shown
    await fill(shown)
    await person.open()
    [message] = [each.message.id for each in await shown.running.spool.search(Query(account="billing"))]
    async with httpx2.AsyncClient(timeout=30) as http:
        other = Person(shown, http)
        await other.open()
        first = await person.send(f"/messages/{message}/act", {"act": "cancel", "confirmed": "1"})
        late = await other.send(f"/messages/{message}/act", {"act": "hold"})
        assert "message is cancelled" in await person.told(first)
        assert "Nothing was changed." in await other.told(late)


async def test_below_a_base_path_everything_leads_below_it(person: Person) -> None:
    shown = person.shown
    shown.more = 'base-path = "/mail"\n'
    await shown.reload()
    top = shown.running.addresses[-1]
    assert shown.running.open_console().startswith(f"{top}/mail/console/login?code=")
    answer = await person.http.post(f"{top}/mail/console/login", data={"one_time_code": code(shown)})
    assert answer.headers["location"] == "/mail/console/"
    assert "Path=/mail/console" in answer.headers["set-cookie"]
    page = (await person.http.get(f"{top}/mail/console/")).text
    assert 'href="/console' not in page
    assert (await person.http.get(f"{top}/mail/", headers={"accept": "text/html"})).headers[
        "location"
    ] == "/mail/console/"


async def test_forms_are_bounded_and_pages_answer_only_as_they_are_asked(person: Person) -> None:
    await person.open()
    large = await person.post("/queue/act", {"message": "x" * 300_000})
    assert large.status_code == 413
    many = await person.http.post(
        f"{person.shown.url}/queue/act",
        content="&".join(f"a={number}" for number in range(5000)),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert many.status_code == 400
    kind = await person.http.post(f"{person.shown.url}/queue/act", json={"act": "hold"})
    assert kind.status_code == 415
    assert (await person.http.put(f"{person.shown.url}/queue")).status_code == 405
    assert (await person.get("/nothing")).status_code == 404
    assert (await person.http.head(f"{person.shown.url}/queue")).status_code == 200


async def test_files_are_served_by_what_they_hold_and_not_by_path(person: Person) -> None:
    page = await person.page("/login")
    names = [part.partition('"')[0] for part in page.split("/console/static/")[1:]]
    assert names
    for name in names:
        answer = await person.get(f"/static/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    for name in ("console.css", "..%2f__init__.py", "console.0000000000000000.css"):
        assert (await person.get(f"/static/{name}")).status_code == 404


async def test_every_answer_says_what_may_run_and_that_nobody_keeps_it(person: Person) -> None:
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    await person.open()
    for path in ("/", "/login", "/queue", "/nothing"):
        answer = await person.get(path)
        assert answer.headers["content-security-policy"] == policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    refused = await person.get("/", headers={"host": "example.org"})
    assert refused.headers["content-security-policy"] == policy


async def test_the_api_goes_on_beside_it(shown: ShownRelay) -> None:
    async with httpx2.AsyncClient(base_url=shown.running.addresses[-1]) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/")).status_code == 404
        assert (await http.get("/", headers={"accept": "text/html"})).headers["location"] == "/console/"
        assert (await http.get("/consoles")).headers["content-type"] == "application/problem+json"
