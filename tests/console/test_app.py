"""bondmate-console as a command: its options, its life, and what it leaves for the kiosk."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate.console import app
from bondmate.console.token import KIOSK_FILE
from bondmate_sim.commands import command_line
from bondmate_sim.process import Process, ProcessError, wait_until
from tests.eventually import eventually

READY = r"INFO bondmate\.console\.app: for the device at \S+: page at (http://127\.0\.0\.1:\d+)/$"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Process]:
    made = Process(
        "bondmate-console",
        command_line(
            "bondmate-console", "--api", tmp_path / "api.sock", "--runtime", tmp_path, "--listen", "127.0.0.1:0"
        ),
        tmp_path / "log",
    )
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("0.0.0.0:8480", "can be reached from elsewhere"),
        ("192.0.2.7:8480", "can be reached from elsewhere"),
        ("[::]:8480", "can be reached from elsewhere"),
        ("localhost:8480", "no address with a port"),
        ("127.0.0.1", "no address with a port"),
        ("127.0.0.1:70000", "is no port"),
    ],
)
def test_it_listens_on_this_board_alone(listen: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app.main(["--listen", listen])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_the_defaults_are_those_of_an_installed_device() -> None:
    arguments = app._parser().parse_args([])
    assert arguments.listen == ("127.0.0.1", 8480)
    assert str(arguments.api) == "/run/bondmate/console.sock"
    assert str(arguments.runtime) == "/run/bondmate-console"
    assert app._parser().parse_args(["--listen", "[::1]:1"]).listen == ("::1", 1)


def test_a_port_that_is_taken_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert app.main(["--runtime", str(tmp_path), "--listen", listen]) == 1
    assert "Address already in use" in capsys.readouterr().err


def test_a_directory_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--runtime", str(tmp_path / "none"), "--listen", "127.0.0.1:0"]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    arguments = app._parser().parse_args(["--runtime", str(tmp_path), "--listen", "[::1]:0"])

    async def go() -> None:
        running = asyncio.ensure_future(app._until_told_to_stop(arguments))
        await eventually((tmp_path / KIOSK_FILE).exists, "the console to be ready")
        os.kill(os.getpid(), number)
        await asyncio.wait_for(running, 10)

    asyncio.run(go())
    assert re.search(r"url=http://\[::1\]:\d+/#[\w-]{43}\"", (tmp_path / KIOSK_FILE).read_text())


def test_as_a_process_it_says_where_it_is_and_never_says_the_token(console: Process, tmp_path: Path) -> None:
    console.start()
    origin = console.wait_for_line(READY, 10)[1]
    page = wait_until(lambda: (tmp_path / KIOSK_FILE).read_text() or None, 5, "the kiosk's page")
    assert f"url={origin}/#" in page
    assert console.stop() == 0
    token = (tmp_path / "token").read_text()
    assert token in page
    assert token not in console.log.read_text()


def test_a_second_console_on_a_port_of_another_does_not_take_its_page_away(console: Process, tmp_path: Path) -> None:
    console.start()
    port = console.wait_for_line(READY, 10)[1].rpartition(":")[2]
    page = (tmp_path / KIOSK_FILE).read_text()
    other = Process("another", [*console.command[:-1], f"127.0.0.1:{port}"], tmp_path / "other.log")
    other.start()
    with pytest.raises(ProcessError, match="exit code 1"):
        other.wait_for_line(READY, 10)
    assert (tmp_path / KIOSK_FILE).read_text() == page
