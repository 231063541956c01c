"""The modem's process: its port, its sockets, its way to the message centre, and what is done to it while it runs."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from bondmate_sim.control import ControlClient
from bondmate_sim.errors import ControlUnreachableError, SimulatorError
from bondmate_sim.modem_core import STORM_RESULT
from bondmate_sim.process import Process, wait_until
from tests.sim.conftest import SIM, Launch
from tests.sim.test_modem_sending import SUBMIT
from tests.sim.test_smsc import GATEWAY, Connect, centre, connect

__all__ = ["centre", "connect"]  # fixtures

READ_S = 10.0
DEVICE = "+4915550001"


class Host:
    """Whoever talks to the modem through its port."""

    def __init__(self, port: serial.Serial) -> None:
        self.port = port

    def until(self, wanted: str) -> str:
        """What comes, up to and with this."""
        said: bytes = self.port.read_until(wanted.encode("latin-1"))
        assert said.endswith(wanted.encode("latin-1")), f"waited for {wanted!r}, got {said!r}"
        return said.decode("latin-1")

    def ask(self, line: str, end: str = "\r\nOK\r\n") -> str:
        self.port.write(line.encode("latin-1") + b"\r")
        return self.until(end)


class Running:
    """A modem that runs, with its control socket."""

    def __init__(self, process: Process, link: Path, control: Path) -> None:
        self.process = process
        self.link = link
        self.control = control

    @contextlib.contextmanager
    def host(self) -> Iterator[Host]:
        with serial.Serial(str(self.link), 115_200, timeout=READ_S) as port:
            host = Host(port)
            host.ask("ATE0")
            yield host

    def suffer(self, op: str, **fields: object) -> None:
        with ControlClient(self.control) as control:
            control.request(op, **fields)

    def said(self, pattern: str) -> None:
        self.process.wait_for_line(pattern, READ_S)


Start = Callable[..., Running]


@pytest.fixture
def start(run: Path, launch: Launch) -> Start:
    """Start a modem with these options, and wait until it is registered if it will be."""

    def begin(*options: str | Path) -> Running:
        link, control = run / "modem", run / "modem.sock"
        process = launch("modem", "--link", link, "--control", control, *options)
        process.wait_for_line("modem on .*/modem", READ_S)
        running = Running(process, link, control)
        if "--registration" not in options and "--no-sim" not in options:
            running.said("registration home")
        return running

    return begin


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(READ_S)
        yield one


def open_quectel(host: Host, server: socket.socket, mode: int = 0) -> None:
    host.ask("AT+QIACT=1")
    host.ask(f'AT+QIOPEN=1,0,"UDP","127.0.0.1",{server.getsockname()[1]},0,{mode}')
    host.until("+QIOPEN: 0,0\r\n")


@pytest.mark.parametrize("chunk", ["whole", "byte"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_quectel_exchanges_datagrams(start: Start, server: socket.socket, chunk: str, name: str) -> None:
    octets = bytes(range(256)) * 2
    with start("--chunk", chunk).host() as host:
        host.ask("AT+QIACT=1")
        host.ask(f'AT+QIOPEN=1,0,"UDP","{name}",{server.getsockname()[1]},0,0')
        host.until("+QIOPEN: 0,0\r\n")
        host.ask(f"AT+QISEND=0,{len(octets)}", "\r\n> ")
        host.port.write(octets)
        host.until("\r\nSEND OK\r\n")
        data, modem = server.recvfrom(2_048)
        assert data == octets
        server.sendto(octets[::-1], modem)
        host.until('\r\n+QIURC: "recv",0\r\n')
        assert host.ask("AT+QIRD=0,1500") == f"\r\n+QIRD: 512\r\n{octets[::-1].decode('latin-1')}\r\n\r\nOK\r\n"


def test_a_simcom_exchanges_datagrams(start: Start, server: socket.socket) -> None:
    with start("--dialect", "simcom").host() as host:
        host.ask("AT+NETOPEN", "+NETOPEN: 0\r\n")
        host.ask("AT+CIPRXGET=1")
        assert host.ask('AT+CIPOPEN=1,"UDP",,,0') == "\r\n+CIPOPEN: 1,0\r\n\r\nOK\r\n"
        host.ask(f'AT+CIPSEND=1,5,"127.0.0.1",{server.getsockname()[1]}', "\r\n>")
        host.port.write(b"\x1ahell")
        host.until("+CIPSEND: 1,5,5\r\n")
        data, modem = server.recvfrom(2_048)
        assert data == b"\x1ahell"
        server.sendto(b"back", modem)
        host.until("\r\n+CIPRXGET: 1,1\r\n")
        assert host.ask("AT+CIPRXGET=2,1,1500") == "\r\n+CIPRXGET: 2,1,4,0\r\nback\r\n\r\nOK\r\n"


def test_datagrams_of_strangers_do_not_reach_a_quectel(start: Start, server: socket.socket) -> None:
    with start().host() as host, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        open_quectel(host, server, mode=1)
        port = int(host.ask("AT+QISTATE=1,0").split(",")[4])
        stranger.sendto(b"spoofed", ("127.0.0.1", port))
        server.sendto(b"true", ("127.0.0.1", port))
        assert host.until("true\r\n") == '\r\n+QIURC: "recv",0,4\r\ntrue\r\n'


def test_names_that_nobody_has(start: Start) -> None:
    with start().host() as host:
        host.ask("AT+QIACT=1")
        host.ask('AT+QIOPEN=1,0,"UDP","no host has this",5683,0,0')
        host.until("+QIOPEN: 0,565\r\n")


def test_a_local_port_that_another_link_has(start: Start) -> None:
    with start().host() as host:
        host.ask("AT+QIACT=1")
        for link, result in ((0, 0), (1, 566)):
            host.ask(f'AT+QIOPEN=1,{link},"UDP","127.0.0.1",5683,49152,0')
            host.until(f"+QIOPEN: {link},{result}\r\n")
        host.ask("AT+QICLOSE=0")
        host.ask('AT+QIOPEN=1,2,"UDP","127.0.0.1",5683,49152,0')
        host.until("+QIOPEN: 2,0\r\n")


def test_a_network_with_one_peer_takes_every_address_for_it(start: Start, server: socket.socket) -> None:
    with start("--reach", f"127.0.0.1:{server.getsockname()[1]}").host() as host:
        host.ask("AT+QIACT=1")
        host.ask('AT+QIOPEN=1,0,"UDP","192.0.2.7",5683,0,0')
        host.until("+QIOPEN: 0,0\r\n")
        host.ask("AT+QISEND=0,3", "\r\n> ")
        host.port.write(b"out")
        assert server.recv(100) == b"out"


def test_messages_go_both_ways_through_the_centre(start: Start, centre: Process, connect: Connect) -> None:
    gateway = connect().attach(GATEWAY)
    port = centre.wait_for_line(r".*:(\d+)$", 5)[1]
    modem = start("--smsc", f"127.0.0.1:{port}", "--number", DEVICE)
    pdu = "0001000A91945155002000" + "04" + "03" + "0000FF"
    with modem.host() as host:
        host.ask(f"AT+CMGS={len(pdu) // 2 - 1}", "\r\n> ")
        host.port.write(pdu.encode() + b"\x1a")
        assert host.until("OK\r\n") == "\r\n+CMGS: 0\r\n\r\nOK\r\n"
        delivery = gateway.read()
        assert (delivery["from"], delivery["ud"], delivery["dcs"]) == (DEVICE, "0000ff", 4)
        assert gateway.submit("g1", b"\x01\x02", DEVICE)["type"] == "submitted"
        host.until('\r\n+CMTI: "SM",0\r\n')
        assert "020102\r\n" in host.ask("AT+CMGR=0"), "two octets: 01 02"


def test_messages_wait_for_a_modem_without_network_and_for_room(
    start: Start, centre: Process, connect: Connect
) -> None:
    gateway = connect().attach(GATEWAY)
    port = centre.wait_for_line(r".*:(\d+)$", 5)[1]
    modem = start("--smsc", f"127.0.0.1:{port}", "--number", DEVICE, "--registration", "searching")
    for number in range(21):
        gateway.submit(f"g{number}", b"%d" % number, DEVICE)
    with modem.host() as host:
        assert host.ask("AT+CPMS?").startswith('\r\n+CPMS: "SM",0,20')
        modem.suffer("registration", state="home")
        modem.said("no place for a message in SM")
        host.until('+CMTI: "SM",19\r\n')
        host.ask("AT+CMGD=5")
        assert host.until('+CMTI: "SM",5\r\n')
        assert b"20".hex() in host.ask("AT+CMGR=5")


def test_a_centre_that_is_not_there_yet(start: Start, launch: Launch) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    modem = start("--smsc", f"127.0.0.1:{port}")
    modem.said("no message centre at .*")
    with modem.host() as host:
        host.ask("AT+CMGS=23", "\r\n> ")
        host.port.write(SUBMIT.encode() + b"\x1a")
        launch("smsc", "--listen", f"127.0.0.1:{port}")
        host.until("\r\n+CMGS: 0\r\n\r\nOK\r\n")


def gone(port: serial.Serial) -> None:
    """Wait until this port is unplugged."""
    try:
        while port.read(1):
            pass
    except (serial.SerialException, OSError):
        return
    raise AssertionError("the port stayed")


@pytest.mark.parametrize("way", ["AT+CFUN=1,1", "reset", "brown-out"])
def test_a_reset_makes_another_port_behind_the_same_link(start: Start, way: str) -> None:
    modem = start()
    with modem.host() as host:
        before = modem.link.readlink()
        with open(before, "rb") as held:  # so that the next port cannot have its name  # noqa: PTH123
            if way.startswith("AT"):
                host.ask(way)
            else:
                modem.suffer(way)
            gone(host.port)
            assert held.fileno() >= 0
            wait_until(modem.link.is_symlink, READ_S, "the new port")
            assert modem.link.readlink() != before
    with serial.Serial(str(modem.link), timeout=READ_S) as port:
        said = Host(port).until("+QIND: PB DONE\r\n")
        assert said.startswith("\r\nRDY\r\n\r\n+CPIN: READY\r\n")
        Host(port).ask("AT")


def test_unplugged_in_the_middle_of_a_send(start: Start, server: socket.socket) -> None:
    modem = start()
    with modem.host() as host:
        open_quectel(host, server)
        host.ask("AT+QISEND=0,10", "\r\n> ")
        host.port.write(b"hello")
        modem.suffer("unplug", seconds=0.1)
        gone(host.port)
    wait_until(modem.link.is_symlink, READ_S, "the port again")
    with modem.host() as host:
        assert ",2,1,0,0," in host.ask("AT+QISTATE=1,0"), "the socket stayed"


def test_a_hang_and_its_end_by_the_key(start: Start) -> None:
    modem = start()
    with modem.host() as host:
        modem.suffer("hang", seconds=None)
        host.port.write(b"AT\r")
        host.port.timeout = 0.3
        assert host.port.read(1) == b""
        modem.suffer("pwrkey", seconds=1.0)
        gone(host.port)
    modem.said("power off")
    modem.suffer("pwrkey", seconds=1.0)
    modem.said("power on")
    with modem.host() as host:
        host.ask("AT")


def test_a_deaf_modem_lets_the_line_fill_up(start: Start) -> None:
    modem = start()
    with modem.host() as host:
        modem.suffer("deaf", seconds=None)
        host.port.write_timeout = 0.2
        with pytest.raises(serial.SerialTimeoutException):
            host.port.write(b"AT\r" * 100_000)
        modem.suffer("rail-off")
        gone(host.port)
    assert not modem.link.is_symlink()
    modem.suffer("rail-on")
    wait_until(modem.link.is_symlink, READ_S, "the port again")
    with modem.host() as host:
        host.ask("AT")


def test_ten_thousand_results_reach_a_slow_reader_and_the_answer_after_them(start: Start) -> None:
    modem = start()
    with modem.host() as host:
        modem.suffer("storm", count=10_000)
        host.port.write(b"AT+CPIN?\r")
        begun = time.monotonic()
        said = host.until("+CPIN: READY\r\n\r\nOK\r\n")
        assert said.count(STORM_RESULT) == 10_000
        assert time.monotonic() - begun < READ_S


def test_a_pin_from_a_file(start: Start, run: Path) -> None:
    (run / "pin").write_text("2468\n")
    with start("--pin-file", run / "pin", "--registration", "home").host() as host:
        assert host.ask("AT+CPIN?") == "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n"
        host.ask("AT+CPIN=2468", "+CPIN: READY\r\n")


def test_other_beginnings(start: Start) -> None:
    with start("--no-sim", "--no-echo", "--signal-dbm", "none").host() as host:
        assert host.ask("AT+CMEE=2;+CSQ") == "\r\n+CSQ: 99,99\r\n\r\nOK\r\n"
        host.ask("AT+CPIN?", "\r\n+CME ERROR: SIM not inserted\r\n")


def modem_do(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SIM, "modem-do", *map(str, words)], capture_output=True, text=True, timeout=20, check=False)


def test_things_are_done_from_the_command_line(start: Start, run: Path) -> None:
    modem = start()
    assert modem_do(modem.control, "signal", "-111").returncode == 0
    assert modem_do(modem.control, "registration", "denied").returncode == 0
    modem.said("registration denied")
    refused = modem_do(modem.control, "lose-socket", "3")
    assert (refused.returncode, "no socket 3 is open" in refused.stderr) == (1, True)
    assert modem_do(modem.control, "signal", "loud").returncode == 1
    assert modem_do(run / "nobody", "reset").returncode == 3


def test_the_control_socket_is_its_owner_s_and_bounded(start: Start) -> None:
    modem = start()
    assert modem.control.stat().st_mode & 0o777 == 0o600
    with ControlClient(modem.control) as control, pytest.raises(SimulatorError, match="refuses fly"):
        control.request("fly")
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(modem.control))
        raw.settimeout(READ_S)
        raw.sendall(b"hello\n[]\n")
        assert raw.recv(4_096).count(b"error") >= 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            raw.sendall(b"x" * 100_000 + b"\n")
            while raw.recv(4_096):
                pass
    modem.suffer("signal", dbm=-80)
    assert modem.process.stop() == 0
    assert not modem.control.exists()
    assert not modem.link.is_symlink()
    with pytest.raises(ControlUnreachableError):
        modem.suffer("reset")
