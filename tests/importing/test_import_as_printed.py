"""Examples as pages print them, and files as people have them: what was meant is what becomes of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Home
from importing.test_import_emailproxy import SERVERS
from postbearer.errors import ConfigError
from support.importing import (
    accounts,
    dsconfig,
    emailproxy,
    msmtp,
    noted,
    portal,
    saslxoauth2,
    smtp2graph,
    told,
)
from support.importing import relay as relay_of


def put(home: Home, name: str, text: str) -> None:
    (home.folder / name).parent.mkdir(exist_ok=True)
    (home.folder / name).write_text(text)


EXAMPLE = """\
bin/dsconfig create-http-authorization-method \\
  --method-name "OAuth Bearer Token" \\
  --type client-credentials-bearer-token \\
  --set enabled:true \\
  --set oauth-server-token-endpoint-url:https://login.example.org/token \\
  --set oauth-client-id:directory \\
  --set "oauth-client-secret-passphrase-provider:Client Secret"
bin/dsconfig create-external-server \\
  --server-name "Mail" \\
  --type smtp \\
  --set server-host-name:mail.example.org \\
  --set server-port:587 \\
  --set smtp-security:starttls \\
  --set user-name:alerts@example.org \\
  --set "token-acquisition-method:OAuth Bearer Token"
