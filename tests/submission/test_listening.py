"""Where the relay listens: ports, Unix sockets, sockets that systemd opened; and what can be wrong."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from postbearer.errors import ConfigError
from postbearer.submission import is_local
from support.submitting import Submission, Talk, running


async def test_a_port_that_was_asked_for_is_named_in_fact() -> None:
    async with running() as relay:
        assert relay.port > 0
        assert relay.listener.address == f"127.0.0.1:{relay.port}"


async def test_an_ipv6_address() -> None:
    async with running(address="[::1]:0") as relay:
        assert relay.listener.address.startswith("[::1]:")
        async with await Talk.open("::1", relay.port) as client:
            assert (await client.reply()).startswith("220")
            assert (await client.deliver()).startswith("250")
        assert "[::1]" in (await relay.messages())[0].received


async def test_a_unix_socket_in_the_place_of_a_dead_one(folder: Path) -> None:
    path = folder / "smtp.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with running(address=f"unix:{path}") as relay:
        assert relay.listener.address == f"unix:{path}"
        async with Talk(*await asyncio.open_unix_connection(str(path))) as client:
            assert (await client.reply()).startswith("220")
            assert (await client.deliver()).startswith("250")
        with pytest.raises(ConfigError, match="listens there"):
            await Submission(address=f"unix:{path}").listener.start()
    assert not path.exists()


async def test_a_file_is_not_replaced_by_a_socket(folder: Path) -> None:
    path = folder / "precious"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="no socket"):
        await Submission(address=f"unix:{path}").listener.start()
    assert path.read_text() == "mine"


async def test_an_address_in_use_is_named_with_what_to_do() -> None:
    async with running() as relay:
        with pytest.raises(ConfigError) as caught:
            await Submission(address=relay.listener.address).listener.start()
        assert caught.value.key == "relay.listen"
        assert relay.listener.address in str(caught.value)
        assert "Another program listens there" in caught.value.hint


@pytest.mark.parametrize(
    "address",
    ["2525", ":2525", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:70000", "::1:2525", "[::1]", "", "a b:1"],
)
async def test_what_is_no_address_is_refused_and_never_all_interfaces(address: str) -> None:
    with pytest.raises(ConfigError, match="no address to listen on") as caught:
        await Submission(address=address).listener.start()
    assert "host:port" in caught.value.hint


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:25", True), ("[::1]:25", True), ("localhost:25", True), ("unix:/run/x.sock", True),
        ("0.0.0.0:25", False), ("[::]:25", False), ("192.0.2.1:25", False), ("relay.example.org:25", False),
    ],
)  # fmt: skip
def test_who_can_reach_an_address(address: str, local: bool) -> None:
    assert is_local(address) is local


async def test_without_systemd_there_is_nothing_to_take_over() -> None:
    with pytest.raises(ConfigError, match="No socket was handed over") as caught:
        await Submission(address="systemd:smtp").listener.start({})
    assert "FileDescriptorName=smtp" in caught.value.hint


def test_sockets_from_systemd() -> None:
    """They stand at file descriptors 3 and 4 of a new process, as sd_listen_fds(3) says."""
    program = textwrap.dedent(
        """
        import asyncio, os, smtplib, sys
        os.dup2(int(sys.argv[1]), 3)
        os.dup2(int(sys.argv[2]), 4)
        os.environ["LISTEN_PID"] = str(os.getpid())
        from support.submitting import MESSAGE, Submission
        from postbearer.errors import ConfigError
        from postbearer.submission import is_local, unanswered

        def send(port):
            with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
                return client.sendmail("a@example.org", ["b@example.net"], MESSAGE)

        async def main():
            print(unanswered(["systemd:other"], os.environ, ""))
            try:
                await Submission(address="systemd:other").listener.start(os.environ)
            except ConfigError as error:
                print(error.message)
            print(is_local("systemd:smtp", os.environ))
            for _ in range(2):  # a listener that ends leaves the sockets to the next one
                relay = Submission(address="systemd:smtp")
                await relay.listener.start(os.environ)
                for address in relay.listener.address.split(", "):
                    await asyncio.to_thread(send, int(address.rpartition(":")[2]))
                print(len(await relay.messages()), os.get_inheritable(3))
                await relay.listener.stop(0)

        asyncio.run(main())
        """
    )
    one, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "smtp:smtp",
    }
    with one, other:
        done = subprocess.run(
            [sys.executable, "-c", program, str(one.fileno()), str(other.fileno())],
            pass_fds=[one.fileno(), other.fileno()],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.splitlines() == [
        "['systemd:smtp']",
        "No socket named 'other' was handed over, but smtp.",
        "True",
        "2 False",
        "2 False",
    ], done.stderr


@pytest.mark.parametrize("given", ["datagram", "pipe", "connected"])
def test_what_systemd_hands_over_and_nobody_can_connect_to_is_refused(given: str) -> None:
    program = textwrap.dedent(
        """
        import os, socket, sys
        one, other = socket.socketpair()
        kinds = {"datagram": socket.socket(type=socket.SOCK_DGRAM), "connected": one}
        handed = os.pipe()[0] if sys.argv[1] == "pipe" else kinds[sys.argv[1]].fileno()
        os.dup2(handed, 100)
        os.dup2(100, 3)
        from postbearer.errors import ConfigError
        from postbearer.submission import is_local
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "smtp"}
        try:
            is_local("systemd:smtp", environ)
        except ConfigError as error:
            print(error.key, error.hint)
        """
    )
    done = subprocess.run([sys.executable, "-c", program, given], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("relay.listen "), done.stderr
    assert "ListenStream=" in done.stdout
