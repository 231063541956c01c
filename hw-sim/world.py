"""A throw-away world: one device, its board, its sky, its network and a gateway, each a process of its own.

Everything runs as people would run it: the installed commands, a configuration file, an enrolment file. Used by the
demo, by `up` and by end-to-end tests, which start, stop, kill and restart each process by itself. It tells no story.
"""

import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from bondmate_sim import taps
from bondmate_sim.battery import NEW_PERCENT, set_battery
from bondmate_sim.board_client import BoardClient, Hold
from bondmate_sim.commands import command_line, run, run_json
from bondmate_sim.errors import SimulatorError
from bondmate_sim.lines import Edge
from bondmate_sim.mobile import DEAD, MobileNetwork
from bondmate_sim.notify import NotifySocket
from bondmate_sim.pin_file import pin_file
from bondmate_sim.process import Process
from bondmate_sim.settings import (
    BUTTON_PIN,
    BUZZER_PIN,
    CASE_PIN,
    LED_PIN,
    MAN_DOWN_PIN,
    POWER_PIN,
    SECOND_BUTTON_PIN,
    VIBRATION_PIN,
    Places,
    Settings,
    configuration,
    settings_for,
)
from bondmate_sim.taps import Datagram

__all__ = [
    "BUTTON_PIN", "BUZZER_PIN", "CASE_PIN", "LED_PIN", "MAN_DOWN_PIN", "POWER_PIN", "SECOND_BUTTON_PIN",
    "VIBRATION_PIN",
    "Datagram", "Settings", "World", "settings_for",
]  # fmt: skip

READY_S = 30.0
"""Each process is ready within a second on an idle machine; this long, and it will not be."""


