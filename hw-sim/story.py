"""The story of one alert, from a finger on a button to the dispatcher's screen, step by step.

Every step is taken from the outside: the pins of the board, the tap of the network, the device's own client, the
gateway's own client. It ends well only if the device verified a receipt and the gateway shows the same alert. It prints
nothing (demo.py).
"""

import time
from collections.abc import Callable
from typing import Any

from bondmate_sim.commands import run
from bondmate_sim.errors import SimulatorError
from bondmate_sim.palm import Pattern, felt, pulses
from bondmate_sim.process import Process, WaitedError, wait_until
from bondmate_sim.world import VIBRATION_PIN, Datagram, World

FIX_S = 20.0
ARMED_S = 20.0
FELT_S = 15.0
REGISTERED_S = 20.0
SENT_S = 10.0
"""Beside what the device waits before it tries another way."""
DELIVERED_S = 20.0
"""Two tries of the device's, with their retransmissions, fit in it."""
PRESS_MARGIN_S = 0.3
"""A finger holds a little longer than it must."""
ALERT_OCTETS = range(100, 257)
"""UDP payload of an alert: 64 of signature, 36 around it (docs/protocol.md, section 3), up to a full COSE form."""


class Story:
    """The steps; each method does one, and returns it in plain words. Call them in the order of `steps`."""

    def __init__(self, world: World, receiver_words: str) -> None:
        """`receiver_words` describe the sky of the world."""
        self._world = world
        self._receiver_words = receiver_words
        self._end_of_hold_ns = 0
        self.result: dict[str, Any] = {}
        """The fields of the result line that are known so far."""
        self.dispatcher_view = ""
        """What the gateway's own client prints for a dispatcher, after the last step."""

    def steps(self) -> tuple[tuple[str, Callable[[], str], Process], ...]:
        """Name, deed, and the process whose log explains a failure."""
        world = self._world
        return (
            ("world", self._say_world, world.gateway),
            ("gateway", self._start_gateway, world.gateway),
            ("receiver", self._start_receiver, world.receiver),
            ("daemon", self._start_daemon, world.daemon),
            ("armed", self._await_armed, world.daemon),
            ("fix", self._await_fix, world.daemon),
            ("press", self._press, world.board),
            ("stored", self._await_stored, world.daemon),
            ("sent", self._await_sent, world.daemon),
            ("delivered", self._await_delivered, world.daemon),
            ("shown", self._show, world.gateway),
        )

    def _say_world(self) -> str:
        return f"a throw-away world in {self._world.directory}"

    def _start_gateway(self) -> str:
        self._world.start_gateway()
        self._world.start_network()
        self._world.enrol()
        return f"the gateway listens, and has enrolled {self._world.device}; every datagram passes a tap"

    def _start_receiver(self) -> str:
        self._world.start_receiver()
        self._world.start_modem()
        return self._receiver_words

    def _start_daemon(self) -> str:
        self._world.start_board()
        ready_s = self._world.start_daemon()
        return f"the unmodified daemon was ready {ready_s:.2f} s after its start"

    def _await_armed(self) -> str:
        def look() -> str | None:
            state: str = self._world.ctl("status")["state"]
            # A degraded device says so, but its button works.
            return state if state in ("armed", "degraded") else None

        state = self._world.daemon.wait_until(look, ARMED_S, "to be armed")
        if self._world.settings.mobile.has_modem:
            self._world.daemon.wait_until(self._modem_is_ready, REGISTERED_S, "to find its network over the modem")
        self._world.begin_shift()
        return (
            f"the device is {state}, the officer on duty: a press of {self._world.settings.hold_s:g} s raises an alert"
        )

    def _modem_is_ready(self) -> bool:
        return self._world.ctl("bearers")["modem"]["why_not"] is None

    def _await_fix(self) -> str:
        try:
            fix = wait_until(lambda: self._world.ctl("status")["fix"], FIX_S, "a fix")
        except WaitedError:
            return f"no fix in this sky after {FIX_S:g} s; an alert is never held back for one"
        return f"position {fix['lat']:.5f}, {fix['lon']:.5f}"

    def _press(self) -> str:
        hold_s = self._world.settings.hold_s
        hold = self._world.press(hold_s + PRESS_MARGIN_S)
        self._end_of_hold_ns = hold.pressed_ns + round(hold_s * 1e9)
        return f"the button was held for {(hold.released_ns - hold.pressed_ns) / 1e9:.2f} s{self._what_follows()}"

    def _what_follows(self) -> str:
        """Whoever watches waits as long as the device does."""
        mobile = self._world.settings.mobile
        if not (mobile.ip_is_dead and mobile.has_modem):
            return ""
        if mobile.lte_is_dead:
            return f"; IP and LTE are black holes: an SMS follows after {mobile.sms_after_s:g} s"
        return f"; IP is a black hole: the modem follows after {mobile.race_after_s:g} s"

    def _await_stored(self) -> str:
        after_ms = self._await_felt("stored", FELT_S)
        alert = self._world.ctl("alert", "show")
        if alert["stored_after_ms"] is None:
            raise SimulatorError(f"the device vibrated for stored, but its alert says {alert['state']}")
        self.result |= {"alert_id": alert["alert_id"], "press_to_stored_ms": alert["stored_after_ms"]}
        return f"the device vibrated once ({after_ms:.0f} ms after the hold): the alert is committed and cannot be lost"

    def _await_sent(self) -> str:
        mobile = self._world.settings.mobile
        within_s = SENT_S + mobile.race_after_s + (mobile.sms_after_s if mobile.has_sms else 0.0)
        way, alert = self._world.daemon.wait_until(self._find_alert_on_its_way, within_s, "to send the alert")
        self.result["onair_octets"] = len(alert.data)
        return f"{len(alert.data)} octets went out over {way}, protected by OSCORE"

    def _await_delivered(self) -> str:
        after_ms = self._await_felt("delivered", DELIVERED_S)
        alert = self._world.ctl("alert", "show")
        if alert["delivered_after_ms"] is None:
            raise SimulatorError(f"the device vibrated for delivered, but its alert says {alert['state']}")
        self.result["press_to_receipt_ms"] = receipt_ms = alert["delivered_after_ms"]
        return (
            f"the device vibrated twice ({after_ms:.0f} ms after the hold): "
            f"it verified the gateway's receipt {receipt_ms:.0f} ms after the hold"
        )

    def _show(self) -> str:
        alert_id = self.result["alert_id"]
        alerts = self._world.at_gateway("alerts")
        alert = next((alert for alert in alerts if alert["alert_id"] == alert_id), None)
        if alert is None:
            raise SimulatorError(f"the device says that {alert_id} is delivered, but the gateway does not show it")
        if alert["verdict"] != "held":
            raise SimulatorError(f"the gateway shows {alert_id} with the verdict {alert['verdict']}")
        key = next(
            one["public_key_pem"] for one in self._world.at_gateway("devices") if one["device"] == alert["device"]
        )
        evidence = self._world.evidence
        record_file, key_file = evidence / "alert.cose", evidence / "device-key.pem"
        record_file.write_bytes(bytes.fromhex(alert["record_hex"]))
        key_file.write_text(key, encoding="ascii")
        self.result |= {
            "bearer": alert["bearer"],
            "fix": alert["fix"],
            "record_file": str(record_file),
            "external_aad_hex": alert["external_aad_hex"],
            "public_key_file": str(key_file),
        }
        self.dispatcher_view = run("bondmate-gateway", "alerts", "--data", self._world.gateway_data)
        return "the gateway checked its signature and shows it to the dispatcher"

    def _await_felt(self, pattern: Pattern, timeout_s: float) -> float:
        """Wait for a pattern at the vibration pin after the hold; returns when it began, in ms after the hold."""

        def look() -> int | None:
            for one in felt(pulses(self._world.edges(VIBRATION_PIN, self._end_of_hold_ns)), time.monotonic_ns()):
                if one.pattern == pattern:
                    return one.start_ns
                if one.pattern == "not stored":
                    raise SimulatorError("the device vibrated five times: it could not store the alert")
            return None

        start_ns = self._world.daemon.wait_until(look, timeout_s, f"to vibrate for {pattern}")
        return (start_ns - self._end_of_hold_ns) / 1e6

    def _find_alert_on_its_way(self) -> tuple[str, Datagram] | None:
        """The first that no black hole has swallowed, and over what it went."""
        world, mobile = self._world, self._world.settings.mobile
        ways = (
            ("UDP", [] if mobile.ip_is_dead else world.datagrams()),
            ("the modem's UDP socket", [] if mobile.lte_is_dead else world.mobile_datagrams()),
            ("SMS", world.messages()),
        )
        for way, datagrams in ways:
            for datagram in datagrams:
                if (
                    datagram.direction == "up"
                    and datagram.t_ns >= self._end_of_hold_ns
                    and len(datagram.data) in ALERT_OCTETS
                ):
                    return way, datagram
        return None
