"""What somebody meant who wrote a name that is none: other words for the same come first, then slips."""

from __future__ import annotations

from collections.abc import Iterable

# What it is called here, and what other programs and people call it.
MEANINGS: dict[str, str] = {
    "google": "gmail googlemail workspace google-workspace google-mail gsuite g-suite",
    "microsoft": "o365 office365 office-365 m365 microsoft365 microsoft-365 office entra azure "
    "exchange microsoft-exchange exchange-online exo",
    "outlook": "hotmail live msn outlook.com",
    "microsoft-hve": "hve high-volume-email",
    "smtp": "generic other custom",
    "password": "ropc resource-owner user-password",
    "client-credentials": "app-only",
    "authorization-code": "code auth-code pkce browser interactive",
    "device-code": "device device-flow",
    "jwt-bearer": "service-account domain-wide-delegation",
    "managed-identity": "msi system-assigned",
    "hashicorp-vault": "vault",
    "aws-secrets-manager": "aws secretsmanager",
    "azure-key-vault": "azure keyvault",
    "gcp-secret-manager": "gcp secretmanager",
    "env": "environment",
    "implicit": "ssl smtps tls ssl/tls 465",
    "starttls": "587",
    "cancel": "delete rm remove del purge discard drop bounce kill clear empty expunge -d",
    "retry": "flush requeue resend kick deliver run send now start force try -f -q",
    "list": "ls dir all find search grep filter mailq -p",
    "hold": "freeze suspend pause park stop disable -h",
    "release": "unhold thaw unfreeze resume unsuspend unpause continue enable start",
    "pause": "disable suspend hold stop freeze lock",
    "resume": "enable unpause continue unsuspend release start unlock unblock",
    "show": "info view cat print inspect details get postcat describe",
    "stats": "count counts statistics summary status qshape size",
    "export": "dump backup save",
    "import": "restore load convert migrate",
    "check": "test doctor diagnose diagnostics verify explain debug troubleshoot ping serverinfo",
    "serve": "run daemon relay start server up",
    "login": "signin sign-in authorize auth authenticate consent",
    "queue": "mailq spool messages postqueue postsuper",
    "queue retry": "flush requeue retry",
    "queue cancel": "cancel delete rm purge",
    "queue hold": "hold freeze",
    "queue release": "release unhold",
    "queue show": "postcat",
    "queue export": "export dump",
    "accounts": "account mailboxes mailbox",
    "accounts pause": "pause suspend disable",
    "accounts resume": "resume unpause unsuspend",
    "config": "configuration settings postconf",
    "config get": "get",
    "config set": "set edit",
    "config unset": "unset",
    "config validate": "validate check-config checkconfig configtest lint",
    "validate": "check test verify lint configtest checkconfig",
    "unset": "delete remove rm del reset clear",
    "set": "add put change edit update write",
    "get": "read value",
    "schema": "json-schema keys options defaults example template",
    "init": "setup configure add-account new add create config-init wizard",
    "reload": "reconfigure restart hup refresh",
    "stop": "kill shutdown quit restart down exit",
    "status": "health healthcheck state ps info is-active uptime",
    "top": "watch monitor live dashboard",
    "providers": "provider presets preset hosts",
    "send": "mail mailx compose submit deliver message msmtp swaks mutt",
    "sendmail": "exim",
    "token": "access-token passwordeval",
    "secret": "secrets password vault",
    "secret seal": "seal encrypt",
    "secret rotate-key": "rotate-key",
    "secret hash-password": "hash hash-password passwd mkpasswd",
    "seal": "encrypt add store create new save put set",
    "rotate-key": "rotate",
    "hash-password": "hash passwd password mkpasswd htpasswd",
    "sandbox": "mock fake testserver test-server mailpit mailhog",
    "demo": "try tutorial example hello",
    "--help": "help usage man -? /? --usage",
    "--version": "version -V --ver about",
    "text": "body content plain",
    "sender": "from from-",
    "attach": "attachments attachment files",
    "to": "recipients recipient rcpt",
    "--text": "--body --message --content -m",
    "--to": "--recipient --rcpt -t",
    "--cc": "-c",
    "--bcc": "-b",
    "--attach": "--attachment --file -A",
    "--html": "--html-body",
    "--header": "--headers -H --add-header",
    "--raw": "--eml --mime",
    "--config": "--conf --config-file -C --file",
    "--limit": "--count --max --lines -n",
    "--debug": "--traceback --trace",
    "--address": "--from --to --sender --recipient --mail --user",
    "--newer-than": "--since --after --last",
    "--older-than": "--before --until",
    "--state": "--status",
    "--yes": "-y --force --assume-yes --no-confirm",
    "--all": "-a --everything",
    "--json": "-j --format --output -o",
    "username": "user login user-name",
    "servers": "host hostname server smarthost",
    "tenant": "tenant-id directory-id tenantid",
    "client-secret": "secret app-secret",
    "client-id": "application-id app-id",
    "address": "from mail email mailbox",
    "token-url": "token-endpoint token-uri",
}
SYNONYMS: dict[str, list[str]] = {}
for _name, _words in MEANINGS.items():
    for _word in _words.split():
        SYNONYMS.setdefault(_word.lower(), []).append(_name)
_NEGATIONS = ("un", "no-", "dis", "de")  # what turns a word into its opposite
_PER_SLIP = 4  # letters: a word of so many may have one that is wrong
_SHORTEST = 3
_MOST = 3  # names to suggest


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names what was probably meant, else everything there is."""
    known = list(known)
    if near := meant(word, known):
        return f"Did you mean {' or '.join(near)}?"
    return f"Known are: {', '.join(known)}." if known else ""


def meant(word: str, known: Iterable[str]) -> list[str]:
    """Those of the `known` names that `word` may stand for: another word for one, a slip, or its beginning.

    Of several that are equally near all are named, and of a word's opposite none.
    """
    word, known = _plain(word), list(known)
    if same := [name for name in SYNONYMS.get(word, ()) if name.partition(" ")[0] in known]:
        return same
    begun = [name for name in known if len(word) >= _SHORTEST and _plain(name).startswith(word)]
    found: dict[int, list[str]] = {}
    for name in known:
        slips = _slips(word.lstrip("-"), _plain(name).lstrip("-"))
        if slips is not None:
            found.setdefault(slips, []).append(name)
    if found:
        return found[min(found)]
    return begun if len(begun) <= _MOST else []


def _plain(word: str) -> str:
    return word[:80].strip().lower().replace("_", "-").replace(" ", "-")


def _slips(word: str, name: str) -> int | None:
    """How many slips make `word` of `name`, if they are few for its length."""
    most = max(1, min(len(word), len(name)) // _PER_SLIP)
    if min(len(word), len(name)) < _SHORTEST or abs(len(word) - len(name)) > most:
        return None
    if any(word == each + name or name == each + word for each in _NEGATIONS):
        return None
    slips = _distance(word, name)
    return slips if slips <= most else None


def _distance(one: str, other: str) -> int:
    """Letters changed, left out or put in, and neighbours swapped (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, against in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != against))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == against:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, last = last, line
    return last[-1]
