"""How a notice arrives: signed, tried again while the receiver is down, and given up one day."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from postbearer.alerts import Alert, AlertChannel, AlertDispatcher, AlertState, Program, Webhook
from postbearer.alerts.channels import AlertFailed
from postbearer.events import Warned
from postbearer.secret import GivenSecret, Secret
from postbearer.standard_webhooks import signature
from postbearer.state import FileDocument
from postbearer.testing import ManualClock
from support.hooks import Hooks, receiving
from support.relay import Ears

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
KEY = base64.b64encode(b"canary key of 24 octets!").decode()
CANARY = f"whsec_{KEY}"
NOTICE = Alert(
    id="msg_1",
    kind="account.paused",
    account="alerts",
    at=1_800_000_000.0,
    title="The account alerts is paused",
    text="It does not send.",
    since=1_799_999_000.0,
    waiting=3,
    commands=("postbearer login alerts",),
)


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with receiving() as made:
        yield made


def webhook(hooks: Hooks, clock: ManualClock, secret: str | None = CANARY) -> Webhook:
    return Webhook(hooks.url, GivenSecret(Secret(secret)) if secret else None, clock)


class Telling:
    """A teller that works on a notebook, and one way."""

    def __init__(self, folder: Path, channel: AlertChannel, clock: ManualClock) -> None:
        self.clock, self.ears = clock, Ears()
        self.notebook = AlertState(FileDocument(str(folder / "notices.json")), self.ears)
        self.teller = AlertDispatcher(self.notebook, {"hook": channel}, clock, self.ears)

    @classmethod
    async def of(cls, folder: Path, channel: AlertChannel, clock: ManualClock) -> Telling:
        made = cls(folder, channel, clock)
        await made.notebook.load()
        return made

    def post(self, *identifiers: str) -> None:
        for each in identifiers:
            notice = Alert(
                id=each, kind="account.paused", account="alerts", at=self.clock.now(), title=each, text="x"
            )
            self.notebook.post(notice, self.teller.targets)

    @property
    def open(self) -> list[str]:
        return [post.notice.id for post in self.notebook.notes.outbox]

    @property
    def warnings(self) -> list[str]:
        return [each.text for each in self.ears.events if isinstance(each, Warned)]


# Webhooks -----------------------------------------------------------------------------------------


async def test_a_receiver_can_tell_who_calls_and_when(hooks: Hooks) -> None:
    await webhook(hooks, ManualClock()).send(NOTICE)
    (call,) = hooks.calls
    assert call.headers["content-type"] == "application/json"
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
    mac = hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()
    assert call.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    assert (call.headers["webhook-id"], call.headers["webhook-timestamp"]) == ("msg_1", "1800000000")
    assert call.json == {
        "type": "account.paused",
        "timestamp": "2027-01-15T08:00:00Z",
        "text": "The account alerts is paused. It does not send.",
        "data": {
            "account": "alerts",
            "since": 1_799_999_000.0,
            "waiting": 3,
            "commands": ["postbearer login alerts"],
        },
    }
    assert b"canary" not in call.body


def test_the_signature_of_the_standards_own_example() -> None:
    """As the libraries that receivers use make it."""
    made = signature(
        Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_secret_in_plain_text_is_the_key_itself(hooks: Hooks) -> None:
    await webhook(hooks, ManualClock(), "plain").send(NOTICE)
    (call,) = hooks.calls
    mac = hmac.new(b"plain", b"msg_1.1800000000." + call.body, hashlib.sha256).digest()
    assert call.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


async def test_without_a_secret_nothing_is_signed(hooks: Hooks) -> None:
    await webhook(hooks, ManualClock(), None).send(NOTICE)
    assert "webhook-signature" not in hooks.calls[0].headers


async def test_an_address_may_be_a_secret_and_is_never_told(hooks: Hooks) -> None:
    hooks.answers = [(500, {})]
    url = GivenSecret(Secret(hooks.url + "/canary"), "env:HOOK")
    with pytest.raises(AlertFailed) as caught:
        await Webhook(url, None, ManualClock()).send(NOTICE)
    assert hooks.calls[0].path == "/hook/canary"
    assert str(caught.value) == "the webhook env:HOOK answered 500."


@pytest.mark.parametrize(
    ("status", "gone"), [(500, False), (404, False), (302, False), (410, True), (429, False)]
)
async def test_what_is_no_success_is_said(hooks: Hooks, status: int, gone: bool) -> None:
    hooks.answers = [(status, {"location": f"{hooks.url}/elsewhere"})]
    with pytest.raises(AlertFailed, match=f"answered {status}") as caught:
        await webhook(hooks, ManualClock()).send(NOTICE)
    assert caught.value.gone is gone
    assert len(hooks.calls) == 1  # a redirect is not followed


async def test_a_receiver_that_does_not_answer_in_time(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks.delay = 1.0
    monkeypatch.setattr("postbearer.alerts.channels.TIMEOUT", 0.1)
    with pytest.raises(AlertFailed, match=r"did not answer within 0\.1 s"):
        await webhook(hooks, ManualClock()).send(NOTICE)


# Programs -----------------------------------------------------------------------------------------


def program(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "program.py").write_text(text)
    return (sys.executable, str(folder / "program.py"))


async def test_a_program_reads_the_notice(tmp_path: Path) -> None:
    text = f"import sys\nopen({str(tmp_path / 'read')!r}, 'wb').write(sys.stdin.buffer.read())\n"
    await Program(program(tmp_path, text)).send(NOTICE)
    assert json.loads((tmp_path / "read").read_bytes())["data"]["account"] == "alerts"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys; sys.exit('no pager')", "failed with status 1, saying: no pager."),
        ("import time; time.sleep(60)", "was not done within 2 s."),
    ],
)
async def test_a_program_that_fails(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(AlertFailed) as caught:
        await Program(program(tmp_path, text), timeout=2.0).send(NOTICE)
    assert says in str(caught.value)


async def test_a_program_that_does_not_read_is_no_trouble(tmp_path: Path) -> None:
    await Program(program(tmp_path, "")).send(NOTICE)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_nor_is_one_that_ends_before_it_is_given_anything(loop: LoopFactory) -> None:
    notice = Alert(id="a", kind="account.paused", account="alerts", at=0.0, title="a", text="x" * 1_000_000)
    with asyncio.Runner(loop_factory=loop) as runner:
        for _ in range(5):
            runner.run(Program(("true",)).send(notice))
            with pytest.raises(AlertFailed, match="failed with status 1"):
                runner.run(Program(("false",)).send(notice))


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(AlertFailed, match="the program /nowhere cannot be run"):
        await Program(("/nowhere",)).send(NOTICE)


# Again and again ----------------------------------------------------------------------------------


async def test_what_arrived_is_not_sent_again(tmp_path: Path, hooks: Hooks) -> None:
    clock = ManualClock()
    telling = await Telling.of(tmp_path, webhook(hooks, clock), clock)
    telling.post("a", "b")
    await telling.teller.deliver()
    assert [call.headers["webhook-id"] for call in hooks.calls] == ["a", "b"]
    again = await Telling.of(tmp_path, webhook(hooks, clock), clock)
    await again.teller.deliver()
    assert (again.open, len(hooks.calls)) == ([], 2)


async def test_a_receiver_that_is_down_is_tried_more_and_more_seldom_and_said_once(tmp_path: Path) -> None:
    clock = ManualClock()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        channel = Webhook(f"http://127.0.0.1:{port}/hook", None, clock)
        telling = await Telling.of(tmp_path, channel, clock)
        telling.post("a", "b")
        waits = []
        for _ in range(8):
            due = await telling.teller.deliver()
            waits.append(due - clock.now())
            clock.advance(due - clock.now())
    assert waits == [5, 60, 300, 1800, 7200, 21_600, 21_600, 21_600]
    assert len(telling.warnings) == 1
    assert "could not be told yet: 127.0.0.1" in telling.warnings[0]
    with receiving(port) as hooks:
        restarted = await Telling.of(tmp_path, channel, clock)
        await restarted.teller.deliver()
        assert [call.headers["webhook-id"] for call in hooks.calls] == ["a", "b"]
    assert restarted.open == []


async def test_a_receiver_that_fails_gets_the_same_notice_again_and_may_ask_for_time(
    tmp_path: Path, hooks: Hooks
) -> None:
    clock = ManualClock()
    telling = await Telling.of(tmp_path, webhook(hooks, clock), clock)
    telling.post("a")
    hooks.answers = [(500, {}), (429, {"retry-after": "600"})]
    assert await telling.teller.deliver() - clock.now() == 5
    clock.advance(5)
    assert await telling.teller.deliver() - clock.now() == 600
    clock.advance(599)
    await telling.teller.deliver()
    assert len(hooks.calls) == 2  # not before
    clock.advance(1)
    await telling.teller.deliver()
    assert [call.headers["webhook-id"] for call in hooks.calls] == ["a", "a", "a"]
    assert len({call.headers["webhook-timestamp"] for call in hooks.calls}) == 3


async def test_after_three_days_it_is_old_news(tmp_path: Path, hooks: Hooks) -> None:
    clock = ManualClock()
    telling = await Telling.of(tmp_path, webhook(hooks, clock), clock)
    telling.post("a")
    hooks.answers = [(500, {})] * 100
    while telling.open:
        due = await telling.teller.deliver()
        clock.advance(max(0.0, min(due - clock.now(), 86_400)))
    assert len(hooks.calls) < 25
    assert "tried for three days" in telling.warnings[-1]


async def test_410_is_the_last_call_until_the_configuration_is_read_anew(
    tmp_path: Path, hooks: Hooks
) -> None:
    clock = ManualClock()
    channel = webhook(hooks, clock)
    telling = await Telling.of(tmp_path, channel, clock)
    telling.post("a", "b")
    hooks.answers = [(410, {})]
    await telling.teller.deliver()
    await telling.teller.deliver()
    assert (len(hooks.calls), telling.open, telling.teller.targets) == (1, [], [])
    assert "is not called any more" in telling.warnings[0]
    telling.teller.use({"hook": channel})
    telling.post("c")
    await telling.teller.deliver()
    assert hooks.calls[-1].headers["webhook-id"] == "c"


class Broken:
    name = "a way with a defect"

    async def send(self, notice: Alert) -> None:
        raise ZeroDivisionError


async def test_a_defect_of_one_way_does_not_silence_the_others(tmp_path: Path, hooks: Hooks) -> None:
    clock = ManualClock()
    telling = await Telling.of(tmp_path, webhook(hooks, clock), clock)
    telling.teller.use({"broken": Broken(), "hook": webhook(hooks, clock)})
    telling.post("a")
    await telling.teller.deliver()
    assert len(hooks.calls) == 1
    assert "met a defect: ZeroDivisionError()" in telling.warnings[0]


async def test_a_way_may_be_taken_away_while_it_is_called(tmp_path: Path) -> None:
    clock = ManualClock()

    class Leaving:
        name = "a way that another configuration does not have"

        async def send(self, notice: Alert) -> None:
            telling.teller.use({})
            raise AlertFailed("It is gone.", gone=True)

    telling = await Telling.of(tmp_path, Leaving(), clock)
    telling.post("a", "b")
    await telling.teller.deliver()
    assert "did not get 'a'" in telling.warnings[0]
    await telling.teller.deliver()
    assert telling.open == []


async def test_at_the_end_what_is_being_told_arrives_and_nothing_more_is_begun(tmp_path: Path) -> None:
    called, answer = asyncio.Event(), asyncio.Event()

    class Slow:
        name = "a way that takes its time"

        async def send(self, notice: Alert) -> None:
            called.set()
            await answer.wait()

    telling = await Telling.of(tmp_path, Slow(), ManualClock())
    telling.post("a", "b")
    delivering = asyncio.create_task(telling.teller.deliver())
    await called.wait()
    finishing = asyncio.create_task(telling.teller.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    answer.set()
    await finishing
    assert telling.open == ["b"]  # for the next run; and "a" is not told twice
    await delivering
    await telling.teller.deliver()
    assert telling.open == ["b"]


async def test_what_has_no_way_any_more_is_dropped(tmp_path: Path, hooks: Hooks) -> None:
    clock = ManualClock()
    telling = await Telling.of(tmp_path, webhook(hooks, clock), clock)
    telling.post("a")
    telling.teller.use({})
    await telling.teller.deliver()
    assert (telling.open, hooks.calls) == ([], [])


async def test_no_secret_is_noted_or_said(tmp_path: Path, hooks: Hooks) -> None:
    clock = ManualClock()
    telling = await Telling.of(tmp_path, webhook(hooks, clock), clock)
    telling.post("a")
    hooks.answers = [(500, {})]
    await telling.teller.deliver()
    noted = (tmp_path / "notices.json").read_bytes()
    assert (tmp_path / "notices.json").stat().st_mode & 0o077 == 0
    assert KEY.encode() not in noted + " ".join(telling.warnings).encode()
