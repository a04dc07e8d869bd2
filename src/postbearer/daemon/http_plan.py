"""What the configuration says of HTTP API and console, checked. Nothing that serves them is loaded."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postbearer.assembly import Assembly
from postbearer.config import HttpSettings
from postbearer.console import ConsoleLogin, Role
from postbearer.errors import ConfigError
from postbearer.http_guard import LOOPBACK_NAMES
from postbearer.submission import host_port, is_local, is_password_hash

DEFAULT_LISTEN = "127.0.0.1:2580"
_ANY = ("0.0.0.0", "::")  # noqa: S104 - what an address is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPlan:
    """The API as it is to be. With a `context`, TCP is TLS only; `health` is plain."""

    addresses: tuple[str, ...]
    health: tuple[str, ...]
    context: ssl.SSLContext | None
    hosts: frozenset[str]
    proxies: tuple[str, ...]
    base_path: str
    logins: tuple[ConsoleLogin, ...] = ()
    codes_anywhere: bool = False  # one-time codes are good from other machines, too

    @classmethod
    def of(cls, assembly: Assembly) -> HttpPlan | None:
        """None without ``[http]``. Raises `ConfigError` for what would be unsafe or could not work."""
        settings = assembly.configuration.settings.http
        if settings is None:
            return None
        addresses = settings.listen or (DEFAULT_LISTEN,)
        _check_places(addresses, settings)
        return cls(
            addresses=addresses,
            health=settings.health_listen,
            context=_context(settings, assembly.folder),
            hosts=frozenset({*LOOPBACK_NAMES, *_own_names(addresses), *_allowed(settings)}),
            proxies=settings.trusted_proxies,
            base_path=_base_path(settings.base_path),
            logins=tuple(_logins(assembly, settings, addresses)),
            codes_anywhere=settings.one_time_codes == "anywhere",
        )

    @property
    def places(self) -> object:
        """What cannot change while the relay runs."""
        return self.addresses, self.health, self.context is None


def _check_places(addresses: tuple[str, ...], settings: HttpSettings) -> None:
    everywhere = (*addresses, *settings.health_listen)
    if twice := next((each for each in everywhere if everywhere.count(each) > 1), None):
        key = "http.listen" if twice in settings.listen else "http.health-listen"
        raise ConfigError(f"{twice} stands there twice.", key=key, hint="Once is enough.")
    for address in settings.health_listen:
        is_local(address, key="http.health-listen")
    for address in addresses:
        if is_local(address, key="http.listen"):
            continue
        if not settings.certificate:
            raise ConfigError(
                f"{address} can be reached from other machines without TLS: tokens would travel in clear.",
                key="http.listen",
                hint='Add certificate = "/path/to/chain.pem" and key = "/path/to/key.pem"; or listen on '
                "127.0.0.1, behind a proxy that has TLS.",
            )
        if (
            not address.startswith("systemd:")
            and host_port(address)[0] in _ANY
            and not settings.allowed_hosts
        ):
            raise ConfigError(
                f"{address} is every address of this machine, and nothing says by which names it is asked.",
                key="http.allowed-hosts",
                hint='Name them: allowed-hosts = ["mail.example.org"].',
            )


def _logins(assembly: Assembly, settings: HttpSettings, addresses: tuple[str, ...]) -> Iterator[ConsoleLogin]:
    names = [each.name for each in settings.logins]
    near = not settings.trusted_proxies and all(is_local(each, key="http.listen") for each in addresses)
    for number, each in enumerate(settings.logins):
        place = f"http.logins[{number}]"
        if not each.name.strip() or len(each.name) > 100 or not each.name.isprintable():
            raise ConfigError(f"{each.name!r:.80} is no name.", key=f"{place}.name", hint="Use letters.")
        if names.count(each.name) > 1:
            raise ConfigError(f"{each.name} stands there twice.", key=f"{place}.name", hint="Name each once.")
        if not is_password_hash(each.password_hash):
            raise ConfigError(
                "is no argon2id hash.",
                key=f"{place}.password-hash",
                hint="Make one by `postbearer secret hash-password`.",
            )
        if each.role != "see" and each.totp is None and not near:
            raise ConfigError(
                f"{each.name} may do more than look, from other machines, by a password alone.",
                key=f"{place}.totp",
                hint=f"Add a second factor: postbearer secret totp {each.name}",
            )
        yield ConsoleLogin(
            name=each.name,
            password_hash=each.password_hash,
            role=Role(each.role),
            totp=assembly.secret_source(each.totp) if each.totp else None,
        )


def _own_names(addresses: tuple[str, ...]) -> set[str]:
    """The hosts of the addresses, as they stand in a Host field."""
    named = [each for each in addresses if not each.startswith(("unix:", "systemd:"))]
    hosts = {host_port(each)[0].lower() for each in named} - {*_ANY}
    return {f"[{host}]" if ":" in host else host for host in hosts}


def _allowed(settings: HttpSettings) -> tuple[str, ...]:
    for name in settings.allowed_hosts:
        if not name.isascii() or any(char in name for char in "*/@ ,") or name.rpartition(":")[2].isdecimal():
            raise ConfigError(
                f"{name!r:.80} is no host name.",
                key="http.allowed-hosts",
                hint='Write the name alone, without scheme and port: "mail.example.org".',
            )
    return settings.allowed_hosts


def _base_path(path: str | None) -> str:
    if path is None or path == "/":
        return ""
    if (
        not path.startswith("/")
        or not path.isascii()
        or any(char in path for char in "?#% \\")
        or "//" in path
    ):
        raise ConfigError(
            f"{path!r:.80} is no path.",
            key="http.base-path",
            hint='Write it as "/mail", as the proxy has it.',
        )
    return path.rstrip("/")


def _context(settings: HttpSettings, folder: Path) -> ssl.SSLContext | None:
    if settings.certificate is None:
        if settings.key is not None:
            raise ConfigError(
                "is the key of no certificate.",
                key="http.key",
                hint='Add certificate = "/path/to/chain.pem".',
            )
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, settings.certificate, settings.key, folder, "http.certificate")
    return context


def load_certificate(
    context: ssl.SSLContext, certificate: str, key: str | None, folder: Path, named: str
) -> None:
    """Have a server show a certificate; relative paths are relative to the configuration, `folder`.

    Raises `ConfigError` about the key `named`.
    """
    try:
        context.load_cert_chain(folder / certificate, folder / key if key else None, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{certificate} cannot be used: {error}.",
            key=named,
            hint="Certificate and key must be PEM files that belong together.",
        ) from None
