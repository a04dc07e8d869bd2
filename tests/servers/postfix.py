"""Postfix: a submission server that lets Dovecot check the tokens and hands everything to the sink."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.ports import free_ports

from .certificates import Certificates
from .dovecot import Dovecot
from .processes import HOST, Log, Process, program, require_root
from .sink import Sink

REFUSED = {
    "unknown@example.org": "550 5.1.1 No such user here",
    "later@example.org": "450 4.2.1 The mailbox is busy, try again",
}

MAIN = """
myhostname = mail.example.org

# Everything leaves for the sink, as it came.
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
relayhost = [{sink_host}]:{sink_port}
smtp_tls_security_level = none
smtp_destination_recipient_limit = 10000
smtp_line_length_limit = 0
disable_mime_output_conversion = yes
local_header_rewrite_clients =
message_drop_headers =
header_size_limit = 1048576
message_size_limit = 104857600
smtputf8_enable = yes

# Who may send: whoever Dovecot knows.
mynetworks =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
smtpd_sasl_response_limit = 65536
smtpd_sasl_security_options = noanonymous
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {certificate}
smtpd_tls_loglevel = 1
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions =
  check_recipient_access inline:{{ {refused} }}, permit_sasl_authenticated, reject

# Tests err on purpose and often.
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 10000
smtpd_hard_error_limit = 20000
smtpd_client_connection_count_limit = 0
"""

# Of any Postfix here: all in one folder, on loopback, without DNS.
COMMON = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {log}
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
smtp_host_lookup = native
"""

# service type private unprivileged chroot wakeup maxproc command
SERVICES = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
tlsproxy unix - - n - 0 tlsproxy
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MASTER = """
127.0.0.1:{submission_port} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
127.0.0.1:{submissions_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{data_port} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
  -o smtpd_discard_ehlo_keywords=chunking,silent-discard
127.0.0.1:{lockstep_port} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
  -o smtpd_discard_ehlo_keywords=chunking,pipelining,silent-discard
"""


def start_postfix(folder: Path, main: str, listeners: str, log: Log | None = None) -> Process:
    """One that has these lines of main.cf and master.cf beside those of any; its settings are in `etc`."""
    require_root()
    log = log or Log(folder / "postfix.log")
    settings = folder / "etc"
    for place in (settings, folder / "data", folder / "queue"):
        place.mkdir(parents=True)
    shutil.chown(folder / "data", "postfix")
    (settings / "main.cf").write_text(COMMON.format(folder=folder, log=log.path) + main)
    (settings / "master.cf").write_text(f"{listeners}\n{SERVICES}")
    argv = [program("postfix", "postfix"), "-c", str(settings), "start-fg"]
    return Process("Postfix", argv, log, pid_file=folder / "queue/pid/master.pid")


class Postfix:
    """A submission server with DSN, CHUNKING, SMTPUTF8 and PIPELINING; refuses the recipients in REFUSED.

    On `data_port` it is the same without CHUNKING, on `lockstep_port` without PIPELINING too.
    """

    host = HOST
    refused = REFUSED

    def __init__(self, folder: Path, certificates: Certificates, dovecot: Dovecot, sink: Sink) -> None:
        self.ca_file = certificates.ca_file
        self.submission_port, self.submissions_port, self.data_port, self.lockstep_port = free_ports(4)
        self.log = Log(folder / "postfix.log")
        main = MAIN.format(
            certificate=certificates.server_file,
            auth_socket=dovecot.auth_socket,
            sink_host=sink.host,
            sink_port=sink.port,
            refused=", ".join(f"{{ {address} = {reply} }}" for address, reply in REFUSED.items()),
        )
        listeners = MASTER.format(
            submission_port=self.submission_port,
            submissions_port=self.submissions_port,
            data_port=self.data_port,
            lockstep_port=self.lockstep_port,
        )
        self._process = start_postfix(folder, main, listeners, self.log)
        self._process.wait_for_port(self.submission_port)

    def stop(self) -> None:
        self._process.stop()
