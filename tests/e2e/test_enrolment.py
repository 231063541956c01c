"""A card with an enrolment file becomes an armed device: a real process, pins and sockets, a gateway by the page."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bondmate import credentials, identity
from bondmate.cose import verify1
from bondmate.records import DeviceId, SessionId
from bondmate.wire import record_aad
from bondmate_sim.mobile import Mobile
from bondmate_sim.process import wait_until
from bondmate_sim.world import World
from tests.e2e.conftest import ctl, make_world, press, wait_for_state
from tests.e2e.not_armed import SAID_S, wait_until_armed, wait_until_felt, wait_until_it_says, why
from tests.e2e.registrar import UdpRegistrar
from tests.enrolment_desk import DEVICE, GATEWAY_ID, KEY_ID, Force, Registrar, der, new_key, xy

__all__ = ["make_world"]

MakeWorld = Callable[..., World]

pytestmark = pytest.mark.timeout(240)


class Bench:
    """A world with a bare device, its card's boot partition, and a registrar."""

    def __init__(self, world: World, server: UdpRegistrar) -> None:
        self.world = world
        self.server = server
        self.registrar = server.registrar
        self.force = server.registrar.force
        self.boot = world.directory / "boot"
        self.credentials = world.directory / "credentials"
        world.gateway_port = server.port
        world.start_network()
        world.enrol()  # for the configuration; what another gateway enrolled goes
        (self.credentials / credentials.CREDENTIALS_FILE).unlink()
        self.put()
        with world.config_file.open("a") as file:
            file.write(f'\n[enrolment]\nfile = "{self.file}"\nforce_key = "{self.boot / "force.pem"}"\n')
        world.start_board()
        world.start_receiver()
        world.start_modem()

    @property
    def file(self) -> Path:
        return self.boot / "bondmate-enrol.cose"

    def put(self, **changes: Any) -> None:
        """A file of the force, with the way to the server."""
        force = self.force
        address = f"coap://127.0.0.1:{self.world.relay_port}"
        gateway = [GATEWAY_ID, [address], [[KEY_ID, der(force.gateway_key)]], xy(force.gateway_dh)]
        force.put(self.boot, **({"gateway": gateway} | changes))

    def wait_until_erased(self) -> None:
        wait_until(
            lambda: not self.file.exists() and not identity.is_pending(self.credentials),
            SAID_S,
            "the file and the pending keys to be erased",
        )

    def deliver(self) -> None:
        """A press comes to the gateway, signed with the key that it took."""
        since_ns = time.monotonic_ns()
        press(self.world)
        wait_for_state(self.world, "delivered")
        wait_until_felt(self.world, "stored", "delivered", since_ns=since_ns)
        assert self.registrar.taken is not None
        key = load_der_public_key(self.registrar.taken)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        for session, record in self.server.records:
            verify1(record, record_aad(DeviceId(DEVICE), SessionId(session)), {b"": key})
        assert self.server.records


@pytest.fixture
def bench(make_world: MakeWorld) -> Iterator[Bench]:
    with UdpRegistrar(Registrar(Force())) as server:
        yield Bench(make_world(on_duty=False), server)


def test_from_a_bare_directory_to_armed_a_press_and_a_verified_receipt(bench: Bench) -> None:
    world, server = bench.world, bench.server
    world.start_daemon()
    pid = world.daemon.pid
    assert wait_until_armed(world)["device"] == "BM-7f3a09c1"
    assert world.daemon.pid == pid
    bench.wait_until_erased()
    assert server.is_confirmed, "not before the gateway had heard the new keys"
    bench.deliver()
    assert not [path for path in server.seen if path.startswith("enrol:")][3:], "three requests, and no more"
    # a restart needs nothing of all that; and another file is erased, and not looked at
    assert world.daemon.stop() == 0
    bench.put(kid=b"new!", secret=bytes(32))
    world.start_daemon()
    wait_until(lambda: not bench.file.exists(), SAID_S, "the new file to be erased")
    assert ctl(world, "status")["device"] == "BM-7f3a09c1"
    bench.deliver()


