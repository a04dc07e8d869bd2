"""Where the forecast of an account comes from: its configuration, certificates, and the kept sign-in."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from postbearer.assembly import Assembly
from postbearer.errors import ConfigError
from postbearer.events import Silent
from postbearer.forecast import DAY, Expiry, awaits_sign_in, forecast, gather, gather_all
from postbearer.oauth import keep_sign_in
from postbearer.oauth.token import TokenAnswer
from postbearer.secret import Secret
from postbearer.state import StateFolder
from postbearer.testing import ManualClock, Sandbox

NOW = 1_800_000_000.0
ACCOUNT = """
[accounts.alerts]
provider = "smtp"
address = "alerts@example.org"
servers = ["mail.example.org:587"]
grant = "client-credentials"
token-url = "https://login.example.org/token"
client-id = "app"
client-secret = "env:SECRET"
"""


def certificate(path: Path, days: float) -> None:
    """One that ends so many days after `NOW`."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    ends = datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=365))
        .not_valid_after(ends)
        .sign(key, SHA256())
    )
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(locked + made.public_bytes(Encoding.PEM))


def assembly(folder: Path, text: str) -> Assembly:
    file = folder / "postbearer.toml"
    file.write_text(text)
    file.chmod(0o600)
    return Assembly.load(file, {}, StateFolder(folder / "state"))


async def foreseen(made: Assembly, clock: ManualClock) -> tuple[Expiry, ...]:
    known = await gather_all([made.account(name) for name in made.names], made.state, clock)
    found = {name: forecast(each) for name, each in known.items()}
    return found["alerts"]


@pytest.mark.parametrize("written", ["2027-03-01", '"2027-03-01"'])
async def test_a_day_in_the_configuration_begins_in_utc(tmp_path: Path, written: str) -> None:
    made = assembly(tmp_path, f"{ACCOUNT}client-secret-expires = {written}\n")
    (found,) = await foreseen(made, ManualClock(NOW))
    assert (found.what, datetime.fromtimestamp(found.at, UTC)) == (
        "client-secret",
        datetime(2027, 3, 1, tzinfo=UTC),
    )
    assert made.configuration.account("alerts").client_secret_expires == date(2027, 3, 1)


@pytest.mark.parametrize(
    ("grant", "signed_in", "waits"),
    [
        ("device-code", False, True),
        ("device-code", True, False),
        ("refresh-token", False, False),  # it stands in the configuration
        ("client-credentials", False, False),
    ],
)
async def test_who_has_to_sign_in_before_anything_can_be_sent(
    tmp_path: Path, grant: str, signed_in: bool, waits: bool
) -> None:
    text = ACCOUNT.replace("client-credentials", grant) + {
        "device-code": 'device-url = "https://login.example.org/device"\n',
        "refresh-token": 'refresh-token = "env:REFRESH"\n',
    }.get(grant, "")
    made, clock = assembly(tmp_path, text), ManualClock(NOW)
    account = made.account("alerts")
    if signed_in:
        answer = TokenAnswer(Secret("access"), refresh=Secret("refresh"))
        await keep_sign_in(account.token_store(made.state, clock=clock), answer, now=NOW)
    assert await awaits_sign_in(account, made.state, clock) is waits
    assert (await gather(account, made.state, clock)).awaits_sign_in is waits


async def test_a_sign_in_that_cannot_be_looked_at_may_be_there(tmp_path: Path) -> None:
    text = ACCOUNT.replace("client-credentials", "device-code")
    made, clock = (
        assembly(tmp_path, f'{text}device-url = "https://login.example.org/device"\n'),
        ManualClock(NOW),
    )
    account = made.account("alerts")
    answer = TokenAnswer(Secret("access"), refresh=Secret("refresh"))
    await keep_sign_in(account.token_store(made.state, clock=clock), answer, now=NOW)
    os.unlink(made.state.key)
    assert not await awaits_sign_in(account, made.state, clock)
    assert not (await gather(account, made.state, clock)).awaits_sign_in


@pytest.mark.parametrize("written", ["2027", '"soon"', "2027-03-01T00:00:00Z", '"2027-02-30"', "true"])
def test_what_is_no_day_is_refused_with_its_place(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigError, match="must be a day") as caught:
        assembly(tmp_path, f"{ACCOUNT}client-secret-expires = {written}\n")
    assert caught.value.key == "accounts.alerts.client-secret-expires"
    assert caught.value.line == 10


async def test_a_certificate_says_itself_when_it_ends(tmp_path: Path) -> None:
    certificate(tmp_path / "mail.pem", 12)
    tls = ACCOUNT.replace('grant = "client-credentials"', 'authentication = "certificate"')
    tls = re.sub(r"(token-url|client-.*) = .*\n", "", tls) + f'tls-certificate = "{tmp_path}/mail.pem"\n'
    (found,) = await foreseen(assembly(tmp_path, tls), ManualClock(NOW))
    assert (found.what, (found.at - NOW) / DAY) == ("tls-certificate", pytest.approx(12))


async def test_so_does_the_certificate_that_signs(tmp_path: Path) -> None:
    certificate(tmp_path / "app.pem", 5)
    text = ACCOUNT.replace('client-secret = "env:SECRET"', 'certificate = "file:app.pem"')
    (found,) = await foreseen(assembly(tmp_path, text), ManualClock(NOW))
    assert (found.what, (found.at - NOW) / DAY) == ("certificate", pytest.approx(5))


async def test_a_certificate_that_cannot_be_read_is_told_and_nothing_else_is_lost(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    text = f'{ACCOUNT}client-secret-expires = 2027-03-01\ntls-certificate = "{tmp_path}/bad.pem"\n'
    made = assembly(tmp_path, text)
    known = await gather(made.account("alerts"), made.state, ManualClock(NOW))
    assert list(known.dated) == ["client-secret"]
    assert known.troubles == ("When the tls-certificate of alerts ends cannot be told: it is damaged",)


async def test_a_sign_in_ends_with_its_idleness_and_every_use_prolongs_it(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with Sandbox("google", clock=clock) as sandbox:
        text = re.sub(r"accounts\.sandbox", "accounts.alerts", sandbox.configuration())
        made = assembly(tmp_path, f'{text}refresh-token-idle = "90d"\n')
        assert await foreseen(made, clock) == ()  # nobody knows since when it lies there
        source = made.token_source("alerts", clock=clock, observer=Silent())
        for _ in range(2):
            await source.token()
            (found,) = await foreseen(made, clock)
            assert (found.what, (found.at - clock.now()) / DAY) == ("sign-in", pytest.approx(90, abs=0.1))
            clock.advance(50 * DAY)
        (found,) = await foreseen(made, clock)
        assert (found.at - clock.now()) / DAY == pytest.approx(40, abs=0.1)


async def test_a_sign_in_with_an_age_ends_however_much_it_is_used(tmp_path: Path) -> None:
    """As with an app that Google has in testing: seven days."""
    clock = ManualClock(NOW)
    async with Sandbox("google", clock=clock) as sandbox:
        text = re.sub(r"accounts\.sandbox", "accounts.alerts", sandbox.configuration())
        made = assembly(tmp_path, f'{text}refresh-token-lifetime = "7d"\n')
        source = made.token_source("alerts", clock=clock, observer=Silent())
        for _ in range(5):
            await source.token()
            clock.advance(DAY)
        (found,) = await foreseen(made, clock)
        assert (found.at - clock.now()) / DAY == pytest.approx(2, abs=0.1)
        assert found.level(clock.now()) is None
        clock.advance(DAY)
        assert found.level(clock.now()) == 1
