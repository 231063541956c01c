"""A throw-away world: one device, its board, its sky, its network and a gateway, each a process of its own.

Everything runs as people would run it: the installed commands, a configuration file, an enrolment file. Used by the
demo, by `up` and by end-to-end tests, which start, stop, kill and restart each process by itself. It tells no story.
"""

import json
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bondmate_sim import nmea_log
from bondmate_sim.board_client import BoardClient, Hold
from bondmate_sim.commands import command_line, run, run_json
from bondmate_sim.errors import SimulatorError
from bondmate_sim.lines import Edge
from bondmate_sim.mobile import DEAD, GATEWAY_NUMBER, Mobile, MobileNetwork
from bondmate_sim.notify import NotifySocket
from bondmate_sim.process import Process

BUTTON_PIN, VIBRATION_PIN, LED_PIN = 17, 18, 27
READY_S = 15.0
"""Each process is ready within a second on an idle machine; this long, and it will not be."""
LOG_PASS_S = 8.0
"""A recorded log is played so fast that all of it passes within this time."""
LISBON = ("38.72225,-9.13934", "38.72401,-9.14021", "38.72520,-9.14175")
"""The default walk: in Lisbon, a short way up from Intendente."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ from world to world."""

    receiver: tuple[str, ...] = ("--route", *LISBON)
    """The sky: options of `bondmate-sim gnss`."""
    clock_source: Literal["gnss", "system"] = "system"
    """`gnss` only for a walk that lasts: UTC is believed after three seconds, and a recorded log's is long past."""
    hold_s: float = 1.0
    network: tuple[str, ...] = ()
    """The weather: options of `bondmate-sim network`."""
    board: tuple[str, ...] = ()
    """The contacts: options of `bondmate-sim board`."""
    mobile: Mobile = field(default_factory=Mobile)
    """What the device has beside IP."""
    on_duty: bool = True
    """Whether `start` begins the officer's shift. A device begins its life off duty, and then its receiver sleeps."""


def settings_for(nmea: Path | None, mobile: Mobile) -> Settings:
    """A world with the default walk; or its sky is a recorded log, again and again, never slower than recorded.

    Raises SimulatorError when the log cannot be read or holds nothing.
    """
    if nmea is None:
        return Settings(mobile=mobile)
    speed = max(1.0, nmea_log.duration_s(nmea_log.read(nmea)) / LOG_PASS_S)
    receiver = ("--nmea", str(nmea.resolve()), "--speed", f"{speed:.3f}", "--loop")
    return Settings(receiver=receiver, mobile=mobile)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A datagram that the network's tap saw; `t_ns` is CLOCK_MONOTONIC."""

    t_ns: int
    direction: Literal["up", "down"]
    client: str
    data: bytes
    fate: str
    """sent, lost or duplicated; a message centre has more words."""


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
        for part in ("gateway", "enrolment", "credentials", "state", "logs", "evidence"):
            (self.directory / part).mkdir(mode=0o700)
        self.gateway_data = self.directory / "gateway"
        self.logs = self.directory / "logs"
        self.evidence = self.directory / "evidence"
        self.tap_file = self.directory / "tap.jsonl"
        self.edges_file = self.directory / "edges.jsonl"
        self.config_file = self.directory / "device.toml"
        self.device: str | None = None
        """`BM-…`, once it is enrolled."""
        # The path of a Unix socket has at most 107 octets (unix(7)): never below a directory that somebody else named.
        self.run = Path(tempfile.mkdtemp(prefix="bondmate-"))
        self.board_socket = self.run / "board.sock"
        self.receiver_link = self.run / "gnss"
        self.api_socket = self.run / "api.sock"
        self.gateway_port = 0
        """A free one until the gateway's first start; then the same for ever, as a real gateway's."""
        self.relay_port = 0
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
        return (self.daemon, *self.mobile.processes(), self.receiver, self.board, self.network, self.gateway)

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
            *self.mobile.gateway_options(),
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
        credentials = self.directory / "credentials" / "credentials.json"
        credentials.touch(mode=0o600)
        credentials.write_bytes(files[0].read_bytes())
        self.config_file.write_text(self._config(), encoding="utf-8")

    def start_board(self) -> None:
        """Start the board; returns when it listens."""
        self.board.start()
        self.board.wait_for_line("board on ", READY_S)

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

    def wait_for_api(self) -> None:
        """Until the running daemon's API answers. The button comes first: that may be a moment after READY=1."""
        self.daemon.wait_until(self._api_answers, READY_S, f"to listen on {self.api_socket}")

    def ctl(self, *arguments: str) -> Any:
        """`bondmatectl … --json`, parsed. Raises CommandError."""
        return run_json("bondmatectl", "--socket", self.api_socket, *arguments)

    def at_gateway(self, what: Literal["alerts", "devices"]) -> Any:
        """`bondmate-gateway alerts|devices --json`, parsed. Raises CommandError."""
        return run_json("bondmate-gateway", what, "--data", self.gateway_data)

    def press(self, hold_s: float) -> Hold:
        """Press the panic button for so long; returns after the release."""
        with BoardClient(self.board_socket) as board:
            return board.hold(BUTTON_PIN, hold_s)

    def edges(self, pin: int, since_ns: int = 0) -> list[Edge]:
        """The edges of a pin that the board saw since then, in order."""
        seen = [Edge(**entry) for entry in _json_lines(self.edges_file)]
        return [edge for edge in seen if edge.pin == pin and edge.t_ns >= since_ns]

    def datagrams(self) -> list[Datagram]:
        """All datagrams that the tap saw, in order."""
        return _datagrams(self.tap_file)

    def mobile_datagrams(self) -> list[Datagram]:
        """All datagrams that the tap of the mobile network saw, in order."""
        return _datagrams(self.mobile.tap_file)

    def messages(self) -> list[Datagram]:
        """All short messages that the message centre took, in order; `client` is the sender's number."""
        return [
            Datagram(
                entry["t_ns"],
                "up" if entry["to"] == GATEWAY_NUMBER else "down",
                entry["from"],
                bytes.fromhex(entry["ud"]),
                entry["fate"],
            )
            for entry in _json_lines(self.mobile.centre_tap_file)
        ]

    def _api_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(str(self.api_socket)) == 0

    def _config(self) -> str:
        # JSON strings are TOML strings as well, whatever a directory is called.
        return f"""\
[device]
credentials_dir = {json.dumps(str(self.directory / "credentials"))}
state_dir = {json.dumps(str(self.directory / "state"))}
runtime_dir = {json.dumps(str(self.run))}

[gpio]
factory = "bondmate_sim"
button_pin = {BUTTON_PIN}
vibration_pin = {VIBRATION_PIN}
led_pin = {LED_PIN}

[panic]
hold_s = {self.settings.hold_s}

[gnss]
port = {json.dumps(str(self.receiver_link))}
speed_baud = 9600

[clock]
source = "{self.settings.clock_source}"

[indicator]
covert = false
{self.mobile.config() if self.settings.mobile.has_modem else ""}"""


def _datagrams(tap_file: Path) -> list[Datagram]:
    return [
        Datagram(entry["t_ns"], entry["direction"], entry["client"], bytes.fromhex(entry["hex"]), entry["fate"])
        for entry in _json_lines(tap_file)
    ]


def _json_lines(file: Path) -> list[dict[str, Any]]:
    """The complete lines of a file that another process appends to; none while there is no file."""
    if not file.exists():
        return []
    *lines, _unfinished = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]