def test_lost_requests_and_answers_strand_nobody(bench: Bench) -> None:
    lost: set[str] = set()

    def once(what: str) -> Callable[[int, str], bool]:
        def is_there(_number: int, path: str) -> bool:
            first = f"{what} {path}" not in lost and path in ("e", "k")
            lost.add(f"{what} {path}")
            return not first

        return is_there

    bench.server.on_request, bench.server.on_answer = once("request"), once("answer")
    bench.world.start_daemon()
    wait_until_armed(bench.world)
    assert {"request e", "answer e", "request k", "answer k"} <= lost
    bench.deliver()


def test_who_comes_second_with_the_same_file_is_refused(bench: Bench) -> None:
    bench.registrar.taken, bench.registrar.dh = der(new_key()), xy(new_key())
    bench.world.start_daemon()
    fault = wait_until_it_says(bench.world, "refused: another key was taken")
    assert "withdraw" in fault["next"]
    assert bench.server.seen == ["enrol:e"]
    assert bench.file.exists()


def test_another_forces_file_is_not_believed_and_a_right_one_is_taken_when_it_comes(bench: Bench) -> None:
    bench.force.put(bench.boot, signer=new_key())
    bench.world.start_daemon()
    wait_until_it_says(bench.world, "not signed by this force")
    bench.file.unlink()
    wait_until_it_says(bench.world, "no enrolment file on the boot partition")
    assert bench.server.seen == []
    assert not identity.is_pending(bench.credentials)
    bench.put()
    wait_until_armed(bench.world)


def test_the_networks_of_the_file_are_kept_for_the_owner_alone(bench: Bench) -> None:
    bench.put(network={1: [["station 7", "passphrase"]], 2: "iot.example", 5: "+4915559999"})
    bench.world.start_daemon()
    wait_until_armed(bench.world)
    kept = bench.credentials / "network.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "passphrase" not in bench.world.daemon.log.read_text()
    assert bench.force.secret.hex() not in bench.world.daemon.log.read_text()


@pytest.mark.long
def test_over_a_modem_alone_with_the_networks_of_the_file(make_world: MakeWorld, tmp_path: Path) -> None:
    (tmp_path / "sim").write_text("4711")
    options = ("--pin-file", str(tmp_path / "sim"), "--apn", "police.example")
    with UdpRegistrar(Registrar(Force())) as server:
        world = make_world(on_duty=False, mobile=Mobile(bearer="lte", options=options))
        bench = Bench(world, server)
        bench.put(network={2: "police.example", 3: "4711"})
        world.start_daemon()
        # over IP everything is lost, which takes 14 to 21 s to be given up; then the modem
        wait_until_armed(world, 150)
        assert (bench.credentials / "network-sim-pin").read_text() == "4711"
        bench.wait_until_erased()
        bench.deliver()
        assert {seen.partition(":")[0] for seen in server.seen} == {"enrol", "lte"}
        assert "4711" not in world.daemon.log.read_text()


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.long), "behind"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_killed_at_each_message_it_is_enrolled_after_a_restart(bench: Bench, when: str, number: int) -> None:
    """Behind the fourth, which is the first under the new keys, everything has its effect."""
    pids: list[int] = []

    def kill(count: int, path: str) -> bool:
        if count == number and not pids:
            assert bench.world.daemon.pid is not None
            pids.append(bench.world.daemon.pid)
            os.kill(pids[0], signal.SIGKILL)
            return False
        return True

    if when == "before":
        bench.server.on_request = kill
    else:
        bench.server.on_answer = kill
    bench.world.arm_daemon()
    wait_until(lambda: pids and bench.world.daemon.pid is None, SAID_S, "the daemon to be killed")
    key = bench.registrar.taken
    bench.world.start_daemon()
    wait_until_armed(bench.world)
    bench.wait_until_erased()
    assert key in (None, bench.registrar.taken)
    assert why(bench.world) == ""
    bench.deliver()