"""
AS_PRINTED = {
    "as it is typed": EXAMPLE,
    "without line ends": EXAMPLE.replace("\\\n  ", "\\ ").replace('Secret"\nbin', 'Secret" bin'),
    "all on one line": EXAMPLE.replace("\\\n ", "").replace("\n", " "),
    "with prompts": EXAMPLE.replace("bin/dsconfig", "$ bin/dsconfig").replace("\n  --", "\n> --"),
    "with prompts, on one line": EXAMPLE.replace("bin/dsconfig", "$ bin/dsconfig").replace("\n", " "),
    "with blanks behind the backslashes": EXAMPLE.replace("\\\n", "\\ \t\n"),
    "with curly quotes": EXAMPLE.replace(' "', " “").replace('"', "”"),
    "with dashes": EXAMPLE.replace("--", "–"),
    "with the line ends of Windows": EXAMPLE.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("printed", AS_PRINTED)
def test_an_example_means_the_same_however_a_page_prints_it(printed: str) -> None:
    text = AS_PRINTED[printed]
    (account,) = accounts(dsconfig(text)).values()
    assert account == {
        "provider": "smtp",
        "address": "alerts@example.org",
        "servers": ["mail.example.org:587"],
        "tls": "starttls",
        "grant": "client-credentials",
        "token-url": "https://login.example.org/token",
        "client-id": "directory",
        "client-secret": account["client-secret"],
    }


METHOD = EXAMPLE[: EXAMPLE.index("bin/dsconfig create-external")]


def test_a_method_alone_says_what_is_missing() -> None:
    with pytest.raises(ConfigError) as missing:
        dsconfig(METHOD)
    said = " ".join(str(each) for each in missing.value.problems)
    assert "OAuth Bearer Token is there, and no mail server that uses it" in said
    assert "create-external-server --type smtp, with server-host-name, server-port" in said
    assert "--server HOST:PORT --address MAILBOX" in said


def test_a_method_alone_takes_a_server_that_is_given() -> None:
    made = dsconfig(METHOD, server="mail.example.org:465", address="alerts@example.org")
    (account,) = accounts(made).values()
    assert (account["servers"], account["tls"]) == (["mail.example.org:465"], "implicit")
    assert (account["address"], account["client-id"]) == ("alerts@example.org", "directory")


def test_what_a_template_left_open_is_told_with_its_line() -> None:
    made = dsconfig(EXAMPLE.replace("client-id:directory", "client-id:${CLIENT_ID}"))
    assert [each for each in told(made) if each.startswith("6: client-id") and "${CLIENT_ID}" in each]


ATTESTED = """\
SMTP.OAUTH GRANT TYPE=password
SMTP_AUTH_USERNAME=alerts@example.org
USE_NO_REPLY_EMAIL_ID_AS_SENDER_FOR_ALL_EMAILS=true
"""


def test_the_names_alone_have_the_provider_that_is_the_only_one() -> None:
    made = portal(ATTESTED, given={"client-id": "app"})
    account = accounts(made)["portal"]
    assert (account["provider"], account["client-id"]) == ("microsoft", "app")
    assert "the only one the portal knows" in noted(made)


def test_what_is_missing_can_be_given() -> None:
    with pytest.raises(ConfigError, match=r"client-id: is missing.*--set client-id="):
        portal(ATTESTED)
    made = portal(
        "",
        given={"grant": "password", "username": "me@example.org", "client-id": "a", "tenant": "example.org"},
    )
    assert accounts(made)["portal"]["address"] == "me@example.org"


def test_what_is_given_goes_before_the_file() -> None:
    made = portal(ATTESTED + "SMTP_OAUTH_CLIENT_ID=old\n", given={"client-id": "new", "password": "env:PW"})
    account = accounts(made)["portal"]
    assert (account["client-id"], account["password"]) == ("new", "env:PW")


def test_any_importer_takes_keys(home: Home) -> None:
    put(home, "rc", "host mail.example.org\nfrom a@example.org\nauth oauthbearer\ntls on\n")
    put(
        home,
        "b",
        "account a\nhost h.example.org\nfrom a@example.org\naccount b : a\nfrom b@example.org\n",
    )
    done = home.run("import", "msmtp", "rc", "--set", "grant=command", "--set", "command=printer")
    assert 'command   = "printer"' in done.out, done.err
    done = home.run("import", "msmtp", "b", "--set", "b.timeout=7 s", "--set", "tls=implicit")
    assert done.out.count("timeout") == 1
    assert done.out.count('"implicit"') == 2
    for wrong, word in (("timeout", "is not KEY=VALUE"), ("tmeout=3 s", "tmeout"), ("tls=sometimes", "tls")):
        done = home.run("import", "msmtp", "b", "--set", wrong)
        assert (done.code in (64, 78), word in done.err) == (True, True), done.err


# msmtp: what the program itself makes of such a file is the right value -------------------------------

FILES = {
    "no account line": "host mail.example.org\nport 587\nfrom a@example.org\ntls on\n",
    "defaults twice": "defaults\nport 465\ntls on\ntls_starttls off\ndefaults\nlogfile x\n"
    "account a\nhost mail.example.org\nfrom a@example.org\naccount default : a\n",
    "a default of two": "account A\nhost a.example.org\nport 11\nuser a@example.org\ntls on\n"
    "account B\nhost b.example.org\nfrom b@example.org\ntls on\naccount default : A, B\n",
    "words of old": "account default\nhost h.example.org\ntls on\ntls_nostarttls\nconnect_timeout 5\n"
    "keepbcc\nfrom a@example.org\n",
    "a comment in Latin-1": "# f\udcfcr\naccount default\nhost m.example.org\nfrom a@example.org\ntls on\n",
}


@pytest.mark.servers
@pytest.mark.parametrize("name", FILES)
def test_an_msmtprc_means_what_it_means_to_msmtp(name: str, tmp_path: Path) -> None:
    content = FILES[name].encode(errors="surrogateescape")
    file = tmp_path / "msmtprc"
    file.write_bytes(content)
    file.chmod(0o600)
    done = subprocess.run(["msmtp", "-C", str(file), "-P"], capture_output=True, text=True, check=True)
    theirs = dict(line.split(" = ", 1) for line in done.stdout.splitlines() if " = " in line)
    made = msmtp(content)
    account = accounts(made)[relay_of(made)["account"]]
    tls = "implicit" if theirs["tls_starttls"] == "off" else "starttls"
    assert (account["servers"], account["tls"], account["address"]) == (
        [f"{theirs['host']}:{theirs['port']}"],
        tls,
        theirs["from"],
    )
    timeout = theirs["timeout"].replace(" seconds", " s")
    assert account.get("timeout", "off") == timeout


def test_a_line_in_latin_1_that_is_no_comment_is_refused_at_its_place() -> None:
    with pytest.raises(ConfigError, match=r":2: .*not UTF-8"):
        msmtp(b"account default\nfrom J\xfcrgen@example.org\n")


@pytest.mark.parametrize("auth", ["scram-sha-256", "cram-md5"])
def test_a_login_that_hides_the_password_is_told(auth: str) -> None:
    made = msmtp(f"host mail.example.org\ntls on\nfrom a@example.org\nauth {auth}\nuser a\npassword x\n")
    assert "here the server sees the password" in noted(made)


def test_a_pattern_as_the_sender_asks_for_the_address() -> None:
    with pytest.raises(ConfigError) as error:
        msmtp("host mail.example.org\ntls on\nfrom %U@example.org\n")
    assert "--address ADDRESS" in str(error.value) or "--set address=" in str(error.value)
    made = msmtp("host mail.example.org\ntls on\nfrom %U@example.org\n", address="a@example.org")
    assert accounts(made)["default"]["address"] == "a@example.org"


# The others -------------------------------------------------------------------------------------------

DOMAIN = """
[@example.org]
token_url = https://login.microsoftonline.com/example.org/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/.default
oauth2_flow = client_credentials
client_id = app
client_secret = canary-secret

