"""What the how-to pages give other programs, run by these programs, whose mail goes through a relay."""

from __future__ import annotations

import json
import os
import re
import smtplib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from house.reader import blocks
from house.tree import ROOT
from relay.running import SENDER, Relay, eventually, plain_account, relay_table
from support.local import short_folder
from support.ports import free_ports

from .postfix import start_postfix
from .processes import Log, Process, program
from .sink import Received, Sink

pytestmark = pytest.mark.servers

PAGES = ROOT / "docs" / "how-to"
POSTBEARER = Path(sys.executable).with_name("postbearer")
POSTFIX = """
myhostname = shop.example.org
mynetworks = 127.0.0.0/8
mydestination =
minimal_backoff_time = 1s
"""


@dataclass
class Machine:
    """A relay, the folder of programs beside it, and the server that everything comes to."""

    folder: Path
    relay: Relay
    sink: Sink

    @property
    def environment(self) -> dict[str, str]:
        """By which a program finds this relay, and our commands."""
        path = f"{POSTBEARER.parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "POSTBEARER_STATE": self.relay.state.path}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)

    def arrived(self, word: str) -> tuple[Received, EmailMessage]:
        """The message with that word, and how a mail program reads it."""
        (received,) = self.sink.wait_for(1, containing=word.encode(), timeout=60)
        return received, message_from_bytes(received.content, policy=default)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    sink = Sink({"nobody@example.net": "550 5.1.1 No such user"})
    with short_folder() as folder:
        folder.chmod(0o755)  # for Postfix
        (port,) = free_ports(1)
        client = '[[relay.clients]]\nname = "all"\nnetworks = ["127.0.0.1"]\nsenders = ["@example.org"]\n'
        text = plain_account(sink.port, 'sender = "allow"') + relay_table(listen=f"127.0.0.1:{port}") + client
        with Relay(folder, text) as relay:
            assert relay.start(), relay.log
            yield Machine(folder, relay, sink)
    sink.close()


def shown(page: str, containing: str, relay: Relay | None = None) -> str:
    """The block of a how-to page with these words; where the relay listens is put in."""
    (text,) = (each.text for each in blocks((PAGES / page).read_text()) if containing in each.text)
    return text.replace("127.0.0.1:2525", f"127.0.0.1:{relay.port}") if relay else text


def php(machine: Machine, script: str) -> subprocess.CompletedProcess[str]:
    settings = shown("use-from-php.md", "sendmail_path")
    settings = settings.replace("/usr/sbin/sendmail", f"{POSTBEARER} sendmail")
    (machine.folder / "php.ini").write_text(settings)
    (machine.folder / "page.php").write_text(script)
    command = program("php", "php-cli")
    return machine.run(command, "-c", str(machine.folder / "php.ini"), str(machine.folder / "page.php"))


def test_php_mails_by_sendmail(machine: Machine) -> None:
    script = shown("use-from-php.md", "$sent = mail(").replace("Order 17", "Order 17, from PHP")
    done = php(machine, script)
    assert done.returncode == 0, done.stdout + done.stderr
    received, message = machine.arrived("Order 17, from PHP")
    assert received.addresses == ("you@example.org",)
    assert (message["From"], message["Reply-To"]) == ("shop@example.org", "desk@example.org")
    assert "on its way" in message.get_content()


def test_php_is_told_what_is_refused(machine: Machine) -> None:
    done = php(machine, shown("use-from-php.md", "$sent = mail(").replace('"you@example.org"', '"you@"'))
    assert done.returncode == 1
    assert "you@" in done.stderr


def test_phpmailer_mails_by_smtp(machine: Machine) -> None:
    library = Path("/usr/share/php/libphp-phpmailer/autoload.php")
    assert library.exists(), "apt install libphp-phpmailer"
    script = shown("use-from-php.md", "new PHPMailer").replace("2525", str(machine.relay.port))
    script = script.replace("<?php", f'<?php require "{library}";').replace("on its way", "with PHPMailer")
    done = php(machine, script)
    assert done.returncode == 0, done.stdout + done.stderr
    received, message = machine.arrived("with PHPMailer")
    assert (received.addresses, message["Subject"]) == (("you@example.org",), "Grüße")


@pytest.fixture
def postfix(machine: Machine) -> Iterator[tuple[int, Path]]:
    """The port of a Postfix with the page's lines, and the folder of its settings."""
    folder, (port,) = machine.folder / "postfix", free_ports(1)
    settings = shown("put-postfix-in-front.md", "relayhost = ", machine.relay)
    settings = settings.replace("[127.0.0.1]:2525", f"[127.0.0.1]:{machine.relay.port}")
    process = start_postfix(folder, POSTFIX + settings, f"127.0.0.1:{port} inet n - n - - smtpd")
    process.wait_for_port(port)
    yield port, folder / "etc"
    process.stop()