class World:
    """The processes and the files they share. Use it as a context manager: at its end, all processes are gone."""

    def __init__(self, directory: Path, settings: Settings | None = None) -> None:
        """Lay the world out in `directory` (made if need be; it stays at the end). Nothing runs yet.

        Raises SimulatorError when the directory has something in it already.
        """
        self.settings = settings if settings is not None else Settings()
        self.directory = directory.resolve()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if any(self.directory.iterdir()):
                raise SimulatorError(f"{self.directory} is not empty; remove it or name another directory")
        except OSError as error:
            raise SimulatorError(f"cannot make the world in {self.directory}: {error}") from error
        for part in ("gateway", "enrolment", "credentials", "state", "logs", "evidence", "battery", "console"):
            (self.directory / part).mkdir(mode=0o700)
        self.gateway_data = self.directory / "gateway"
        self.logs = self.directory / "logs"
        self.evidence = self.directory / "evidence"
        self.tap_file = self.directory / "tap.jsonl"
        self.edges_file = self.directory / "edges.jsonl"
        self.config_file = self.directory / "device.toml"
        self.console_dir = self.directory / "console"
        self.battery = self.directory / "battery"
        set_battery(self.battery, percent=NEW_PERCENT, charging=False)
        self.device: str | None = None
        """`BM-…`, once it is enrolled."""
        # The path of a Unix socket has at most 107 octets (unix(7)): never below a directory that somebody else named.
        self.run = Path(tempfile.mkdtemp(prefix="bondmate-"))
        self.board_socket = self.run / "board.sock"
        self.receiver_link = self.run / "gnss"
        self.api_socket = self.run / "api.sock"
        self.console_socket = self.run / "console.sock"
        self.gateway_port = 0
        """A free one until the gateway's first start; then the same for ever, as a real gateway's."""
        self.gateway_options: tuple[str, ...] = ()
        """More of them, from its next start on."""
        self.relay_port = 0
        self.console_port = 0
        self.mobile = MobileNetwork(self.settings.mobile, self.directory, self.run)
        self.notify = NotifySocket(self.run / "notify.sock")
        self.gateway = Process("bondmate-gateway", [], self.logs / "gateway.log")
        self.network = Process("network", [], self.logs / "network.log")
        self.board = Process(
            "board",
            command_line(
                "bondmate-sim", "board", "--socket", self.board_socket, "--log", self.edges_file, *self.settings.board
            ),
            self.logs / "board.log",
        )
        self.receiver = Process(
            "receiver",
            command_line("bondmate-sim", "gnss", "--link", self.receiver_link, *self.settings.receiver),
            self.logs / "receiver.log",
        )
        self.daemon = Process(
            "bondmated",
            command_line("bondmated", "--config", self.config_file),
            self.logs / "daemon.log",
            {"BONDMATE_SIM_BOARD": str(self.board_socket), "NOTIFY_SOCKET": str(self.notify.path)},
        )

        self.console = Process("bondmate-console", [], self.logs / "console.log")
        """Runs only where `start_console` is asked for it."""

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def start(self) -> None:
        """Start everything, in order; returns when the daemon is ready."""
        self.start_gateway()
        self.start_network()
        self.enrol()
        self.start_board()
        self.start_receiver()
        self.start_modem()
        self.start_daemon()
        if self.settings.on_duty:
            self.begin_shift()

    def begin_shift(self) -> None:
        """The officer goes on duty; the device knows that after a restart too."""
        self.ctl("duty", "on")

    def close(self) -> None:
        """Stop everything, the device first; the directory stays."""
        for process in self.processes():
            process.stop()
        self.notify.close()
        shutil.rmtree(self.run, ignore_errors=True)

    def processes(self) -> tuple[Process, ...]:
        """All of them, in the order in which they are stopped."""
        console = (self.console,) if self.console.command else ()
        return (
            *console, self.daemon, *self.mobile.processes(), self.receiver, self.board, self.network, self.gateway,
        )  # fmt: skip

    def start_gateway(self) -> None:
        """Start the gateway, or start it again; returns when it listens."""
        self.launch_gateway()
        self.wait_for_gateway()

    def launch_gateway(self) -> None:
        """Start the gateway, or start it again, and do not wait for it."""
        if self.settings.mobile.has_modem and self.mobile.centre.pid is None:
            self.mobile.start_centre()
        self.gateway.command = command_line(
            "bondmate-gateway", "run", "--data", self.gateway_data, "--listen", f"127.0.0.1:{self.gateway_port}",
            *self.mobile.gateway_options(), *self.gateway_options,
        )  # fmt: skip
        self.gateway.start()

    def wait_for_gateway(self) -> None:
        """Until the running gateway listens."""
        ready = self.gateway.wait_for_line(r"listening on coap://127\.0\.0\.1:(\d+)$", READY_S)
        self.gateway_port = int(ready[1])

    def start_network(self) -> None:
        """Start the relay, or start it again, and the mobile one; returns when they listen."""
        weather = (*self.settings.network, *(DEAD if self.settings.mobile.ip_is_dead else ()))
        self.network.command = command_line(
            "bondmate-sim", "network", "--listen", f"127.0.0.1:{self.relay_port}",
            "--upstream", f"127.0.0.1:{self.gateway_port}", "--tap", self.tap_file, *weather,
        )  # fmt: skip
        self.network.start()
        self.relay_port = int(self.network.wait_for_line(r"listening on 127\.0\.0\.1:(\d+)$", READY_S)[1])
        if self.settings.mobile.has_modem:
            self.mobile.start_relay(self.gateway_port)

    def enrol(self) -> None:
        """Enrol one device at the gateway and give it its credentials and configuration."""
        out = self.directory / "enrolment"
        run(
            "bondmate-gateway", "enrol", "--count", "1", "--out", out,
            "--address", f"coap://127.0.0.1:{self.relay_port}", "--data", self.gateway_data,
        )  # fmt: skip
        files = list(out.glob("BM-*.json"))
        if len(files) != 1:
            raise SimulatorError(f"the gateway's enrol left {len(files)} files in {out}, not one")
        self.device = files[0].stem
        kept = self.directory / "credentials"
        for name, content in (("credentials.json", files[0].read_text(encoding="utf-8")), ("pin.json", pin_file())):
            (kept / name).touch(mode=0o600)
            (kept / name).write_text(content, encoding="utf-8")
        places = Places(kept, self.directory / "state", self.run, self.receiver_link, self.battery)
        mobile = self.mobile.config() if self.settings.mobile.has_modem else ""
        self.config_file.write_text(configuration(self.settings, places, mobile), encoding="utf-8")

    def start_board(self) -> None:
        """Start the board; returns when it listens. A case that it has is shut, and a supply there."""
        self.board.start()
        self.board.wait_for_line("board on ", READY_S)
        if self.settings.equipped:
            self.set_contact(CASE_PIN, closed=True)
            self.set_contact(POWER_PIN, closed=True)

    def start_receiver(self) -> None:
        """Start the receiver, or plug it in again; returns when its port is there."""
        self.receiver.start()
        self.receiver.wait_for_line("receiver on ", READY_S)

    def start_modem(self) -> None:
        """Start the modem, or start it again, where there is one; returns when its port is there."""
        if self.settings.mobile.has_modem:
            self.mobile.start_modem()

    def start_daemon(self) -> float:
        """Start the daemon, or start it again; returns when its API answers, with the seconds until it said READY=1."""
        ready_s = self.arm_daemon()
        self.wait_for_api()
        return ready_s

    def arm_daemon(self) -> float:
        """Start the daemon, or start it again; returns as soon as it said READY=1, with the seconds until then."""
        since_ns = time.monotonic_ns()
        self.daemon.start()
        ready = self.daemon.wait_until(lambda: self.notify.notices("READY", since_ns), READY_S, "to say READY=1")
        return (ready[0].t_ns - since_ns) / 1e9

    def start_console(self) -> str:
        """Start the officer's page, or start it again at the same port; returns its address, with the token behind a #.

        The page's log does not have the token: it is for one browser, and lies in a file.
        """
        self.console.command = command_line(
            "bondmate-console", "--api", self.console_socket, "--listen", f"127.0.0.1:{self.console_port}",
            "--runtime", self.console_dir,
        )  # fmt: skip
        self.console.start()
        ready = self.console.wait_for_line(r"(?:.* )?page at (http://127\.0\.0\.1:(\d+)/)", READY_S)
        self.console_port = int(ready[2])
        return f"{ready[1]}#{(self.console_dir / 'token').read_text(encoding='ascii').strip()}"

    def wait_for_api(self) -> None:
        """Until the running daemon's API answers. The button comes first: that may be a moment after READY=1."""
        self.daemon.wait_until(
            self._api_answers, READY_S, f"to listen on {self.api_socket} and {self.console_socket.name}"
        )

    def ctl(self, *arguments: str) -> Any:
        """`bondmatectl … --json`, parsed. Raises CommandError."""
        return run_json("bondmatectl", "--socket", self.api_socket, *arguments)

    def at_gateway(self, *arguments: str) -> Any:
        """`bondmate-gateway … --json`, parsed: `alerts`, or `ack`, `ID`, `--by`, `NAME`. Raises CommandError."""
        return run_json("bondmate-gateway", *arguments, "--data", self.gateway_data)

    def press(self, hold_s: float, pin: int = BUTTON_PIN) -> Hold:
        """Press a button for so long; returns after the release."""
        with BoardClient(self.board_socket) as board:
            return board.hold(pin, hold_s)

    def set_contact(self, pin: int, *, closed: bool) -> None:
        """Close a contact to ground, or open it: CASE_PIN, POWER_PIN, MAN_DOWN_PIN, or a button that stays down."""
        with BoardClient(self.board_socket) as board:
            board.request("drive", pin=pin, level=0 if closed else None)

    def set_battery(self, percent: int, *, charging: bool = False) -> None:
        """So full is the battery from now on; the device reads it when it likes."""
        set_battery(self.battery, percent=percent, charging=charging)

    def edges(self, pin: int, since_ns: int = 0) -> list[Edge]:
        """The edges of a pin that the board saw since then, in order."""
        seen = [Edge(**entry) for entry in taps.json_lines(self.edges_file)]
        return [edge for edge in seen if edge.pin == pin and edge.t_ns >= since_ns]

    def datagrams(self) -> list[Datagram]:
        """All datagrams that the tap saw, in order."""
        return taps.datagrams(self.tap_file)

    def mobile_datagrams(self) -> list[Datagram]:
        """All datagrams that the tap of the mobile network saw, in order."""
        return taps.datagrams(self.mobile.tap_file)

    def messages(self) -> list[Datagram]:
        """All short messages that the message centre took, in order; `client` is the sender's number."""
        return taps.messages(self.mobile.centre_tap_file)

    def _api_answers(self) -> bool:
        return all(map(_listens, (self.api_socket, self.console_socket)))


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0
