"""What tests of a device with a modem do to its world, and how they read it."""

import contextlib
import io
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aiocoap import Message, oscore

from bondmate.cli import main as bondmatectl
from bondmate_sim.control import ControlClient
from bondmate_sim.palm import Pattern, felt, pulses
from bondmate_sim.process import Process, wait_until
from bondmate_sim.world import VIBRATION_PIN, Datagram, World
from tests.e2e.conftest import DELIVERED_S, Nonce, alerts, calls, ctl, press

READY_S = 20.0


@dataclass(frozen=True)
class Raised:
    """An alert of this test's."""

    alert_id: str
    t_ns: int
    """CLOCK_MONOTONIC, just before the button went down."""


def tell_modem(world: World, op: str, **fields: object) -> None:
    """Do something to the modem; returns when it is done."""
    with ControlClient(world.mobile.modem_control) as modem:
        modem.request(op, **fields)


@contextlib.contextmanager
def black_hole(*relays: Process) -> Iterator[None]:
    """Nothing comes through while this lasts. What was sent by then comes late, as from a network that was away."""
    pids = [pid for relay in relays if (pid := relay.pid) is not None]
    assert len(pids) == len(relays)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def await_modem(world: World) -> None:
    """Until the modem is of use."""
    wait_until(lambda: ctl(world, "bearers")["modem"]["why_not"] is None, READY_S, "the modem to be of use")


def calm(world: World) -> World:
    """Until nothing of an earlier test waits for anything."""
    if (alert := ctl(world, "alert", "show")) is not None and alert["state"] == "delivered":
        ctl(world, "alert", "cancel")
        wait_until(lambda: alerts(world)[-1]["state"] == "cancelled", READY_S, "the gateway to know of that")
    await_modem(world)
    wait_until(lambda: not ctl(world, "queue"), READY_S, "an empty queue")
    return world


def raise_alert(world: World) -> Raised:
    """Press the button; returns after its release, as soon as the device has the alert.

    What is pressed within 50 ms of a release is no other press: let something be felt in between.
    """
    before, t_ns = ctl(world, "alert", "show"), time.monotonic_ns()
    press(world)

    def look() -> str | None:
        alert = ctl(world, "alert", "show")
        return None if alert is None or (before and alert["alert_id"] == before["alert_id"]) else alert["alert_id"]

    return Raised(wait_until(look, 30, "the device to have the alert"), t_ns)


def delivered(world: World, raised: Raised) -> dict[str, Any]:
    """What the device says of the alert, its newest, as soon as a verified receipt came and that was felt."""

    def look() -> dict[str, Any] | None:
        alert: dict[str, Any] = ctl(world, "alert", "show")
        return alert if (alert["alert_id"], alert["state"]) == (raised.alert_id, "delivered") else None

    alert = wait_until(look, DELIVERED_S, f"{raised.alert_id} to be delivered")
    wait_until(lambda: "delivered" in felt_since(world, raised.t_ns, 1), 30, "that to be felt")
    return alert


def at_gateway(world: World, raised: Raised) -> dict[str, Any]:
    """The gateway's one and only row of the alert."""
    [row] = [one for one in calls(world) if one["alert_id"] == raised.alert_id]
    assert (row["verdict"], row["forks"]) == ("held", [])
    return row


def await_attempt(world: World, bearer: str) -> None:
    """Until the alert is on its way over the bearer."""
    why = f"waiting for the gateway's answer over {bearer}"
    wait_until(
        lambda: any(row["kind"] in ("panic", "escalation") and row["why"] == why for row in ctl(world, "queue")),
        10,
        f"the alert to go over {bearer}",
    )


def felt_since(world: World, t_ns: int, number: int) -> list[Pattern]:
    """The patterns that a hand felt since then, as soon as there are so many."""

    def look() -> list[Pattern] | None:
        seen = [one.pattern for one in felt(pulses(world.edges(VIBRATION_PIN, t_ns)), time.monotonic_ns())]
        return seen if len(seen) >= number else None

    return wait_until(look, 30, f"{number} patterns")


def said(world: World, *words: str) -> str:
    """What `bondmatectl` prints for people."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert bondmatectl(["--socket", str(world.api_socket), *words]) == 0
    return out.getvalue()


def up(datagrams: list[Datagram], since_ns: int) -> list[Datagram]:
    """What went to the gateway since then."""
    return [one for one in datagrams if one.direction == "up" and one.t_ns >= since_ns]


def down(datagrams: list[Datagram], since_ns: int) -> list[Datagram]:
    """What came from the gateway since then."""
    return [one for one in datagrams if one.direction == "down" and one.t_ns >= since_ns]


Tap = Callable[[], list[Datagram]]
"""A method of World's that tells all that a tap saw."""


def await_up(tap: Tap, raised: Raised) -> Datagram:
    """The first that went to the gateway since the alert was raised."""
    return wait_until(lambda: up(tap(), raised.t_ns), 30, "something to go up")[0]


def await_down(tap: Tap, raised: Raised) -> Datagram:
    """The first that came from the gateway since the alert was raised."""
    return wait_until(lambda: down(tap(), raised.t_ns), 30, "something to come down")[0]


def await_passed(relay_port: int, tap: Tap) -> None:
    """Until a relay has dealt with all that was sent to it before, and its tap shows that."""
    fence = b"fence " + secrets.token_bytes(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(fence, ("127.0.0.1", relay_port))
        wait_until(lambda: any(one.data == fence for one in tap()), 30, "the tap to show the fence")


@dataclass(frozen=True)
class Layout:
    """All that can be told without keys of an OSCORE-protected CoAP message, but for what differs each time."""

    mtype: int
    code: int
    options: tuple[int, ...]
    flags: int
    """Of the OSCORE option (RFC 8613, 6.1): h for a kid context, k for a kid; without n, the sender number's length."""


def layout(datagram: bytes) -> Layout:
    """Raises for what is no such message."""
    message = Message.decode(datagram)
    options = tuple(int(option.number) for option in message.opt.option_list())
    return Layout(int(message.mtype), int(message.code), options, (message.opt.oscore or b"\0")[0] & ~0b111)


def nonce(datagram: bytes) -> Nonce:
    """Of a request."""
    _, _, outside, _ = oscore.CanUnprotect._extract_encrypted0(Message.decode(datagram))
    return Nonce(outside[oscore.COSE_KID_CONTEXT], outside[oscore.COSE_KID], outside[oscore.COSE_PIV])
