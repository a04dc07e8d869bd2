"""`postbearer login`: a person signs in, and the account sends from then on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit

import pytest

from cli.conftest import Home, Ran
from postbearer.testing import Faults, Sandbox, TokenFault
from support.browser import Browser, Page
from support.planted import assert_none_shows, everything_below

ME, OTHER = "alerts@example.org", "other@example.org"


def configure(home: Home, sandbox: Sandbox, grant: str = "authorization-code", **keys: str) -> None:
    """An account at the sandbox for which a person signs in."""
    described = sandbox.describe()
    urls = {"authorize-url": described["authorize_url"], "device-url": described["device_url"]}
    # The first line is the table's.
    first, rest = sandbox.configuration().split("\n", 1)
    kept = re.sub(r"^(grant|scopes|refresh-token|client-secret) .*\n", "", rest, flags=re.M)
    scopes = json.dumps([sandbox.personality.scopes[0], "offline_access", "openid"])
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"grant": grant, **urls, **keys}.items()]
    home.write("\n".join([first, *lines, f"scopes = {scopes}", kept]))
    home.environ |= {"POSTBEARER_CONFIG": str(home.config)}


@pytest.fixture
def account(home: Home, postbearer_sandbox: Sandbox) -> Home:
    configure(home, postbearer_sandbox)
    return home


class Login:
    """`postbearer login` while it waits for a person."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.shown = ""

    def read_until(self, pattern: str) -> str:
        """What it shows, up to the line that holds `pattern`; the match is returned."""
        assert self.process.stderr is not None
        while (found := re.search(pattern, self.shown)) is None:
            line = self.process.stderr.readline()
            assert line, f"ended before {pattern}: {self.shown}"
            self.shown += line
        return found[0]

    def url(self) -> str:
        return self.read_until(r"http://\S+authorize\?\S+")

    def end(self, stdin: str | None = None) -> Ran:
        out, err = self.process.communicate(stdin, timeout=60)
        return Ran(self.process.returncode, out, self.shown + err)


