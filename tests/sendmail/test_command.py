"""``sendmail`` as cron, PHP and scripts run it: a process, a pipe, an exit code."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Home, home
from postbearer.cli.dropin.arguments import understand
from postbearer.cli.dropin.main import _envelope
from postbearer.cli.dropin.message import HandedMessage
from postbearer.engine import Submitter
from postbearer.handover import SMTP, opening, places
from postbearer.serving import socket_places
from postbearer.state import StateFolder, default_state_folder
from postbearer.submission import parse_line, parse_slip, submit_protocol
from support.local import SRC, local_relay, running, sendmail

__all__ = ["home"]  # a fixture of the command's tests


async def test_cron_sends_its_mail(folder: Path) -> None:
    mail = b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> backup\n\ndone\n"
    async with local_relay(folder) as relay:
        ran = await sendmail(
            "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root", stdin=mail, environ=relay.environ
        )
        assert (ran.code, ran.out, ran.err) == (0, "", "")
        entry, content = await relay.one()
        assert entry.message.envelope.addresses[0].startswith("root@")
        assert content.endswith(b"\r\n\r\ndone\r\n")


async def test_echo_piped_into_sendmail_t(folder: Path) -> None:
    async with local_relay(folder) as relay:
        script = folder / "sendmail"
        install = ["-m", "postbearer", "sendmail", "--install", str(script)]
        installed = await running([sys.executable, *install], b"", {**os.environ, "PYTHONPATH": str(SRC)})
        assert installed.code == 0, installed.err
        shell = f'printf "To: a@e.org\\nBcc: b@e.org\\nSubject: x\\n\\nhello\\n" | {script} -t -v'
        ran = await running(["/bin/sh", "-c", shell], b"", relay.environ)
        assert (ran.code, ran.err) == (0, "")
        entry, content = await relay.one()
        assert ran.out == f"250 queued as {entry.message.id}\n"
        assert entry.message.envelope.addresses == ("a@e.org", "b@e.org")
        assert b"Bcc" not in content


async def test_the_long_command_does_the_same(folder: Path) -> None:
    async with local_relay(folder) as relay:
        command = [sys.executable, "-m", "postbearer", "sendmail", "-oi", "-f", "me@e.org", "--", "a@e.org"]
        ran = await running(command, b"hi\n.\nthere\n", {**relay.environ, "PYTHONPATH": str(SRC)})
        assert (ran.code, ran.err) == (0, "")
        entry, content = await relay.one()
        assert entry.message.envelope.reverse_path == "me@e.org"
        assert content.endswith(b"hi\r\n.\r\nthere\r\n")


@pytest.mark.parametrize(
    ("stdin", "body"),
    [
        (b"\none\n.\nlost\n", b"one\r\n"),
        (b"\none\r\n.\r\nlost\r\n", b"one\r\n"),
        (b"\none\n.", b"one\r\n"),
        (b"\n..\n.x\none\n", b"..\r\n.x\r\none\r\n"),
        (b"Subject: x\n.\n", b""),
        (b"Subject: x\n.", b""),
    ],
)
async def test_a_lone_dot_ends_the_message(folder: Path, stdin: bytes, body: bytes) -> None:
    async with local_relay(folder) as relay:
        await sendmail("a@e.org", stdin=stdin, environ=relay.environ)
        assert (await relay.one())[1].partition(b"\r\n\r\n")[2] == body


async def test_a_lone_dot_ends_it_while_the_pipe_stays_open(folder: Path) -> None:
    async with local_relay(folder) as relay:
        command = [sys.executable, "-m", "postbearer", "sendmail", "a@e.org"]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, env={**relay.environ, "PYTHONPATH": str(SRC)}
        )
        assert process.stdin is not None
        process.stdin.write(b"hello\n.\n")
        assert await asyncio.wait_for(process.wait(), 20) == 0
        process.stdin.close()
        assert len(await relay.accepted()) == 1


async def test_a_large_message_goes_through(folder: Path) -> None:
    body = b"x" * 76 + b"\n"
    async with local_relay(folder) as relay:
        ran = await sendmail("-i", "a@e.org", stdin=b"Subject: x\n\n" + body * 100_000, environ=relay.environ)
        assert ran.code == 0
        assert (await relay.one())[0].message.size > 7_800_000


async def test_refusals_end_with_their_codes(folder: Path) -> None:
    limited = Submitter(name="local", senders=("@example.org",))
    async with local_relay(folder, client=limited, size=100_000) as relay:

        async def code(*words: str, stdin: bytes = b"hi\n") -> tuple[int, str]:
            ran = await sendmail(*words, stdin=stdin, environ=relay.environ)
            return ran.code, ran.err

        assert (await code("-f", "x@example.com", "a@e.org"))[0] == 77
        assert (await code("-f", "x@example.org", "a@@e.org"))[0] == 65
        assert (await code("-f", "x@example.org", "|sh -c evil"))[0] == 65
        assert (await code("-f", "x@example.org", "a@e.org", stdin=b"x" * 200_000))[0] == 69
        assert (await code("-Z"))[0] == 64
        assert (await code("-t"))[0] == 64
        assert await code("a@e.org", stdin=b"") == (
            65,
            "sendmail: standard input was empty: there is no message, neither header nor text\n",
        )
        assert (await code())[0] == 64
        told = (await code("-f", "x@example.com", "a@e.org"))[1]
        assert told.startswith("sendmail: 550 5.7.1 ")
        assert await relay.accepted() == []


async def test_a_relay_that_is_down_gets_it_later(folder: Path) -> None:
    async with local_relay(folder) as relay:
        environ = relay.environ
    ran = await sendmail("a@e.org", stdin=b"hi\n", environ=environ)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    async with local_relay(folder) as again:
        assert await again.drop.collect() == 1
        assert (await again.one())[1].endswith(b"hi\r\n")


async def test_a_relay_that_hangs_up_before_it_answers_gets_it_later(folder: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    async with local_relay(folder, handing=False) as relay:
        server = await asyncio.start_unix_server(hang_up, folder / "submit.sock")
        ran = await sendmail("a@e.org", stdin=b"hi\n", environ=relay.environ)
        server.close()
        assert (ran.code, ran.err) == (0, "")
        assert await relay.drop.collect() == 1


async def test_without_a_relay_and_where_its_folder_takes_nothing_the_caller_has_to_try_again(
    folder: Path,
) -> None:
    (folder / "drop").symlink_to("/proc")
    ran = await sendmail("a@e.org", stdin=b"hi\n", environ={"POSTBEARER_STATE": str(folder)})
    assert ran.code == 75
    assert "try again" in ran.err


async def test_bs_speaks_smtp_as_the_user(folder: Path) -> None:
    lines = (
        "HELO me",
        "MAIL FROM:<a@e.org>",
        "RCPT TO:<b@e.org>",
        "DATA",
        "Subject: x\r\n\r\nhi\r\n.",
        "QUIT",
    )
    async with local_relay(folder) as relay:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "postbearer", "sendmail", "-bs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**relay.environ, "PYTHONPATH": str(SRC)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        said = [await asyncio.wait_for(process.stdout.readline(), 20)]
        for line in lines:
            process.stdin.write(line.encode() + b"\r\n")
            said.append(await asyncio.wait_for(process.stdout.readline(), 20))
        assert [line[:3] for line in said] == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
        assert await process.wait() == 0
        assert (await relay.one())[0].message.client.startswith("user:")


DIALOGUE = "HELO me\nMAIL FROM:<a@e.org>\nRCPT TO:<b@e.org>\nDATA\nSubject: x\n\nhi\n.\nQUIT\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_bs_reads_a_dialogue_that_is_piped_in_at_once(folder: Path, end: str) -> None:
    async with local_relay(folder) as relay:
        octets = DIALOGUE.replace("\n", end).encode()
        ran = await sendmail("-bs", stdin=octets, environ=relay.environ)
        assert [line[:3] for line in ran.out.splitlines()] == [
            "220",
            "250",
            "250",
            "250",
            "354",
            "250",
            "221",
        ]
        assert ran.code == 0
        assert (await relay.one())[1] == b"Subject: x\r\n\r\nhi\r\n"


async def test_bs_that_ends_with_a_refusal_does_not_end_with_0(folder: Path) -> None:
    async with local_relay(folder) as relay:
        octets = DIALOGUE.replace("b@e.org", "nobody").encode()
        ran = await sendmail("-bs", stdin=octets, environ=relay.environ)
        assert ran.code == 69
        assert await relay.accepted() == []


@pytest.mark.parametrize("lines", [2, 3, 4, 5, 7])
async def test_bs_whose_input_ends_within_a_message_does_not_end_with_0(folder: Path, lines: int) -> None:
    async with local_relay(folder) as relay:
        begun = "".join(DIALOGUE.splitlines(keepends=True)[:lines])
        ran = await sendmail("-bs", stdin=begun.encode(), environ=relay.environ)
        assert ran.code == 65
        assert await relay.accepted() == []


async def test_bs_of_a_caller_that_gives_a_message_up_ends_with_0(folder: Path) -> None:
    async with local_relay(folder) as relay:
        octets = b"HELO me\nMAIL FROM:<a@e.org>\nRCPT TO:<b@e.org>\nRSET\nQUIT\n"
        ran = await sendmail("-bs", stdin=octets, environ=relay.environ)
        assert ran.code == 0
        assert await relay.accepted() == []


async def test_bs_without_a_relay_says_421(folder: Path) -> None:
    ran = await sendmail("-bs", environ={"POSTBEARER_STATE": str(folder)})
    assert ran.out.startswith("421 4.3.2 ")
    assert ran.code == 75


async def test_newaliases_has_nothing_to_do(folder: Path) -> None:
    assert (await sendmail("-bi", environ={"POSTBEARER_STATE": str(folder)})).code == 0


def test_without_a_relay_the_configuration_sends(home: Home) -> None:
    ran = home.run("sendmail", "a@e.org", stdin="hi\n")
    assert ran.code in (75, 77, 78)
    assert "error:" in ran.err
    home.config.unlink()
    without = home.run("sendmail", "a@e.org", stdin="hi\n", environ={"XDG_CONFIG_HOME": "/nonexistent"})
    assert without.code == 78
    assert "no configuration" in without.err


def test_the_install_does_not_replace_what_is_not_ours(home: Home) -> None:
    other = home.folder / "sendmail"
    other.write_text("#!/bin/sh\n")
    refused = home.run("sendmail", "--install", str(other))
    assert refused.code == 64
    assert other.read_text() == "#!/bin/sh\n"
    mine = home.folder / "mine"
    assert home.run("sendmail", "--install", str(mine)).code == 0
    assert home.run("sendmail", "--install", str(mine)).code == 0
    assert os.access(mine, os.X_OK)
    assert mine.read_text().splitlines()[0].endswith(" -IS")
    link = home.folder / "link"
    link.symlink_to(mine)
    assert home.run("sendmail", "--install", str(link)).code == 64


def test_the_way_of_a_hand_over_imports_next_to_nothing() -> None:
    script = (
        f"import sys; sys.path.append({str(SRC)!r}); before = set(sys.modules)\n"
        "import postbearer.cli.dropin.main; print(*sorted(set(sys.modules) - before))"
    )
    out = subprocess.run(
        [sys.executable, "-IS", "-c", script], capture_output=True, text=True, check=True
    ).stdout
    heavy = {
        "re",
        "json",
        "socket",
        "typing",
        "os",
        "collections",
        "enum",
        "dataclasses",
        "contextlib",
        "asyncio",
    }
    assert set(out.split()) & heavy == set()


def test_both_ends_agree_on_the_frame() -> None:
    order = understand("sendmail", ["-N", "delay", "-R", "full", "-V", 'a"\\é\U0001f600', "x"])
    letter = HandedMessage("ü@e.org", ["a@e.org", "b\x7f@e.org"], b"c\r\n")
    line, _, rest = (opening(_envelope(order, letter), len(letter.content)) + letter.content).partition(b"\n")
    lengths = parse_line(line)
    slip = parse_slip(rest[: lengths.envelope])
    assert (slip.uid, slip.from_, slip.to) == (os.getuid(), "ü@e.org", ("a@e.org", "b\x7f@e.org"))
    assert (slip.notify, slip.ret, slip.envid) == (("DELAY",), "FULL", 'a"\\é\U0001f600')
    assert rest[lengths.envelope :] == b"c\r\n"
    assert SMTP == submit_protocol.SMTP + b"\n"


@pytest.mark.parametrize(
    "environ",
    [
        {"POSTBEARER_STATE": "/a"},
        {"STATE_DIRECTORY": "/b:/c"},
        {"RUNTIME_DIRECTORY": "/run/x", "STATE_DIRECTORY": "/b"},
        {"HOME": os.path.expanduser("~")},
        {"XDG_STATE_HOME": "/xdg"},
        {"XDG_STATE_HOME": "relative", "HOME": os.path.expanduser("~")},
    ],
)
def test_both_ends_agree_on_the_places(environ: dict[str, str]) -> None:
    octets = {name.encode(): value.encode() for name, value in environ.items()}
    state = default_state_folder(environ)
    found = places(octets)
    wanted = [str(path) for path in socket_places("submit.sock", StateFolder(state), environ)]
    assert any(set(wanted) <= set(each.sockets) and each.drop == f"{state}/drop" for each in found)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_a_descriptor_that_is_closed_is_not_about_the_mail(folder: Path, closed: str) -> None:
    async with local_relay(folder) as relay:
        command = f"{sys.executable} -m postbearer sendmail -v a@e.org {closed}"
        environ = {**relay.environ, "PYTHONPATH": str(SRC)}
        ran = await running(["/bin/sh", "-c", command], b"Subject: x\n\nhi\n", environ)
        if "<" in closed:
            assert ran.code == 66
            assert "2>" in closed or "standard input is closed" in ran.err
            assert await relay.accepted() == []
        else:
            assert (ran.code, len(await relay.accepted())) == (0, 1)


async def test_more_recipients_than_the_drop_folder_may_hold_are_told_before_it_is_too_late(
    folder: Path,
) -> None:
    async with local_relay(folder) as relay:
        environ = relay.environ
    names = [f"a{number}@e.org" for number in range(1001)]
    ran = await sendmail(*names, stdin=b"hi\n", environ=environ)
    assert (ran.code, ran.err) == (
        65,
        "sendmail: 1001 recipients are more than the 1000 that one message may have\n",
    )
    assert list((folder / "drop").iterdir()) == []
    assert (await sendmail(*names[1:], stdin=b"hi\n", environ=environ)).code == 0


async def test_a_long_line_is_taken_and_a_signed_one_refused(folder: Path) -> None:
    async with local_relay(folder) as relay:
        long = b"x" * 3000 + b"\n"
        assert (await sendmail("a@e.org", stdin=b"\n" + long, environ=relay.environ)).code == 0
        signed = await sendmail("a@e.org", stdin=b"DKIM-Signature: v=1\n\n" + long, environ=relay.environ)
        assert (signed.code, len(await relay.accepted())) == (65, 1)
        assert signed.err.startswith("sendmail: 554 5.6.3 ")
