"""Dovecot: checks the tokens, for Postfix through a socket and for its own submission service."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from support.ports import free_ports

from .authorization import AuthorizationServer
from .certificates import Certificates
from .processes import HOST, Log, Process, program, require_root
from .sink import Sink

SUBMISSION = Path("/usr/lib/dovecot/submission")

# First the signature of a JWT, checked here; then, for opaque tokens, a question to the authorization server.
JWT_PASSDB = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={keys}/
issuers = {issuer}
username_attribute = email
"""
OPAQUE_PASSDB = """
introspection_mode = post
introspection_url = {introspection_url}
force_introspection = yes
active_attribute = active
active_value = true
username_attribute = email
timeout_msecs = 2000
"""
CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = postbearer-tests
log_path = {log}
auth_verbose = yes
protocols = submission
listen = 127.0.0.1
hostname = submission.example.org

ssl = required
ssl_cert = <{certificate}
ssl_key = <{certificate}

auth_mechanisms = xoauth2 oauthbearer
auth_failure_delay = 0
passdb {{
  driver = oauth2
  args = {folder}/jwt.conf
}}
passdb {{
  driver = oauth2
  args = {folder}/opaque.conf
}}
# A bad token is refused with a challenge; the good one of a user whom this forbids, without.
auth_policy_server_url = {policy_url}
auth_policy_hash_nonce = tests
auth_policy_check_before_auth = no
auth_policy_report_after_auth = no
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/home/%u
}}
mail_location = maildir:~/mail

submission_relay_host = {sink_host}
submission_relay_port = {sink_port}
submission_max_mail_size = 100M
# Said before the sink is asked, so that the first EHLO has it.
submission_backend_capabilities = 8BITMIME BINARYMIME DSN VRFY

service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
# Without this listener a failed login is answered at once, and not after a penalty of up to 15 s.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = {submission_port}
  }}
  inet_listener submissions {{
    port = {submissions_port}
    ssl = yes
  }}
}}
"""


class Dovecot:
    """A strict submission server: BINARYMIME and CHUNKING, no SMTPUTF8; hands everything to the sink."""

    host = HOST

    def __init__(
        self, folder: Path, certificates: Certificates, authorization: AuthorizationServer, sink: Sink
    ) -> None:
        require_root()
        dovecot = program("dovecot", "dovecot-core")
        program(str(SUBMISSION), "dovecot-submissiond")
        self.ca_file = certificates.ca_file
        self.submission_port, self.submissions_port = free_ports(2)
        self.auth_socket = folder / "auth"
        self.log = Log(folder / "dovecot.log")
        self._write_passdbs(folder, authorization)
        home = folder / "home"
        home.mkdir()
        home.chmod(0o777)
        configuration = folder / "dovecot.conf"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                log=self.log.path,
                policy_url=authorization.policy_url,
                certificate=certificates.server_file,
                sink_host=sink.host,
                sink_port=sink.port,
                submission_port=self.submission_port,
                submissions_port=self.submissions_port,
            )
        )
        self._process = Process("Dovecot", [dovecot, "-F", "-c", str(configuration)], self.log)
        self._process.wait_for_port(self.submission_port)

    def stop(self) -> None:
        self._process.stop()

    @staticmethod
    def _write_passdbs(folder: Path, authorization: AuthorizationServer) -> None:
        # Dovecot looks a key up as <azp, here "default">/<algorithm>/<key id>.
        key = folder / "keys/default/RS256" / authorization.key_id
        key.parent.mkdir(parents=True)
        key.write_text(authorization.public_key)
        jwt = JWT_PASSDB.format(keys=folder / "keys", issuer=authorization.issuer)
        (folder / "jwt.conf").write_text(jwt)
        client = authorization.clients["introspector"]
        url = urlsplit(authorization.introspection_url)
        url = url._replace(netloc=f"{client.id}:{client.secret}@{url.netloc}")
        (folder / "opaque.conf").write_text(OPAQUE_PASSDB.format(introspection_url=url.geturl()))