def test_postfix_hands_over_and_waits_while_the_relay_is_down(
    machine: Machine, postfix: tuple[int, Path]
) -> None:
    port, settings = postfix
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(
            SENDER,
            ["anna@example.net"],
            b"Subject: by Postfix\r\n\r\nnow\r\n",
            rcpt_options=["NOTIFY=FAILURE"],
        )
        received, message = machine.arrived("by Postfix")
        assert (received.addresses, message["From"]) == (("anna@example.net",), SENDER)
        assert received.recipients[0].parameters["NOTIFY"] == "FAILURE"
        machine.relay.stop()
        client.sendmail(SENDER, ["anna@example.net"], b"Subject: later by Postfix\r\n\r\nlater\r\n")
    queued = lambda: machine.run("postqueue", "-c", str(settings), "-j").stdout  # noqa: E731
    eventually(lambda: "onnection refused" in queued())
    assert machine.relay.start(), machine.relay.log
    machine.run("postqueue", "-c", str(settings), "-f")
    assert machine.arrived("later by Postfix")[0].addresses == ("anna@example.net",)
    eventually(lambda: not queued())


def test_alertmanager_mails_an_alert(machine: Machine) -> None:
    command, (port,) = program("prometheus-alertmanager", "prometheus-alertmanager"), free_ports(1)
    configuration = shown("applications-behind-the-relay.md", "smtp_smarthost", machine.relay)
    file = machine.folder / "alertmanager.yml"
    file.write_text(configuration.replace("route:\n", "route:\n  group_wait: 0s\n"))
    assert (
        machine.run(program("amtool", "prometheus-alertmanager"), "check-config", str(file)).returncode == 0
    )
    arguments = [f"--config.file={file}", f"--storage.path={machine.folder / 'alerts'}"]
    arguments += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    process = Process("Alertmanager", [command, *arguments], Log(machine.folder / "alertmanager.log"))
    process.wait_for_port(port)
    try:
        alert = json.dumps([{"labels": {"alertname": "DiskFull", "host": "build"}}]).encode()
        fields = {"content-type": "application/json"}
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/alerts", alert, fields)
        urllib.request.urlopen(asked, timeout=20).close()
        received, message = machine.arrived("DiskFull")
        assert received.addresses == ("operators@example.org",)
        assert message["From"] == "alertmanager@example.org"
    finally:
        process.stop()


PLUG_IN = re.compile(  # Nagios Plugin Development Guidelines: state, text, performance data
    r"(OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+ \| (\w+=\d+[a-z%]? ?)+\n"
)


def test_nagios_understands_the_line_and_the_exit_code(machine: Machine) -> None:
    done = machine.run(str(POSTBEARER), "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert PLUG_IN.fullmatch(done.stdout), done.stdout
    negate = shown("monitor-the-relay.md", "negate").replace("/usr/local/bin/postbearer", str(POSTBEARER))
    machine.relay.ask("accounts.pause", name="out")
    try:
        warned = machine.run(str(POSTBEARER), "status")
        assert (warned.returncode, warned.stdout[:9]) == (1, "WARNING -")
        passed = machine.run("sh", "-c", negate)
        assert (passed.returncode, passed.stdout[:4]) == (0, "OK -"), passed.stdout + passed.stderr
    finally:
        machine.relay.ask("accounts.resume", name="out")


def test_zabbix_takes_the_item(machine: Machine) -> None:
    agent = program("zabbix_agentd", "zabbix-agent")
    item = shown("monitor-the-relay.md", "UserParameter").replace(
        "/usr/local/bin/postbearer", str(POSTBEARER)
    )
    file = machine.folder / "zabbix_agentd.conf"
    file.write_text(f"Hostname=here\nServer=127.0.0.1\n{item}")
    asked = machine.run(agent, "-c", str(file), "-t", "postbearer.status")
    told = re.search(r"\[t\|(.*)\]", asked.stdout, re.DOTALL)
    assert told, asked.stdout + asked.stderr
    found = json.loads(told[1])
    assert (found["exit"], found["held"]) == (0, 0)
    assert {"waiting", "oldest_age", "text"} <= found.keys()


def test_prometheus_takes_the_job(machine: Machine) -> None:
    file = machine.folder / "prometheus.yml"
    rules = ROOT / "packaging" / "prometheus" / "postbearer.rules.yaml"
    text = shown("monitor-the-relay.md", "scrape_configs").replace("postbearer.rules.yaml", str(rules))
    file.write_text(text)
    checked = machine.run(program("promtool", "prometheus"), "check", "config", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS" in checked.stdout
