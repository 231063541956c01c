"""Killed at the worst moments: the same record arrives, once; and no start ever uses a nonce of another."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bondmate_sim.process import wait_until
from bondmate_sim.world import VIBRATION_PIN, World
from tests.e2e.conftest import alerts, calls, ctl, nonces, press, wait_for_alerts, wait_for_state

RESTARTS = 20


def test_twenty_restarts_each_first_alert_needs_one_exchange_and_no_nonce_comes_twice(world: World) -> None:
    sent_for_alert = []
    for start in range(1, RESTARTS + 1):
        before = len([one for one in world.datagrams() if one.direction == "up"])
        press(world)
        wait_for_state(world, "delivered")
        wait_until(lambda: not ctl(world, "queue") or None, 30, "an empty queue")
        after = len([one for one in world.datagrams() if one.direction == "up"])
        # the alert, and the position that follows it; the opening and the mailbox may have been under way too
        sent_for_alert.append(after - before)
        assert len(calls(world)) == start
        if start < RESTARTS:
            world.daemon.kill()
            world.start_daemon()
    assert max(sent_for_alert) <= 5, sent_for_alert
    used = nonces(world)
    assert len({nonce.session for nonce in used}) == RESTARTS
    assert len({nonce.kid for nonce in used}) == 1
    assert [nonce for nonce, ciphertexts in used.items() if len(ciphertexts) > 1] == []
    first_numbers = {nonce.session for nonce in used if nonce.number == b"\0"}
    assert len(first_numbers) == RESTARTS, "every session counts from 0 under fresh keys"
    assert all(one["chain"] == "whole" for one in alerts(world))


def test_a_nonce_used_twice_would_be_seen(world: World) -> None:
    press(world)
    wait_for_state(world, "delivered")
    first, *_ = (one for one in world.datagrams() if one.direction == "up")
    spoiled = first.data[:-1] + bytes([first.data[-1] ^ 1])
    world.tap_file.write_text(
        world.tap_file.read_text()
        + world.tap_file.read_text().splitlines()[0].replace(first.data.hex(), spoiled.hex())
        + "\n"
    )
    assert [nonce for nonce, ciphertexts in nonces(world).items() if len(ciphertexts) > 1] != []


def test_the_daemon_is_killed_between_stored_and_delivered(world: World) -> None:
    world.network.kill()
    press(world)
    stored = wait_for_state(world, "stored")
    world.daemon.kill()
    world.start_daemon()
    resumed = wait_until(lambda: _ctl_alert(world), 30, "the alert after the restart")
    assert resumed["alert_id"] == stored["alert_id"]
    assert resumed["state"] == "stored"
    assert alerts(world) == []
    world.start_network()
    [alert] = wait_for_alerts(world, 1)
    assert alert["alert_id"] == stored["alert_id"]
    wait_for_state(world, "delivered")
    assert len(alerts(world)) == 1
    assert alert["forks"] == []


def test_the_gateway_is_killed_before_it_could_store(world: World) -> None:
    world.gateway.kill()
    press(world)
    stored = wait_for_state(world, "stored")
    world.start_gateway()
    delivered = wait_for_state(world, "delivered")
    assert delivered["alert_id"] == stored["alert_id"]
    assert [one["alert_id"] for one in alerts(world)] == [stored["alert_id"]]


def test_the_gateway_is_killed_after_it_stored_and_before_its_answer_arrived(world: World) -> None:
    wait_until(lambda: not ctl(world, "queue") or None, 30, "an empty queue")
    world.network.kill()
    with _deaf_network(world):
        press(world)
        [held] = wait_for_alerts(world, 1)
        world.gateway.kill()
        shown = ctl(world, "alert", "show")
        assert shown["state"] == "stored", "held at the gateway, but no receipt came: not delivered"
    world.start_gateway()
    world.start_network()
    delivered = wait_for_state(world, "delivered")
    assert delivered["alert_id"] == held["alert_id"]
    [alert] = alerts(world)
    assert alert["digest"] == held["digest"]
    assert alert["forks"] == []


def test_a_restored_card_moves_its_counter_ahead_and_delivers(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.start_gateway()
    world.start_network()
    world.enrol()
    counter = world.directory / "state" / "start-counter"
    counter.write_text("1000\n")
    world.start_board()
    world.start_receiver()
    world.start_daemon()
    press(world)
    wait_for_state(world, "delivered")
    world.daemon.kill()
    for kept in (world.directory / "state").iterdir():
        kept.unlink()
    counter.write_text("10\n")
    world.start_daemon()
    press(world)
    assert wait_for_state(world, "delivered")["state"] == "delivered"
    assert len(alerts(world)) == 2
    assert int(counter.read_text()) > 11, "moved ahead of what the gateway saw last"


def test_delivered_is_felt_after_a_restart_too(world: World) -> None:
    world.network.kill()
    press(world)
    wait_for_state(world, "stored")
    world.daemon.kill()
    restarted_ns = max(edge.t_ns for edge in world.edges(VIBRATION_PIN))
    world.start_daemon()
    world.start_network()
    wait_for_state(world, "delivered")
    rises = wait_until(
        lambda: r if len(r := [e for e in world.edges(VIBRATION_PIN, restarted_ns + 1) if e.level == 1]) >= 2 else None,
        5,
        "two pulses",
    )
    assert len(rises) == 2


def _ctl_alert(world: World) -> dict[str, object] | None:
    try:
        alert: dict[str, object] | None = ctl(world, "alert", "show")
    except Exception as error:
        if "does not answer" not in str(error):
            raise
        return None
    return alert


@contextmanager
def _deaf_network(world: World) -> Iterator[None]:
    """In place of the network: everything goes up, nothing comes down."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream,
    ):
        listener.bind(("127.0.0.1", world.relay_port))
        listener.settimeout(0.1)
        ended = threading.Event()

        def relay() -> None:
            while not ended.is_set():
                try:
                    data = listener.recv(2048)
                except TimeoutError:
                    continue
                upstream.sendto(data, ("127.0.0.1", world.gateway_port))

        thread = threading.Thread(target=relay)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
