"""The mobile half of a world: a modem, the operator's network between it and the gateway, and a message centre.

Each is a process of its own, as everything in a world. Which of them there are, and which are dead, is told by Mobile.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bondmate_sim.commands import command_line
from bondmate_sim.process import Process

Bearer = Literal["ip", "lte", "sms", "auto"]
READY_S = 15.0
DEVICE_NUMBER, GATEWAY_NUMBER = "+4915550001", "+4915559999"
DEAD = ("--loss", "1")
"""The weather of a network in which everything is lost: a black hole."""


@dataclass(frozen=True, slots=True)
class Mobile:
    """What a device has beside IP, and what of all that does not work."""

    bearer: Bearer = "ip"
    """ip: no modem. lte, sms: the same world with all dead that would come before. auto: all of them work."""
    no_ip: bool = False
    no_lte: bool = False
    options: tuple[str, ...] = ()
    """Of `bondmate-sim modem`."""
    centre: tuple[str, ...] = ()
    """Of `bondmate-sim smsc`."""
    race_after_s: float = 4.0
    sms_after_s: float = 15.0

    @property
    def has_modem(self) -> bool:
        """Whether the device has one."""
        return self.bearer != "ip"

    @property
    def has_sms(self) -> bool:
        """Whether the device knows the gateway's number."""
        return self.bearer in ("sms", "auto")

    @property
    def ip_is_dead(self) -> bool:
        """Whether nothing comes through over IP."""
        return self.no_ip or self.bearer in ("lte", "sms")

    @property
    def lte_is_dead(self) -> bool:
        """Whether nothing comes through over the modem's sockets."""
        return self.no_lte or self.bearer == "sms"


class MobileNetwork:
    """The processes; nothing runs until it is started, and nothing does where there is no modem."""

    def __init__(self, mobile: Mobile, directory: Path, run: Path) -> None:
        """Taps and logs go to `directory`, sockets and links to `run`."""
        self.mobile = mobile
        self.modem_link = run / "modem"
        self.modem_control = run / "modem.sock"
        self.tap_file = directory / "mobile.jsonl"
        self.centre_tap_file = directory / "sms.jsonl"
        self.centre_port = self.relay_port = 0
        logs = directory / "logs"
        self.centre = Process("message centre", [], logs / "smsc.log")
        self.relay = Process("mobile network", [], logs / "mobile.log")
        self.modem = Process("modem", [], logs / "modem.log")

    def start_centre(self) -> None:
        """Start the message centre, or start it again."""
        self.centre.command = command_line(
            "bondmate-sim", "smsc", "--listen", f"127.0.0.1:{self.centre_port}", "--tap", self.centre_tap_file,
            *self.mobile.centre,
        )  # fmt: skip
        self.centre.start()
        self.centre_port = int(self.centre.wait_for_line(r"message centre listening on .*:(\d+)$", READY_S)[1])

    def start_relay(self, gateway_port: int) -> None:
        """Start the operator's network, or start it again."""
        weather = DEAD if self.mobile.lte_is_dead else ()
        self.relay.command = command_line(
            "bondmate-sim", "network", "--listen", f"127.0.0.1:{self.relay_port}",
            "--upstream", f"127.0.0.1:{gateway_port}", "--tap", self.tap_file, *weather,
        )  # fmt: skip
        self.relay.start()
        self.relay_port = int(self.relay.wait_for_line(r"listening on 127\.0\.0\.1:(\d+)$", READY_S)[1])

    def start_modem(self) -> None:
        """Start the modem, or start it again."""
        self.modem.command = command_line(
            "bondmate-sim", "modem", "--link", self.modem_link, "--number", DEVICE_NUMBER,
            "--smsc", f"127.0.0.1:{self.centre_port}", "--reach", f"127.0.0.1:{self.relay_port}",
            "--control", self.modem_control, *self.mobile.options,
        )  # fmt: skip
        self.modem.start()
        self.modem.wait_for_line("modem on ", READY_S)

    def gateway_options(self) -> tuple[str, ...]:
        """Options of `bondmate-gateway run`."""
        if not self.mobile.has_sms:
            return ()
        return ("--sms", f"centre:127.0.0.1:{self.centre_port}", "--sms-number", GATEWAY_NUMBER)

    def config(self) -> str:
        """The sections of the device's configuration."""
        number = GATEWAY_NUMBER if self.mobile.has_sms else "none"
        return f"""
[modem]
port = {json.dumps(str(self.modem_link))}

[sms]
gateway_number = "{number}"

[delivery]
race_after_s = {self.mobile.race_after_s}
sms_after_s = {self.mobile.sms_after_s}
"""

    def processes(self) -> tuple[Process, ...]:
        """Those that run, in the order in which they are stopped."""
        return (self.modem, self.relay, self.centre) if self.mobile.has_modem else ()
