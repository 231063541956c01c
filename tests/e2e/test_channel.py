"""What an eavesdropper or a liar on the network can do with real datagrams: nothing."""

import json
import secrets
import shutil
import socket
from collections.abc import Callable

from aiocoap import UNAUTHORIZED, Message
from aiocoap.numbers.types import ACK

from bondmate_sim.process import wait_until
from bondmate_sim.world import World
from tests.e2e.conftest import alerts, calls, ctl, press, wait_for_state


def exchange(world: World, datagram: bytes) -> Message:
    """Send a datagram straight to the gateway from a new address; its answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(datagram, ("127.0.0.1", world.gateway_port))
        answer: Message = Message.decode(sock.recv(2048))
        return answer


def test_an_unprotected_post_is_refused_and_leaves_nothing(world: World) -> None:
    press(world)
    wait_for_state(world, "delivered")
    [alert] = alerts(world)
    record = bytes.fromhex(str(alert["record_hex"]))
    # RFC 7252, section 3: version 1, CON, token of 1; 0.02 POST; id 7; token; Uri-Path (11) of 1 octet; marker
    answer = exchange(world, b"\x41\x02\x00\x07t\xb1r\xff" + record)
    assert (answer.code, answer.mtype, answer.payload) == (UNAUTHORIZED, ACK, b"")
    assert [(one["alert_id"], one["record_hex"], one["forks"]) for one in alerts(world)] == [
        (alert["alert_id"], alert["record_hex"], [])
    ], "its positions go on"


def test_every_datagram_of_the_device_is_refused_when_replayed(world: World) -> None:
    press(world)
    wait_for_state(world, "delivered")
    wait_until(
        lambda: alerts(world)[0]["positions"] and not ctl(world, "queue"), 10, "the position, and an empty queue"
    )
    before = alerts(world)
    ups = [
        one.data for one in world.datagrams() if one.direction == "up" and Message.decode(one.data).code.is_request()
    ]
    assert len(ups) >= 2
    for datagram in ups:
        assert exchange(world, datagram).code == UNAUTHORIZED
    world.gateway.kill()
    world.start_gateway()
    for datagram in ups:
        assert exchange(world, datagram).code == UNAUTHORIZED, "after a kill -9 of the gateway too"
    assert alerts(world) == before


def test_a_device_with_wrong_keys_is_refused_and_leaves_nothing(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.start_gateway()
    world.start_network()
    world.enrol()
    file = world.directory / "credentials" / "credentials.json"
    document = json.loads(file.read_text())
    document["channel_secret"] = secrets.token_hex(32)
    file.write_text(json.dumps(document))
    world.start_board()
    world.start_receiver()
    world.start_daemon()
    press(world)
    shown = wait_for_state(world, "stored")
    assert shown["delivered_at"] is None

    def why() -> str | None:
        [ip] = ctl(world, "status")["bearers"]
        return ip["why_not"] if "4.01" in (ip["why_not"] or "") else None

    assert world.daemon.wait_until(why, 30, "to say why nothing is delivered")
    assert alerts(world) == []
    assert any(row["kind"] == "panic" and row["attempts"] >= 1 for row in ctl(world, "queue"))


def test_a_copied_card_is_shown_as_what_it_is(world: World) -> None:
    press(world)
    wait_for_state(world, "delivered")
    copy = world.directory / "copy"
    shutil.copytree(world.directory / "state", copy)
    world.daemon.kill()
    world.start_daemon()
    press(world)
    wait_for_state(world, "delivered")
    world.daemon.kill()
    shutil.rmtree(world.directory / "state")
    shutil.copytree(copy, world.directory / "state")
    world.start_daemon()
    press(world)
    wait_for_state(world, "delivered")
    assert len(calls(world)) == 3
    assert len({one["alert_id"] for one in calls(world)}) == 3, "sessions differ though the counter is the same"