[alerts@example.org]
token_salt = abc
access_token = canary-locked
"""


def test_a_mailbox_has_what_its_domain_says() -> None:
    made = emailproxy(SERVERS + DOMAIN)
    (account,) = accounts(made).values()
    assert (account["address"], account["client-id"]) == ("alerts@example.org", "app")
    assert account["grant"] == "client-credentials"
    assert [each for each in told(made) if "@example.org" in each] == []


def test_relative_paths_are_those_of_the_file(home: Home) -> None:
    text = DOMAIN.replace(
        "client_secret = canary-secret", "jwt_certificate_path = cert.pem\njwt_key_path = key.pem"
    )
    put(home, "old/emailproxy.config", SERVERS + text)
    done = home.run("import", "emailproxy", "old/emailproxy.config")
    assert f'"file:{home.folder}/old/cert.pem"' in done.out, done.err
    assert "cert.pem is taken as" in done.err


LENIENT = """{
  // of the application
  "client_id": "app", /* and
     its secret */ "client_secret": "a//b,}",
  "token_endpoint": "https://login.example.org/token",
}
"""


def test_json_as_jsoncpp_reads_it() -> None:
    (account,) = accounts(saslxoauth2(LENIENT, "[mail.example.org]:587 me@example.org:/nowhere\n")).values()
    assert account["token-url"] == "https://login.example.org/token"
    assert account["client-id"] == "app"
    with pytest.raises(ConfigError, match=r":5: This is not JSON"):
        saslxoauth2(LENIENT.replace('"https', "https"), address="me@example.org")


def graph(**receive: Any) -> str:
    lines = "".join(f"  {key}: {value}\n" for key, value in receive.items())
    return (
        "mode: full\nsend:\n  appReg:\n    tenant: contoso\n    id: app\n    secret: s\n"
        f"  forceMailbox: alerts@example.org\nreceive:\n  port: 2525\n{lines}"
    )


def test_a_network_is_taken_as_the_whole_it_is_in() -> None:
    made = smtp2graph(graph(ipWhitelist="[172.20.2.1/24, 10.0.0.7, fe80::/10, printer.example.org]"))
    (client,) = relay_of(made)["clients"]
    assert client["networks"] == ["172.20.2.0/24", "10.0.0.7", "fe80::/10"]
    assert "172.20.2.1/24 is taken as the network 172.20.2.0/24" in noted(made)
    assert [each for each in told(made) if each.startswith("10: 'printer.example.org'")]


def test_what_is_imported_is_what_serve_takes(home: Home) -> None:
    put(home, "config.yml", graph(ipWhitelist="[fe80::/10, 127.0.0.1]"))
    assert home.run("import", "smtp2graph", "config.yml", "-o", "postbearer.toml").code == 0
    assert home.run("--config", "postbearer.toml", "config", "validate").code == 0


def test_what_serve_would_refuse_is_refused_at_its_line(home: Home) -> None:
    put(home, "config.yml", graph(ipWhitelist="[0.0.0.0/0]"))
    done = home.run("import", "smtp2graph", "config.yml", "-o", "postbearer.toml")
    assert done.code == 78
    assert "config.yml:8" in done.err
    assert "open relay" in done.err
    assert not (home.folder / "postbearer.toml").exists()
