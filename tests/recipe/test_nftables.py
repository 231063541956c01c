"""The rules of the network as a kernel holds them: real sockets on either side of a wire, and what passes."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bondmate_sim.process import Process
from tests.recipe.machine import MAKING_S, RECIPE, Machine, Root, network_of

DEVICE, OUTSIDE = "192.0.2.1", "192.0.2.2"
SILENT_S = 2.0
"""What is dropped is not answered; a control shows that an answer comes where it is not."""
SOON_S = 50.0
SEND = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'{text}', ('{host}', {port}))"
CONNECT = "import socket; socket.create_connection(('{host}', {port}), 50); print('connected')"
ASK = """
import socket
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(50)
asking.connect(("{host}", {port}))
asking.send(b"question")
print(asking.recv(100).decode())
"""

pytestmark = pytest.mark.timeout(MAKING_S + 300)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[int]:
    """A network beside the machine's: the process that holds it."""
    if shutil.which("ip") is None:
        pytest.skip("no ip here: it is Debian's package iproute2")
    holder = Process("outside", ["unshare", "--net", "sh", "-c", "echo here; exec sleep 600"], tmp_path / "outside.log")
    holder.start()
    holder.wait_for_line("here", SOON_S)
    assert holder.pid is not None
    yield holder.pid
    holder.kill()


@pytest.fixture
def machine(tmp_path: Path, outside: int) -> Iterator[Machine]:
    """The machine, with a wire to the outside."""
    with Root() as root, Machine(root, tmp_path / "machine.log") as booted:
        wire(booted, outside)
        yield booted


def wire(machine: Machine, outside: int) -> None:
    for pid, name, address in ((machine.leader, "wire0", DEVICE), (outside, "wire1", OUTSIDE)):
        if pid == machine.leader:
            ip("link", "add", "wire0", "netns", str(pid), "type", "veth", "peer", "wire1", "netns", str(outside))
        with network_of(pid):
            ip("address", "add", f"{address}/24", "dev", name)
            ip("link", "set", name, "up")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def receiver(pid: int, port: int) -> socket.socket:
    with network_of(pid):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("0.0.0.0", port))
    made.settimeout(SOON_S)
    return made


def listener(pid: int, port: int) -> socket.socket:
    with network_of(pid):
        return socket.create_server(("0.0.0.0", port))


def knock(pid: int, port: int, seconds: float) -> bool:
    """Whether somebody there can connect to the device."""
    with network_of(pid):
        knocking = socket.socket()
    with closing(knocking):
        knocking.settimeout(seconds)
        try:
            knocking.connect((DEVICE, port))
        except TimeoutError:
            return False
        return True


def test_the_daemon_asks_at_any_port_and_is_answered(machine: Machine, outside: int, tmp_path: Path) -> None:
    with closing(receiver(outside, 40_000)) as gateway:
        asking = Process("asking", as_daemon(machine, ASK.format(host=OUTSIDE, port=40_000)), tmp_path / "asking.log")
        asking.start()
        question, address = gateway.recvfrom(100)
        assert question == b"question"
        gateway.sendto(b"answer", address)
        asking.wait_for_line("answer", SOON_S)
        asking.stop()


def as_daemon(machine: Machine, script: str) -> list[str]:
    return [
        "nsenter", "--target", str(machine.leader), "--all", "setpriv", "--reuid", "900", "--regid", "900",
        "--clear-groups", "/usr/lib/bondmate/bin/python", "-I", "-c", script,
    ]  # fmt: skip


def test_nobody_else_says_anything_but_what_a_network_needs(machine: Machine, outside: int) -> None:
    with closing(receiver(outside, 5683)) as coap, closing(receiver(outside, 123)) as ntp:
        machine.as_user("bondmate-console", SEND.format(text="page", host=OUTSIDE, port=5683))
        machine.as_user("root", SEND.format(text="root", host=OUTSIDE, port=5683))
        machine.as_user("bondmate-updater", SEND.format(text="updater", host=OUTSIDE, port=5683))
        machine.as_user("bondmate", SEND.format(text="daemon", host=OUTSIDE, port=5683))
        assert coap.recv(100) == b"daemon", "what came before it did not get out"
        machine.as_user("_chrony", SEND.format(text="time", host=OUTSIDE, port=123))
        assert ntp.recv(100) == b"time"
    for user, port, passes in (
        ("_chrony", 4460, True),
        ("root", 53, True),
        ("bondmate", 443, False),
        ("bondmate-updater", 443, True),
        ("bondmate-updater", 8080, True),
        ("bondmate-console", 443, False),
        ("root", 443, False),
    ):
        with closing(listener(outside, port)):
            said = machine.as_user(user, CONNECT.format(host=OUTSIDE, port=port))
        # told at once, not after the patience of the one who tried
        assert said == "connected\n" if passes else "No route to host" in said, (user, port, said)


def test_nobody_who_comes_from_outside_is_let_in(machine: Machine, outside: int) -> None:
    with closing(listener(machine.leader, 8000)), closing(listener(machine.leader, 22)):
        assert not knock(outside, 8000, SILENT_S)
        assert not knock(outside, 22, SILENT_S)
        with closing(receiver(machine.leader, 5683)) as device, closing(receiver(outside, 9999)) as stranger:
            stranger.sendto(b"hello", (DEVICE, 5683))
            device.settimeout(SILENT_S)
            with pytest.raises(TimeoutError):
                device.recv(100)
        # on a bench ssh comes in, and nothing else
        bench = (RECIPE / "bench/etc/nftables.d/ssh.nft").read_text(encoding="utf-8")
        (machine.path("/etc/nftables.d")).mkdir()
        machine.path("/etc/nftables.d/ssh.nft").write_text(bench)
        machine.run("systemctl", "reload", "nftables")
        assert knock(outside, 22, SOON_S)
        assert not knock(outside, 8000, SILENT_S)
        machine.run("nft", "flush", "ruleset")
        assert knock(outside, 8000, SOON_S), "it was the rules that kept it out"
