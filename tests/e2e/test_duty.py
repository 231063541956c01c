"""Off duty, a press, a shift: with a receiver that is set up, sleeps and wakes, and what of it all is on the wire."""

import re
from collections.abc import Callable
from typing import Any

from bondmate_sim.palm import Pulse, pulses
from bondmate_sim.process import wait_until
from bondmate_sim.world import LED_PIN, World
from tests.e2e.conftest import alerts, ctl, press, wait_for_state

ROUTE = ("--route", "38.72225,-9.13934", "38.72401,-9.14021")
NEWS_S = 20.0


def told(world: World, news: str, times: int) -> None:
    """Wait until the receiver has said so often that it fell asleep, or awoke."""
    line = re.compile(rf"^{news}$", re.MULTILINE)
    wait_until(lambda: len(line.findall(world.receiver.log.read_text())) >= times, NEWS_S, f"{news}, {times} times")


def flashes(world: World) -> list[Pulse]:
    """Each time that the LED was lit and went out again: so it shows that positions are precise."""
    return list(pulses(world.edges(LED_PIN)))


def settled(world: World) -> bool:
    """Whether all is delivered that off duty is."""
    waiting: dict[str, int] = ctl(world, "status")["queue"]
    return waiting["alert"] == waiting["position"] == 0


def test_a_receiver_sleeps_off_duty_and_is_woken_by_a_press_and_by_a_shift(make_world: Callable[..., World]) -> None:
    world = make_world(on_duty=False, receiver=(*ROUTE, "--receiver", "ublox", "--baud", "38400"))
    world.start_gateway()
    world.start_network()
    world.enrol()
    config = world.config_file.read_text()
    world.config_file.write_text(config.replace("speed_baud = 9600", 'speed_baud = "auto"\nreceiver = "ublox"'))
    world.start_board()
    world.start_receiver()
    world.start_daemon()
    # it runs from the moment it has power: its speed is found, and it is put to sleep
    told(world, "asleep", 1)
    status = ctl(world, "status")
    assert (status["duty"], status["fix"], status["faults"]) == ("off", None, [])
    assert world.datagrams() == []

    press(world)
    wait_for_state(world, "delivered")
    [alert] = alerts(world)
    assert alert["fix"] is None, "it went at once"
    told(world, "awake", 1)
    told(world, "obeyed rate 1000 ms", 1)
    located: Any = wait_until(lambda: (now := alerts(world)[0])["positions"] and now["fix"], NEWS_S, "a position")
    assert abs(located["lat"] - 38.722) < 0.01
    assert ctl(world, "privacy")["collected"][0]["what"] == "position"
    wait_until(lambda: flashes(world), NEWS_S, "the LED to flash")

    ctl(world, "alert", "cancel")
    told(world, "asleep", 2)
    wait_until(lambda: settled(world), NEWS_S, "all of the alert to be delivered")
    sent = len(world.datagrams())
    assert ctl(world, "status")["fix"] is None

    ctl(world, "duty", "on")
    told(world, "awake", 2)
    present: Any = wait_until(lambda: world.at_gateway("devices")[0]["presence"], NEWS_S, "a presence")
    assert present["fix"]["coarse"]
    assert len(world.datagrams()) > sent
    ctl(world, "duty", "off")
    told(world, "asleep", 3)
    assert ctl(world, "privacy")["collected"] == []
