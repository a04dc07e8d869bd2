"""Who mail goes to in the end, as ``[relay]`` says it: aliases, staging mode, the archive."""

from __future__ import annotations

import posix
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from postbearer.address import canonical
from postbearer.config import Configuration, RelaySettings
from postbearer.engine import Alias, Aliases, RecipientRules, read_aliases, read_targets
from postbearer.errors import ConfigError, UsageError
from postbearer.handover import mail_domain, mailname

LARGEST = 4 * 1024 * 1024  # octets of a file of aliases
Source = Path | dict[str, str]  # where aliases stand: in a file, or in the configuration

_LOOPBACK = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, slots=True)
class RecipientPlan:
    """`rules` is None where each message goes to whom it is for. `doubts` are told to people."""

    rules: RecipientRules | None
    doubts: tuple[ConfigError, ...] = ()

    @classmethod
    def of(cls, configuration: Configuration, hostname: str) -> RecipientPlan:
        """Raises `ConfigError`."""
        settings = configuration.settings.relay or RelaySettings()
        rewriting = settings.aliases, settings.redirect_all_to, settings.allow_recipients, settings.archive_to
        if not any(rewriting):
            return NO_RULES
        for pattern in settings.allow_recipients:
            _check_pattern(pattern)
        given = settings.aliases or {}
        source = Path(configuration.path).parent / given if isinstance(given, str) else given
        aliases = _aliases(source, hostname)
        rules = RecipientRules(
            aliases=aliases,
            redirect_to=settings.redirect_all_to or "",
            allowed=settings.allow_recipients,
            archive=settings.archive_to or "",
        )
        doubts = [*_staging(rules), *_unfollowed(source, aliases)]
        return cls(rules, tuple([each if each.file else configuration.located(each) for each in doubts]))


NO_RULES = RecipientPlan(None)


def _aliases(source: Source, hostname: str) -> Aliases:
    domains = (*_LOOPBACK, mail_domain("", hostname), mail_domain(mailname(), posix.uname().nodename))
    try:
        if isinstance(source, Path):
            entries = read_aliases(_text(source))
        else:
            entries = [Alias(name, read_targets(text), 0) for name, text in source.items()]
        return Aliases.of(entries, {each.lower() for each in domains})
    except ConfigError as error:
        _say_where(source, error)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(f"{path} is larger than {LARGEST} octets.")
        return content.decode()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", hint="The relay's user must be able to read it."
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError("This line is no UTF-8.", line=line) from None


def _say_where(source: Source, error: ConfigError) -> NoReturn:
    if isinstance(source, Path) and error.line:
        raise ConfigError(error.message, file=str(source), line=error.line, hint=error.hint) from None
    raise ConfigError(error.message, key="relay.aliases", hint=error.hint) from None


def _check_pattern(pattern: str) -> None:
    """A pattern that no address can match would hold all mail."""
    try:
        canonical(f"x{pattern}" if pattern.startswith("@") else pattern.replace("*@", "x@", 1))
    except UsageError as error:
        raise ConfigError(
            f"{pattern!r} allows nobody: {error.message}",
            key="relay.allow-recipients",
            hint="Write addresses, or @domain.",
        ) from None


def _staging(rules: RecipientRules) -> Iterator[ConfigError]:
    if rules.staging:
        yield ConfigError(
            rules.notice,
            key="relay.redirect-all-to" if rules.redirect_to else "relay.allow-recipients",
            hint="Take redirect-all-to and allow-recipients out of [relay] where mail is to reach everybody.",
        )


def _unfollowed(source: Source, aliases: Aliases) -> Iterator[ConfigError]:
    hint = "Mail for it reaches only the addresses that stand there."
    for line, text in aliases.doubts:
        if isinstance(source, Path):
            yield ConfigError(f"{text}.", file=str(source), line=line, hint=hint)
        else:
            yield ConfigError(f"{text}.", key="relay.aliases", hint=hint)
