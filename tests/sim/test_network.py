import itertools
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.process import Process, wait_until
from tests.sim.conftest import SIM, Launch

Open = Callable[[], socket.socket]


@pytest.fixture
def open_socket() -> Iterator[Open]:
    opened: list[socket.socket] = []

    def make() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.append(one)
        one.bind(("127.0.0.1", 0))
        one.settimeout(10)
        return one

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def gateway(open_socket: Open) -> socket.socket:
    return open_socket()


Relay = Callable[..., tuple[str, int]]


@pytest.fixture
def relay(launch: Launch, gateway: socket.socket, tmp_path: Path) -> Relay:
    """Start a relay before the gateway with these options; returns where clients send to."""

    def start(*options: str) -> tuple[str, int]:
        port = gateway.getsockname()[1]
        process: Process = launch(
            "network", "--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{port}",
            "--tap", tmp_path / "tap.jsonl", *options,
        )  # fmt: skip
        ready = process.wait_for_line(r"listening on ([\d.]+):(\d+)$", 5)
        return ready[1], int(ready[2])

    return start


def tapped(tmp_path: Path) -> list[dict[str, Any]]:
    """The lines that are whole: the relay may be writing one."""
    whole, _, _ = (tmp_path / "tap.jsonl").read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def drain(receiver: socket.socket) -> list[bytes]:
    """What has come, up to a datagram that says so."""
    return list(itertools.takewhile(lambda data: data != b"end", iter(lambda: receiver.recv(2048), None)))


def test_datagrams_pass_both_ways_and_the_tap_has_them(
    relay: Relay, gateway: socket.socket, open_socket: Open, tmp_path: Path
) -> None:
    device, address = open_socket(), relay()
    device.sendto(b"\x40\x02alert\x00\xff", address)
    data, nat = gateway.recvfrom(2048)
    gateway.sendto(b"receipt", nat)
    assert device.recv(2048) == b"receipt"
    assert data == b"\x40\x02alert\x00\xff"
    up, down = tapped(tmp_path)
    assert set(up) == {"t_ns", "utc", "direction", "client", "octets", "hex", "fate"}
    assert (up["direction"], up["octets"], up["hex"], up["fate"]) == ("up", 9, data.hex(), "sent")
    assert up["client"] == down["client"] == f"127.0.0.1:{device.getsockname()[1]}"
    assert (down["direction"], bytes.fromhex(down["hex"])) == ("down", b"receipt")
    assert up["t_ns"] < down["t_ns"]


def test_each_client_has_a_port_of_its_own(relay: Relay, gateway: socket.socket, open_socket: Open) -> None:
    address = relay()
    first, second = open_socket(), open_socket()
    nats: dict[bytes, tuple[str, int]] = {}
    for device, data in ((first, b"1"), (second, b"2"), (first, b"1")):
        device.sendto(data, address)
        received, nat = gateway.recvfrom(2048)
        assert nats.setdefault(received, nat) == nat
    assert nats[b"1"] != nats[b"2"]
    for data, nat in nats.items():
        gateway.sendto(data, nat)
    assert (first.recv(2048), second.recv(2048)) == (b"1", b"2")


def wait_for_tap(tmp_path: Path, count: int) -> None:
    wait_until(lambda: len(tapped(tmp_path)) >= count, 30, f"{count} datagrams at the tap")


def fates(relay: Relay, gateway: socket.socket, device: socket.socket, tmp_path: Path, *options: str) -> list[str]:
    """Send 200 datagrams up; the tap's word for each, after a check that it is what the gateway got."""
    (tmp_path / "tap.jsonl").unlink(missing_ok=True)
    address = relay(*options)
    for number in range(200):
        device.sendto(b"%d" % number, address)
        wait_for_tap(tmp_path, number + 1)
    gateway.sendto(b"end", gateway.getsockname())
    entries = tapped(tmp_path)
    copies = {"lost": 0, "sent": 1, "duplicated": 2}
    expected = [bytes.fromhex(entry["hex"]) for entry in entries for _ in range(copies[entry["fate"]])]
    assert drain(gateway) == expected
    return [entry["fate"] for entry in entries]


def test_a_seed_repeats_losses_and_duplicates(
    relay: Relay, gateway: socket.socket, open_socket: Open, tmp_path: Path
) -> None:
    device = open_socket()
    options = ("--loss", "0.3", "--duplicate", "0.2")
    first = fates(relay, gateway, device, tmp_path, *options, "--seed", "11")
    assert 30 < first.count("lost") < 90, "60 of 200 are expected; this is seven standard deviations wide"
    assert 10 < first.count("duplicated") < 50
    assert fates(relay, gateway, device, tmp_path, *options, "--seed", "11") == first
    assert fates(relay, gateway, device, tmp_path, *options, "--seed", "12") != first


def test_a_dead_network_loses_everything(
    relay: Relay, gateway: socket.socket, open_socket: Open, tmp_path: Path
) -> None:
    assert set(fates(relay, gateway, open_socket(), tmp_path, "--loss", "1")) == {"lost"}