@contextmanager
def login(home: Home, *arguments: str) -> Iterator[Login]:
    with subprocess.Popen(
        [sys.executable, "-m", "postbearer", "login", "sandbox", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home.folder,
        env=home.environ,
    ) as process:
        try:
            yield Login(process)
        finally:
            process.kill()


def approve(url: str, user: str = ME) -> Page:
    browser = Browser()
    browser.open(url)
    return browser.submit(user=user)


def decline(url: str) -> Page:
    browser = Browser()
    browser.open(url)
    return browser.submit(user=ME, decline="1")


def comes_back_to(url: str) -> str:
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


def sends(home: Home) -> Ran:
    return home.run("send", "--account", "sandbox", "--to", "you@example.org", "--text", "Hello")


def signed_in(home: Home) -> bool:
    return home.run("token", "sandbox").code == 0


def test_once_signed_in_in_a_browser_the_account_sends(account: Home, postbearer_sandbox: Sandbox) -> None:
    before = account.run("token", "sandbox")
    assert before.code == 77
    assert "postbearer login sandbox" in before.err
    with login(account) as one:
        page = approve(one.url())
        ran = one.end()
    assert (page.status, ran.code) == (200, 0), ran.err
    assert "You may close this window." in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "postbearer check sandbox" in ran.out
    assert f"sign in as {ME}" in ran.err
    sent = sends(account)
    assert sent.code == 0, sent.err
    assert postbearer_sandbox.inbox.messages[-1].username == ME


def test_every_step_of_a_browser_is_told_with_v(account: Home, postbearer_sandbox: Sandbox) -> None:
    with login(account, "-v") as one:
        uri = re.escape(comes_back_to(url := one.url()))
        approve(url)
        ran = one.end()
    steps = (
        f"listening for the browser at {uri}\n",
        f"a code came; asking {postbearer_sandbox.token_url} for the tokens\n",
        r"token fetched by authorization-code, good for \d+ s\n",
        f"kept, sealed, in {account.environ['POSTBEARER_STATE']}/tokens/sandbox\n",
    )
    assert re.search("(.*\n)*".join(steps), ran.err), ran.err


def test_a_browser_that_is_there_opens_by_itself(account: Home) -> None:
    script = account.folder / "browser"
    code = (
        "import sys; from cli.test_login import approve; "
        "print('seen', 'close this window' in approve(sys.argv[1]).text, file=open('seen', 'w'))"
    )
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    script.chmod(0o700)
    tests = Path(__file__).parents[1]
    paths = [*filter(None, [account.environ.get("PYTHONPATH")]), str(tests)]
    account.environ |= {"BROWSER": f"{script} %s", "PYTHONPATH": os.pathsep.join(paths)}
    ran = account.run("login", "sandbox", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == {"account": "sandbox", "signed_in": True}
    assert (account.folder / "seen").read_text() == "seen True\n"


def test_the_port_can_be_chosen_for_forwarding(account: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with login(account, "--port", str(port)) as one:
        url = one.url()
        assert comes_back_to(url) == f"http://127.0.0.1:{port}"
        assert f"ssh -L {port}:127.0.0.1:{port}" in one.read_until("ssh.*")
        approve(url)
        assert one.end().code == 0


def test_a_port_that_is_taken_is_named(account: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = account.run("login", "sandbox", "--port", str(port))
    assert ran.code == 64
    assert f"Port {port} of 127.0.0.1 is taken." in ran.err
    assert "--port" in ran.err


def test_the_registered_redirect_is_used_as_it_is(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, **{"redirect-uri": "http://localhost/back?from=here"})
    with login(home) as one:
        url = one.url()
        assert re.fullmatch(r"http://localhost:\d+/back\?from=here", comes_back_to(url))
        assert Browser().open(comes_back_to(url).replace("/back", "/elsewhere")).status == 404
        assert approve(url).status == 200
        assert one.end().code == 0


def test_without_a_browser_the_address_is_pasted(account: Home) -> None:
    with login(account, "--paste", "--port", "9") as one:
        browser = Browser()
        browser.open(one.url())
        with pytest.raises(URLError):  # nobody listens there, but the address bar shows what is wanted
            browser.submit(user=ME)
        assert browser.address.startswith("http://127.0.0.1:9/?code=")
        ran = one.end(browser.address + "\n")
    assert ran.code == 0, ran.err
    assert sends(account).code == 0


def test_a_redirect_that_leads_elsewhere_is_always_pasted(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, **{"redirect-uri": "https://127.0.0.1:9/done"})
    with login(home) as one:
        browser = Browser()
        browser.open(one.url())
        with pytest.raises(URLError):
            browser.submit(user=ME)
        code = parse_qs(urlsplit(browser.address).query)["code"][0]
        assert one.end(code).code == 0  # the code alone does as well
    ran = home.run("login", "sandbox", "--port", "9")
    assert ran.code == 64
    assert "Leave --port out." in ran.err


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("http://127.0.0.1/?code=abc&state=another", 77, "another state"),
        ("http://127.0.0.1/?code=abc", 77, "no state"),
        ("https://login.example.org/somewhere", 77, "holds no code"),
        ("https://login.example.org/authorize?client_id=x&state=y", 77, "Sign in at the address shown"),
        ("not-a-good-code", 77, "AADSTS54005"),
        ("not-a-good-code", 77, "Begin again, and be quick"),
        ("", 64, "Nothing was pasted"),
    ],
)
def test_what_was_pasted_wrongly_is_named(account: Home, text: str, code: int, words: str) -> None:
    ran = account.run("login", "sandbox", "--paste", stdin=text + "\n")
    assert ran.code == code
    assert words in ran.err
    assert "→" in ran.err
    assert not signed_in(account)


def test_a_redirect_of_another_sign_in_is_refused_and_the_right_one_awaited(account: Home) -> None:
    with login(account) as one:
        url = one.url()
        for wrong in ("?code=abc&state=another", "?code=abc", "?error=access_denied", "?code=a&code=b"):
            page = Browser().open(comes_back_to(url) + "/" + wrong)
            assert (page.status, "another" in page.text, "earlier sign-in" in page.text) == (400, False, True)
        assert "another state than this sign-in" in one.read_until("warning.*")
        assert approve(url).status == 200
        ran = one.end()
    assert ran.code == 0
    assert ran.err.count("warning:") == 1  # a page that asks again and again fills no terminal


def test_a_consent_that_is_declined_ends_it(account: Home) -> None:
    with login(account) as one:
        page = decline(one.url())
        ran = one.end()
    assert "declined" in page.text
    assert ran.code == 77
    assert "The person declined" in ran.err
    assert "agree to what the page asks" in ran.err
    assert not signed_in(account)


def test_a_login_for_another_user_is_not_kept(account: Home) -> None:
    with login(account) as one:
        approve(one.url())
        assert one.end().code == 0
    with login(account, "-v") as one:
        page = approve(one.url(), OTHER)
        ran = one.end()
    assert page.status == 400
    assert "Another user has signed in" in page.text
    assert ran.code == 77
    assert f"{OTHER} has signed in, and not {ME}." in ran.err
    assert f'token-user = "{OTHER}"' in ran.err
    assert sends(account).code == 0  # the sign-in before is still there


def test_whom_token_user_names_may_sign_in(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, **{"token-user": OTHER.upper()})
    with login(home) as one:
        assert f"sign in as {OTHER.upper()}" in one.read_until("sign in as.*")
        approve(one.url(), OTHER)
        assert one.end().code == 0


def test_when_token_user_changes_somebody_has_to_sign_in_again(
    home: Home, postbearer_sandbox: Sandbox
) -> None:
    configure(home, postbearer_sandbox, **{"token-user": OTHER})
    with login(home) as one:
        approve(one.url(), OTHER)
        assert one.end().code == 0
    assert signed_in(home)
    configure(home, postbearer_sandbox)
    assert not signed_in(home)
    configure(home, postbearer_sandbox, **{"token-user": OTHER})
    assert signed_in(home)  # it is kept for whoever takes the change back


def test_check_names_the_command_when_the_consent_is_gone(account: Home, postbearer_sandbox: Sandbox) -> None:
    with login(account) as one:
        approve(one.url())
        assert one.end().code == 0
    postbearer_sandbox.set_faults(Faults(revoked=True))
    checked = account.run("check", "sandbox")
    assert checked.code == 77
    assert re.search(r"✗ token .*\n(.*\n)*.*→ mailbox user: .*Run: postbearer login sandbox", checked.out)


def test_a_box_left_empty_is_told_and_nothing_is_kept(account: Home, postbearer_sandbox: Sandbox) -> None:
    postbearer_sandbox.set_faults(Faults(without_scope=True))
    with login(account) as one:
        page = approve(one.url())
        ran = one.end()
    assert page.status == 400
    assert ran.code == 77
    assert f"without the scope {postbearer_sandbox.personality.scopes[0]}" in ran.err
    assert "tick the box for mail" in ran.err
    assert not signed_in(account)


def test_a_paste_that_does_not_come_is_a_timeout(account: Home) -> None:
    with login(account, "--paste", "--timeout", "200 ms") as one:
        one.url()
        assert one.process.wait(60) == 77  # its standard input is open all the while
        ran = one.end()
    assert "Nothing was pasted within 0.2 s." in ran.err
    assert "--timeout" in ran.err


def test_nobody_who_comes_back_is_a_timeout(account: Home) -> None:
    ran = account.run("login", "sandbox", "--timeout", "200 ms")
    assert ran.code == 77
    assert "Nobody came back from the browser within 0.2 s." in ran.err
    assert "--paste" in ran.err


@pytest.mark.parametrize("way", [(), ("--paste",)])
def test_ctrl_c_ends_it_at_once(account: Home, way: tuple[str, ...]) -> None:
    with login(account, *way) as one:
        one.url()
        one.process.send_signal(signal.SIGINT)
        ran = one.end()
    assert ran.code == 130
    assert "Traceback" not in ran.err


def test_of_two_logins_at_once_the_second_is_told(account: Home) -> None:
    with login(account) as first:
        url = first.url()
        second = account.run("login", "sandbox")
        assert second.code == 75
        assert "Somebody is signing in for sandbox already." in second.err
        approve(url)
        assert first.end().code == 0
    with login(account) as third:
        approve(third.url())
        assert third.end().code == 0


def test_a_token_endpoint_that_is_down_loses_nothing(account: Home, postbearer_sandbox: Sandbox) -> None:
    postbearer_sandbox.set_faults(Faults(token=[TokenFault(kind="down", times=1)]))
    with login(account) as one:
        page = approve(one.url())
        ran = one.end()
    assert "It did not work." in page.text
    assert ran.code == 75
    assert "503" in ran.err


def test_no_output_shows_a_secret(account: Home, postbearer_sandbox: Sandbox) -> None:
    account.environ["PYTHONDEVMODE"] = "1"
    for act in (approve, decline):
        with login(account, "-v") as one:
            page = act(one.url())
            ran = one.end()
        code = parse_qs(urlsplit(page.url).query).get("code", ["no code"])[0]
        assert code not in ran.out + ran.err + page.text
        assert_none_shows(postbearer_sandbox, ran.out, ran.err, *everything_below(account.folder))


@pytest.mark.parametrize("grant", ["device-code", "authorization-code"])
def test_a_code_is_typed_elsewhere(home: Home, postbearer_sandbox: Sandbox, grant: str) -> None:
    configure(home, postbearer_sandbox, grant)
    how = ["--device"] if grant == "authorization-code" else []
    with login(home, *how, "--timeout", "3m", "-v") as one:
        code = one.read_until("Open .*").split()[-1]
        assert f"asking {postbearer_sandbox.url}/device" in one.shown
        assert f"{postbearer_sandbox.url}/device" in one.shown
        one.read_until("Waiting for you, 3 min at most.")
        postbearer_sandbox.authorization.approve(code, ME)
        ran = one.end()
    assert ran.code == 0, ran.err
    assert f"token fetched by {grant}, good for" in ran.err
    assert sends(home).code == 0


@pytest.mark.parametrize("grant", ["device-code", "authorization-code"])
def test_the_issuer_names_the_pages(home: Home, postbearer_sandbox: Sandbox, grant: str) -> None:
    configure(home, postbearer_sandbox, grant, issuer=postbearer_sandbox.url)
    home.write(re.sub(r"^(token|authorize|device)-url.*\n", "", home.config.read_text(), flags=re.M))
    with login(home) as one:
        if grant == "device-code":
            code = one.read_until("Open .*").split()[-1]
            postbearer_sandbox.authorization.approve(code, ME)
        else:
            approve(one.url())
        ran = one.end()
    assert ran.code == 0, ran.err
    assert sends(home).code == 0


def test_a_code_that_nobody_types_is_a_timeout(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, "device-code")
    ran = home.run("login", "sandbox", "--timeout", "0.2")
    assert ran.code == 77
    assert "Nobody typed the code within 0.2 s." in ran.err


def test_check_says_once_that_somebody_has_to_sign_in(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, "authorization-code")
    ran = home.run("check", "sandbox")
    assert "Nobody has signed in for sandbox yet." in ran.out
    assert ran.out.count("Run: postbearer login sandbox") == 1


def test_a_way_that_the_account_does_not_have_is_named(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, "device-code")
    for option in (["--paste"], ["--port", "8400"]):
        ran = home.run("login", "sandbox", *option)
        assert (ran.code, f"Leave {option[0]} out." in ran.err) == (64, True)
    text = home.config.read_text()
    home.write(re.sub(r"^device-url.*\n", "", text, flags=re.M).replace("device-code", "authorization-code"))
    ran = home.run("login", "sandbox", "--device")
    assert ran.code == 78
    assert f"{home.config}:1: accounts.sandbox.device-url: No device" in ran.err


def test_a_redirect_that_no_browser_should_follow_is_named(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, **{"redirect-uri": "http://relay.example.org/"})
    ran = home.run("login", "sandbox")
    assert ran.code == 78
    assert "accounts.sandbox.redirect-uri: cannot be used." in ran.err
    assert "would bring the code to relay.example.org in the clear" in ran.err


def test_nobody_signs_in_for_nothing_where_the_key_is_lost(account: Home) -> None:
    with login(account) as one:
        approve(one.url())
        assert one.end().code == 0
    key = Path(account.environ["POSTBEARER_STATE"]) / "key"
    key.unlink()
    ran = account.run("login", "sandbox", "--paste", stdin="x\n")
    assert ran.code == 78
    assert "http" not in ran.err
    assert f"The key file {key} is missing." in ran.err


def test_a_damaged_sign_in_is_mended_by_the_command_that_is_named(account: Home) -> None:
    with login(account) as one:
        approve(one.url())
        assert one.end().code == 0
    (Path(account.environ["POSTBEARER_STATE"]) / "tokens" / "sandbox").write_text("damage")
    ran = account.run("token", "sandbox")
    assert ran.code == 77
    assert "sign in anew: postbearer login sandbox" in ran.err
    with login(account) as one:
        approve(one.url())
        assert one.end().code == 0
    assert account.run("token", "sandbox").code == 0


def test_an_account_that_nobody_signs_in_for_is_78(home: Home) -> None:
    ran = home.run("login", "alerts")
    assert ran.code == 78
    assert "its grant is client-credentials" in ran.err
