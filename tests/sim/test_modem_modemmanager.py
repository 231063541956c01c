"""ModemManager, which drives most modems of this world, drives the simulated one in its test mode.

In that mode it speaks to a Unix socket in place of a port (org.freedesktop.ModemManager1.Test.SetProfile); what passes
there is handed on to the modem's pty and back.
"""

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from bondmate_sim.process import Process, wait_until
from tests.sim.conftest import Launch
from tests.sim.test_smsc import GATEWAY, Connect, centre, connect

__all__ = ["centre", "connect"]  # fixtures

DEVICE = "+4915550001"
MANAGER = Path("/usr/sbin/ModemManager")
OPTIONS = ("--test-session", "--test-no-udev", "--test-no-suspend-resume", "--test-no-qrtr", "--test-enable")
NAME, OBJECT = "org.freedesktop.ModemManager1", "/org/freedesktop/ModemManager1"
WAIT_S = 30.0
PLUGINS = {"quectel": "quectel", "simcom": "simtech"}

pytestmark = pytest.mark.skipif(
    not MANAGER.exists() or not all(map(shutil.which, ("mmcli", "dbus-daemon", "dbus-send"))),
    reason="ModemManager or a D-Bus daemon is not installed (Debian packages modemmanager and dbus)",
)


class Bridge:
    """A Unix socket that stands for a port."""

    def __init__(self, path: Path, port: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._port = port
        self._end_here, self._end_there = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._end_here.close()
        self._thread.join(10)
        self._listener.close()
        self._end_there.close()

    def _serve(self) -> None:
        while self._end_there not in (ready := select.select([self._listener, self._end_there], [], [])[0]):
            client, _ = self._listener.accept() if ready else (None, None)
            if client is not None:
                with client, serial.Serial(str(self._port), timeout=0) as port, contextlib.suppress(OSError):
                    self._carry(client, port)

    def _carry(self, client: socket.socket, port: serial.Serial) -> None:
        while True:
            ready = select.select([client, port, self._end_there], [], [])[0]
            if self._end_there in ready:
                return
            if client in ready:
                data = client.recv(4_096)
                if not data:
                    return
                port.write(data)
            if port in ready:
                client.sendall(port.read(4_096))


class Managed:
    """The modem as mmcli shows it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def command(self, *words: str) -> str:
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=40, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def mmcli(self, *words: str) -> str:
        return self.command("mmcli", "--test-session", *words)

    def modem(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.mmcli("-m", "any", "-J"))["modem"]
        return shown

    def messages(self) -> list[str]:
        listed: list[str] = json.loads(self.mmcli("-m", "any", "--messaging-list-sms", "-J"))["modem.messaging.sms"]
        return listed


Manage = Callable[[str], Managed]


@pytest.fixture
def manage(run: Path, tmp_path: Path, launch: Launch, centre: Process) -> Iterator[Manage]:
    """Let a ModemManager with a bus of its own find a simulated modem of this dialect."""
    with contextlib.ExitStack() as resources:

        def begin(dialect: str) -> Managed:
            port = centre.wait_for_line(r".*:(\d+)$", 5)[1]
            options = ("--dialect", dialect, "--number", DEVICE, "--smsc", f"127.0.0.1:{port}")
            launch("modem", "--link", run / "modem", *options)
            bridge = Bridge(run / "port", run / "modem")
            resources.callback(bridge.close)
            address = f"unix:path={run / 'bus'}"
            bus = Process("bus", ["dbus-daemon", "--session", "--nofork", f"--address={address}"], tmp_path / "bus.log")
            environment = {"DBUS_SESSION_BUS_ADDRESS": address}
            manager = Process("manager", [str(MANAGER), "--debug", *OPTIONS], tmp_path / "mm.log", environment)
            for process in (bus, manager):
                process.start()
                resources.callback(process.stop)
                if process is bus:
                    wait_until((run / "bus").exists, WAIT_S, "the bus")
            managed = Managed(os.environ | environment)
            manager.wait_until(lambda: owned(managed), WAIT_S, "to be on the bus")
            managed.command(
                "dbus-send", "--session", "--print-reply", f"--dest={NAME}", OBJECT, f"{NAME}.Test.SetProfile",
                "string:simulated", f"string:{PLUGINS[dialect]}", f"array:string:{run / 'port'}",
            )  # fmt: skip
            manager.wait_until(lambda: "/Modem/0" in managed.mmcli("-L"), WAIT_S, "to find the modem")
            return managed

        yield begin


def owned(managed: Managed) -> bool:
    names = managed.command(
        "dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames"
    )
    return f'"{NAME}"' in names


@pytest.mark.parametrize("dialect", ["quectel", pytest.param("simcom", marks=pytest.mark.long)])
def test_modemmanager_registers_sends_and_reads(manage: Manage, connect: Connect, dialect: str) -> None:
    gateway = connect().attach(GATEWAY)
    managed = manage(dialect)
    managed.mmcli("-m", "any", "--enable")
    wait_until(lambda: managed.modem()["generic"]["state"] == "registered", WAIT_S, "registered")
    modem = managed.modem()
    assert modem["3gpp"]["imei"] == "490154203237518"
    assert modem["3gpp"]["operator-code"] == "00101"
    assert modem["3gpp"]["operator-name"] == "Test Network"
    assert modem["3gpp"]["registration-state"] == "home"
    assert modem["3gpp"]["packet-service-state"] == "attached"
    if dialect == "quectel":  # of a SIMCom, it asks AT+CNSMOD, which the simulated one lacks
        assert modem["generic"]["access-technologies"] == ["lte"]
    assert modem["generic"]["plugin"] == PLUGINS[dialect]
    assert int(modem["generic"]["signal-quality"]["value"]) == 90, "28 of 31"

    managed.mmcli("-m", "any", f"--messaging-create-sms=text='hellohello',number='{GATEWAY}'")
    [sent] = managed.messages()
    managed.mmcli("-s", sent, "--send")
    message = gateway.read()
    assert (message["from"], message["dcs"], message["udl"]) == (DEVICE, 0, 10)
    assert message["ud"].upper() == "E8329BFD4697D9EC37"

    gateway.submit("1", bytes(range(140)), DEVICE)
    [received] = wait_until(lambda: [one for one in managed.messages() if one != sent], WAIT_S, "the message")
    shown = json.loads(managed.mmcli("-s", received, "-J"))["sms"]
    assert shown["content"]["number"] == GATEWAY
    assert bytes.fromhex(shown["content"]["data"]) == bytes(range(140))
