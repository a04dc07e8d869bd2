"""SMTP2Graph's configuration: an application of Microsoft's, the mailboxes it sends as, who may submit."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from postbearer.http import is_loopback
from postbearer.importing.draft import ImportedConfiguration, decoded
from postbearer.importing.yamlfile import Item, read_yaml
from postbearer.secret import Secret

_SIZE = re.compile(r"(\d+)([kmKM])")
_DIRECTORY_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HINTS = {
    "send.retryLimit": "Deferred mail is tried for five days: [relay.retry] says how often and how long.",
    "send.retryInterval": "Deferred mail is tried for five days: [relay.retry] says how often and how long.",
    "receive.allowedRcpt": "allow-recipients in [relay] holds mail for all others.",
    "receive.banner": "There is nothing of the kind.",
    "receive.rateLimit": "Say by messages-per-minute what each of [[relay.clients]] may submit.",
    "receive.authLimit": "Logins that fail are slowed down anyway.",
    "httpProxy": "Set HTTPS_PROXY for token requests, and proxy for the account's mail server.",
}

Hash = Callable[[Secret], str]


def read_smtp2graph(
    content: bytes, draft: ImportedConfiguration, *, hash_password: Hash, address: str = ""
) -> None:
    """Add to `draft` the mailboxes of an SMTP2Graph ``config.yml``.

    `hash_password` makes what stands for the password of a client; `address` is the mailbox, where the file
    names none. Raises `ConfigError` if the file is none.
    """
    root = read_yaml(decoded(content, draft.file), draft.file)
    _Graph(root, draft, hash_password, address).run()


@dataclass(slots=True)
class _Graph:
    root: Item
    draft: ImportedConfiguration
    hash_password: Hash
    address: str

    def run(self) -> None:
        self.root.at("mode")
        application, receive = self.root.at("send", "appReg"), self.root.at("receive")
        if not application.there:
            raise self.draft.error(
                "The file has no send.appReg, so that nothing says who sends.",
                "Import the file of the instance that sends.",
            )
        mailboxes = self._mailboxes(receive)
        for mailbox in mailboxes:
            self._account(mailbox, application)
        relay: dict[str, Any] = {"account": self.draft.accounts[0].name}
        lines = {"clients": "users", "listen": "port", "listeners": "tlsCertPath", "size": "maxSize"}
        self.draft.relay_lines |= {
            ours: receive.table[theirs].line if theirs in receive.table else receive.line
            for ours, theirs in lines.items()
        }
        if size := _SIZE.fullmatch(receive.at("maxSize").text):
            relay["size"] = f"{size[1]} {'KiB' if size[2] in 'kK' else 'MiB'}"
        clients = self._clients(receive)
        relay |= self._listening(receive, logins=any("username" in each for each in clients))
        if clients:
            relay["clients"] = clients
        if len(mailboxes) > 1:
            accounts = self.draft.accounts
            relay["routes"] = [{"from": each.keys["address"], "account": each.name} for each in accounts]
        self.draft.relay = relay
        note_graph(self.draft, "SMTP2Graph", application.line)
        for path, line in self.root.unused():
            hint = _HINTS.get(path) or _HINTS.get(path.rpartition(".")[0])
            self.draft.leave(
                f"{path} was not used.", hint or "Nothing to do, unless sending depends on it.", line
            )

    def _mailboxes(self, receive: Item) -> list[Item]:
        """The mailbox that everything leaves from, else each that may be the sender."""
        if (forced := self.root.at("send", "forceMailbox")).text:
            return [forced]
        allowed = list(receive.at("allowedFrom").items)
        for user in receive.at("users").items:
            allowed += user.at("allowedFrom").items
        unique = {each.text.casefold(): each for each in allowed if each.text}
        if self.address:
            return [Item(self.root.at("send").line, self.address)]
        if not unique:
            raise self.draft.error(
                "No mailbox is named: SMTP2Graph sends as whoever writes.",
                "Name the mailbox that mail leaves from: --address ADDRESS",
                self.root.at("send").line,
            )
        return list(unique.values())

    def _account(self, mailbox: Item, application: Item) -> None:
        account = self.draft.account(mailbox.text, mailbox.line)
        tenant, secret = application.at("tenant"), application.at("secret")
        account.put("provider", "microsoft", application.line)
        account.put("address", mailbox.text, mailbox.line)
        account.put("tenant", tenant_of(tenant.text), tenant.line)
        account.put("grant", "client-credentials", application.line)
        account.put("client-id", application.at("id").text, application.at("id").line)
        self.draft.secret(account, "client-secret", secret.text, secret.line)
        certificate = application.at("certificate")
        if path := certificate.at("privateKeyPath").text:
            account.put("private-key", f"file:{self.draft.path(path, certificate.line)}", certificate.line)
            certificate.at("thumbprint")
            self.draft.leave(
                "Of the certificate only the thumbprint is named, and Microsoft is shown the certificate.",
                'Add certificate = "file:/path/of/certificate.pem" beside private-key.',
                certificate.line,
            )

    def _listening(self, receive: Item, *, logins: bool) -> dict[str, Any]:
        """Where the relay listens: as it did on this machine; for others only with the certificate."""
        port, address = receive.at("port").text or "25", receive.at("listenAddress").text
        certificate, key = (
            self.draft.path(item.text, item.line)
            for item in (receive.at("tlsCertPath"), receive.at("tlsKeyPath"))
        )
        implicit = receive.at("secure").on
        if not certificate and not is_loopback(address):
            self.draft.note(
                f"SMTP2Graph listens on {address or 'all addresses'}; here it is 127.0.0.1.",
                "Other machines need TLS: give a certificate in [[relay.listeners]].",
                receive.line or None,
            )
            address = "127.0.0.1"
        address = address or "0.0.0.0"  # noqa: S104 - with TLS, and only to clients that are named
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        receive.at("allowInsecureAuth")
        if not certificate and logins:
            self.draft.note(
                f"Passwords come in clear on {place}, as no certificate is named.",
                "Only programs of this machine can log in so: login-without-tls in [[relay.listeners]].",
                receive.line or None,
            )
            return {"listeners": [{"address": place, "login-without-tls": True}]}
        if not certificate:
            return {"listen": [place]}
        tls = "implicit" if implicit else "starttls"
        return {"listeners": [{"address": place, "tls": tls, "certificate": certificate, "key": key}]}

    def _clients(self, receive: Item) -> list[dict[str, Any]]:
        """Who may submit: networks, logins, or both, and as which senders."""
        networks = self._networks(receive.at("ipWhitelist"))
        senders = receive.at("allowedFrom").texts()
        receive.at("requireAuth")
        clients = []
        for user in receive.at("users").items:
            user.used = True
            name, password = user.at("username").text, user.at("password").text
            client: dict[str, Any] = {"name": name, "networks": networks, "username": name}
            client["password-hash"] = self.hash_password(Secret(password)) if password else ""
            client["senders"] = user.at("allowedFrom").texts() or senders
            clients.append(client)
        if not clients and (networks or senders):
            local = ["127.0.0.0/8", "::1/128"]
            clients = [{"name": "allowed", "networks": networks or local, "senders": senders}]
        return [{key: value for key, value in each.items() if value} for each in clients]

    def _networks(self, listed: Item) -> list[str]:
        """As networks are written: 192.0.2.1/24 is meant as the whole that it is in."""
        found = []
        for item in listed.items or ([listed] if listed.text else []):
            try:
                network = str(ipaddress.ip_network(item.text.strip(), strict=False))
            except ValueError:
                self.draft.leave(
                    f"{item.text!r:.60} of ipWhitelist is no network, and was left out.",
                    "Add it to networks of [[relay.clients]] as 192.0.2.0/24 or 192.0.2.7.",
                    item.line,
                )
                continue
            plain = network.removesuffix("/32").removesuffix("/128")
            if item.text.strip() not in (network, plain) and ":" not in network:
                self.draft.note(f"{item.text} is taken as the network {network}.", line=item.line)
            found.append(network if "/" in item.text else plain)
        return found


def tenant_of(text: str) -> str:
    """The domain or directory id; SMTP2Graph takes the first part of the former too."""
    return text if "." in text or _DIRECTORY_ID.fullmatch(text) or not text else f"{text}.onmicrosoft.com"


def note_graph(draft: ImportedConfiguration, program: str, line: int) -> None:
    """Say what an application needs that sent by Graph so far."""
    draft.note(
        f"{program} sends by Graph, with the permission Mail.Send; this sends by SMTP, which needs "
        "SMTP.SendAsApp, and a right on each mailbox.",
        "What to do, step by step: postbearer providers microsoft",
        line,
    )