def test_delay_holds_both_directions_back(
    relay: Relay, gateway: socket.socket, open_socket: Open, tmp_path: Path
) -> None:
    device, address = open_socket(), relay("--delay-ms", "100")
    device.sendto(b"question", address)
    _, nat = gateway.recvfrom(2048)
    gateway.sendto(b"answer", nat)
    assert device.recv(2048) == b"answer"
    up, down = tapped(tmp_path)
    assert down["t_ns"] - up["t_ns"] >= 100e6


def test_jitter_lets_datagrams_overtake_one_another_and_loses_none(
    relay: Relay, gateway: socket.socket, open_socket: Open
) -> None:
    device, address = open_socket(), relay("--jitter-ms", "200", "--seed", "3")
    sent = [b"%d" % number for number in range(20)]
    for data in sent:
        device.sendto(data, address)
    received = [gateway.recv(2048) for _ in sent]
    assert sorted(received) == sorted(sent)
    assert received != sent


def test_jitter_leaves_a_seeds_losses_as_they_are(
    relay: Relay, gateway: socket.socket, open_socket: Open, tmp_path: Path
) -> None:
    device = open_socket()
    options = ("--loss", "0.3", "--duplicate", "0.2", "--seed", "11")
    still = fates(relay, gateway, device, tmp_path, *options)
    (tmp_path / "tap.jsonl").unlink()
    address = relay(*options, "--jitter-ms", "5")
    for number in range(200):
        device.sendto(b"%d" % number, address)
        wait_for_tap(tmp_path, number + 1)
    assert [entry["fate"] for entry in tapped(tmp_path)] == still


def turns(seen: list[dict[str, Any]]) -> list[str]:
    """The fates, each told once until it changes."""
    return [fate for fate, _ in itertools.groupby(entry["fate"] for entry in seen)]


def test_a_partition_comes_and_goes(relay: Relay, gateway: socket.socket, open_socket: Open, tmp_path: Path) -> None:
    """0.3 s each: datagrams at every look see both, as blocks, in both directions."""
    device, address = open_socket(), relay("--partition", "0.3,0.3")
    device.sendto(b"hello", address)
    _, nat = gateway.recvfrom(2048)

    def sent_until_up_again() -> list[dict[str, Any]] | None:
        device.sendto(b"up", address)
        gateway.sendto(b"down", nat)
        seen = tapped(tmp_path)
        return seen if turns(seen)[-2:] == ["lost", "sent"] else None

    seen = wait_until(sent_until_up_again, 30, "the network to go and to come back")
    assert turns(seen) == ["sent", "lost", "sent"]
    lost = [entry for entry in seen if entry["fate"] == "lost"]
    assert {entry["direction"] for entry in lost} == {"up", "down"}
    assert lost[-1]["t_ns"] - lost[0]["t_ns"] <= 0.3e9


def test_a_rebind_gives_a_new_port_and_forgets_the_old_one(
    relay: Relay, gateway: socket.socket, open_socket: Open
) -> None:
    device, address = open_socket(), relay("--rebind-every", "2")
    nats = []
    for number in range(4):
        device.sendto(b"%d" % number, address)
        nats.append(gateway.recvfrom(2048)[1])
    assert nats[0] == nats[1] != nats[2] == nats[3]
    gateway.sendto(b"to the old port", nats[0])
    gateway.sendto(b"to the new port", nats[3])
    assert device.recv(2048) == b"to the new port"


def test_a_gateway_that_is_down_is_silence_and_then_works_again(
    relay: Relay, gateway: socket.socket, open_socket: Open
) -> None:
    device, address = open_socket(), relay()
    port = gateway.getsockname()
    gateway.close()
    for _ in range(3):
        device.sendto(b"into the void", address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
        back.settimeout(10)
        back.bind(port)
        device.sendto(b"hello again", address)
        received = {back.recv(2048)}
        while b"hello again" not in received:
            received.add(back.recv(2048))
    assert received <= {b"into the void", b"hello again"}


def test_a_port_in_use_is_an_error_with_its_name(gateway: socket.socket) -> None:
    port = gateway.getsockname()[1]
    done = subprocess.run(
        [SIM, "network", "--listen", f"127.0.0.1:{port}", "--upstream", "127.0.0.1:9"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("windows", ["3", "3,", "0,1", "1,-1", "one,two"])
def test_a_partition_is_two_times(windows: str) -> None:
    done = subprocess.run(
        [SIM, "network", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9", "--partition", windows],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "argument --partition" in done.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--upstream", "no-such-host.invalid:1"], "cannot find the gateway no-such-host.invalid"),
        (["--upstream", "127.0.0.1:9", "--tap", "/nonexistent/tap"], "cannot write to /nonexistent/tap"),
    ],
)
def test_what_cannot_work_is_told_at_the_start(options: list[str], why: str) -> None:
    done = subprocess.run(
        [SIM, "network", "--listen", "127.0.0.1:0", *options], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert why in done.stderr
    assert "Traceback" not in done.stderr
