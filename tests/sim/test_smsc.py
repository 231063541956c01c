import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.process import Process
from tests.sim.conftest import Launch

DEVICE, GATEWAY = "+4915550001", "+4915550002"


class Client:
    """A client of the centre, line by line."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._file = self._socket.makefile("rb")

    def send(self, **message: Any) -> None:
        self.send_octets(json.dumps(message).encode() + b"\n")

    def send_octets(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def read(self) -> dict[str, Any]:
        line = self._file.readline()
        assert line, "the centre closed the connection"
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    def is_closed_by_the_centre(self) -> bool:
        try:
            return self._file.readline() == b""
        except ConnectionResetError:
            return True

    def attach(self, number: str) -> "Client":
        self.send(type="attach", number=number)
        assert self.read() == {"type": "attached", "number": number}
        return self

    def submit(self, name: str, octets: bytes, to: str = GATEWAY) -> dict[str, Any]:
        self.send(type="submit", id=name, to=to, dcs=4, udhi=False, udl=len(octets), ud=octets.hex())
        return self.read()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


Connect = Callable[[], Client]


@pytest.fixture
def centre(launch: Launch, tmp_path: Path) -> Process:
    return launch("smsc", "--tap", tmp_path / "tap.jsonl")


@pytest.fixture
def connect(centre: Process) -> Iterator[Connect]:
    port = int(centre.wait_for_line(r"message centre listening on 127\.0\.0\.1:(\d+)$", 5)[1])
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(port))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_a_message_is_submitted_delivered_and_acknowledged(connect: Connect, tmp_path: Path) -> None:
    gateway, device = connect().attach(GATEWAY), connect().attach(DEVICE)
    octets = bytes(range(116, 256))
    assert device.submit("m1", octets) == {"type": "submitted", "id": "m1"}
    delivery = gateway.read()
    assert delivery["time"].endswith("Z")
    assert {key: delivery[key] for key in delivery if key not in ("id", "time")} == {
        "type": "deliver", "from": DEVICE, "dcs": 4, "udhi": False, "udl": 140, "ud": octets.hex(),
    }  # fmt: skip
    gateway.send(type="acknowledged", id=delivery["id"])
    [tapped] = [json.loads(line) for line in (tmp_path / "tap.jsonl").read_text().splitlines()]
    assert (tapped["from"], tapped["to"], tapped["octets"], tapped["ud"]) == (DEVICE, GATEWAY, 140, octets.hex())
    assert tapped["fate"] == "sent"
    gateway.attach(GATEWAY)
    device.submit("m2", b"2")
    assert gateway.read()["ud"] == "32", "the first does not come again"


def test_stored_while_nobody_is_there_and_again_until_acknowledged(connect: Connect) -> None:
    device = connect().attach(DEVICE)
    device.submit("m1", b"kept")
    for _ in range(2):
        gateway = connect().attach(GATEWAY)
        assert gateway.read()["ud"] == b"kept".hex()
        gateway.close()


@pytest.mark.parametrize(
    "wrong",
    [{"to": "gateway"}, {"ud": "00" * 141, "udl": 141}, {"ud": "0"}, {"udl": 2}, {"dcs": 300}, {"udhi": "no"}],
)
def test_a_wrong_submission_is_refused_and_the_connection_stays(connect: Connect, wrong: dict[str, Any]) -> None:
    device = connect().attach(DEVICE)
    device.send(**({"type": "submit", "id": "x", "to": GATEWAY, "dcs": 4, "udhi": False, "udl": 1, "ud": "00"} | wrong))
    refused = device.read()
    assert (refused["type"], refused["id"]) == ("refused", "x")
    assert refused["why"]
    assert device.submit("y", b"good")["type"] == "submitted"


def test_nobody_without_a_number_submits(connect: Connect) -> None:
    device = connect()
    assert device.submit("m1", b"1")["type"] == "refused"


@pytest.mark.parametrize(
    "octets", [b"hello\n", b"[]\n", b'{"type":"attach","number":"me"}\n', b"{}\n", b"x" * 5_000 + b"\n", b"\xff\n"]
)
def test_a_malformed_line_ends_the_connection_and_nobody_else_s(
    connect: Connect, centre: Process, octets: bytes
) -> None:
    good, bad = connect().attach(GATEWAY), connect()
    bad.send_octets(octets)
    assert bad.is_closed_by_the_centre()
    centre.wait_for_line("message centre: closed the connection of a client without a number: .+", 5)
    assert good.submit("m1", b"1") == {"type": "submitted", "id": "m1"}


def test_reordered_messages_come_late_or_after_the_next(launch: Launch) -> None:
    process = launch("smsc", "--listen", "127.0.0.1:0", "--reorder", "0.5", "--delay-s", "0.01,0.02", "--seed", "2")
    port = int(process.wait_for_line(r".*:(\d+)$", 5)[1])
    gateway, device = Client(port).attach(GATEWAY), Client(port).attach(DEVICE)
    for number in range(10):
        device.submit(str(number), b"%d" % number)
    came = [int(bytes.fromhex(gateway.read()["ud"])) for _ in range(10)]
    assert sorted(came) == list(range(10))
    assert came != sorted(came)
    gateway.close()
    device.close()
