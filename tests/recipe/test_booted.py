"""The units under a real systemd: ready, hung and killed in the middle of an alert, and who may do what."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from bondmate_sim.process import wait_until
from bondmate_sim.world import Settings, World
from tests.e2e.conftest import alerts
from tests.recipe.machine import MAKING_S, Machine, Root

BONDMATE, CONSOLE, UPDATER = 900, 901, 903
HOLD_S = 0.2
SOON_S = 60.0
"""A machine that is busy takes so long at most for anything that has no time of its own."""
BOARD = """\
[gpio]
factory = "bondmate_sim"
button_pin = 17
vibration_pin = 18
led_pin = 27

[panic]
hold_s = 0.2

[gnss]
port = "/dev/bondmate-gnss"
not_before = "none"
"""

PAGE = "http://127.0.0.1:8480"
MODES = {
    "/data/bondmate": "755 0:0",
    "/data/bondmate/credentials": "700 900:900",
    "/data/bondmate/state": "700 900:900",
    "/run/bondmate": "755 900:900",
    "/run/bondmate/api.sock": "660 900:900",
    "/run/bondmate/console.sock": "666 900:900",
    "/run/bondmate/updater.sock": "666 900:900",
    "/data/bondmate-updater": "700 903:903",
    "/run/bondmate-console": "700 901:901",
    "/run/bondmate-console/token": "600 901:901",
    "/run/bondmate-console/kiosk.html": "600 901:901",
}
"""Who may do what with which file, by number as the card has them."""
ASK = """
import socket
with socket.socket(socket.AF_UNIX) as asked:
    asked.settimeout(50)
    asked.connect("{socket}")
    asked.sendall(b"GET /status HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
    print(b"".join(iter(lambda: asked.recv(4096), b"")).decode())
"""
TELL = """
from bondmate.drivers.chrony import sample
import socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
    telling.sendto(sample(0, 0), "/run/chrony.bondmate.sock")
print("told")
"""

pytestmark = pytest.mark.timeout(MAKING_S + 300)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The simulated board and the gateway, whose network and sockets the machine shares."""
    with World(tmp_path / "world", Settings(hold_s=HOLD_S)) as made:
        made.run.chmod(0o755)
        yield made


@pytest.fixture
def machine(world: World, tmp_path: Path) -> Iterator[Machine]:
    """The real units, on a board that QEMU's would be but for its pins, which are simulated."""
    with Root() as root:
        share = root.upper / "usr/share/bondmate"
        (share / "boards" / "virt.toml").write_text(BOARD)
        simulated = root.upper / "srv/simulated"
        (simulated / "proc/device-tree").mkdir(parents=True)
        (simulated / "proc/device-tree/model").write_bytes(b"linux,dummy-virt\0")
        (simulated / "usr").symlink_to("/usr")
        drop_in(root, "bondmate-board", "ExecStart=", "ExecStart=/usr/libexec/bondmate/choose-board /srv/simulated")
        # a container's time is the host's: chrony may only look at it
        drop_in(root, "chrony", 'Environment="DAEMON_OPTS=-x"', "EnvironmentFile=", "[Unit]", "ConditionCapability=")
        drop_in(root, "bondmated", "Environment=BONDMATE_SIM_BOARD=/run/simulated/board.sock")
        with Machine(root, tmp_path / "machine.log", [f"{world.run}:/run/simulated"]) as booted:
            yield booted


def drop_in(root: Root, unit: str, *lines: str) -> None:
    """What has to be another way without a board."""
    directory = root.upper / f"etc/systemd/system/{unit}.service.d"
    directory.mkdir(parents=True)
    (directory / "simulated.conf").write_text("\n".join(("[Service]", *lines, "")))


def enrol(world: World, machine: Machine) -> None:
    """Start what is outside, and give the device its credentials."""
    with machine.network():
        world.start_gateway()
        world.start_network()
        world.enrol()
    world.start_board()
    world.board_socket.chmod(0o666)
    for name in ("credentials.json", "pin.json"):
        place = machine.path(f"/data/bondmate/credentials/{name}")
        shutil.copyfile(world.directory / "credentials" / name, place)
        place.chmod(0o600)
        os.chown(place, BONDMATE, BONDMATE)
    machine.run("systemctl", "restart", "bondmated")


def status(machine: Machine, *words: str) -> dict[str, object]:
    """What bondmatectl shows, as soon as the daemon answers: the button comes before the API."""

    def ask() -> str | None:
        done = machine.try_to("/usr/lib/bondmate/bin/bondmatectl", *words, "--json")
        return done.stdout if done.returncode == 0 else None

    shown: dict[str, object] = json.loads(wait_until(ask, SOON_S, "bondmated to answer"))
    return shown


def test_a_hung_daemon_is_killed_and_the_open_alert_goes_on(world: World, machine: Machine) -> None:
    enrol(world, machine)
    shown = machine.show("bondmated", "Type", "ActiveState", "SubState", "User", "NRestarts", "WatchdogUSec", "MainPID")
    assert (shown["Type"], shown["ActiveState"], shown["SubState"]) == ("notify", "active", "running")
    assert (shown["User"], shown["WatchdogUSec"]) == ("bondmate", "10s")
    restarts, pid = int(shown["NRestarts"]), int(shown["MainPID"])

    world.gateway.stop()
    world.press(HOLD_S + 0.2)
    raised = wait_until(lambda: status(machine, "alert", "show"), SOON_S, "the alert")
    wait_until(lambda: status(machine, "alert", "show")["state"] == "stored", SOON_S, "the alert to be stored")

    machine.run("kill", "-STOP", str(pid))
    wait_until(lambda: "Watchdog timeout (limit 10s)!" in machine.journal("bondmated"), SOON_S, "the watchdog")

    def again() -> bool:
        now = machine.show("bondmated", "NRestarts", "MainPID", "ActiveState", "SubState")
        return now["SubState"] == "running" and now["MainPID"] != str(pid) and int(now["NRestarts"]) == restarts + 1

    wait_until(again, SOON_S, "systemd to start it again")
    assert status(machine, "status")["state"] == "alert"
    with machine.network():
        world.start_gateway()
    [alert] = wait_until(lambda: alerts(world), SOON_S, "the alert at the gateway")
    assert alert["alert_id"] == raised["alert_id"]
    wait_until(lambda: status(machine, "alert", "show")["state"] == "delivered", SOON_S, "the receipt")
    assert status(machine, "alert", "show")["alert_id"] == raised["alert_id"], "gone on with, not raised anew"


def test_who_runs_what_and_may_what(world: World, machine: Machine) -> None:
    enrol(world, machine)
    machine.run("systemctl", "start", "bondmate-console", "chrony")
    for place in ("/run/bondmate-console/kiosk.html", "/run/bondmate/console.sock"):
        wait_until(machine.path(place).exists, SOON_S, place)
    modes = dict(
        line.split(" ", 1)
        for line in machine.run("find", *MODES, "-maxdepth", "0", "-printf", "%p %m %U:%G\n").splitlines()
    )
    assert modes == MODES
    failed = machine.run("systemctl", "--failed", "--plain", "--no-legend", "--no-pager").split("\n")
    assert [line.split()[0] for line in failed if line and not line.startswith("iwd.service")] == [], (
        "iwd's needs of the kernel are an image's"
    )
    # systemd leaves a unit out then, and nothing else fails
    assert "ordering cycle" not in machine.run("journalctl", "--no-pager", "--boot").lower()
    assert {line.split(":")[1][0] for line in machine.path("/etc/shadow").read_text().splitlines()} <= {"!", "*"}

    # the page's process, by its own rights: console.sock answers, api.sock does not, and no address but loopback
    assert "armed" in machine.as_user("bondmate-console", ASK.format(socket="/run/bondmate/console.sock"))
    assert "PermissionError" in machine.as_user("bondmate-console", ASK.format(socket="/run/bondmate/api.sock"))
    assert "armed" in machine.as_user("bondmate", ASK.format(socket="/run/bondmate/api.sock"))
    assert "403" in machine.as_user("daemon", ASK.format(socket="/run/bondmate/console.sock"))

    # the updater learns of updates alone
    asks = ASK.format(socket="/run/bondmate/updater.sock")
    assert "this is not for the updater" in machine.as_user("bondmate-updater", asks)
    assert "may" in machine.as_user("bondmate-updater", asks.replace("/status", "/update"))
    assert "403" in machine.as_user("bondmate-console", asks.replace("/status", "/update"))
    assert "PermissionError" in machine.as_user("bondmate-updater", ASK.format(socket="/run/bondmate/api.sock"))

    # and the page itself, from within all that is closed to it
    with machine.network():
        token = machine.path("/run/bondmate-console/token").read_text().strip()
        headers = {"Origin": PAGE, "X-BondMate": "1"}
        entered = urlopen(Request(f"{PAGE}/enter", token.encode(), headers), timeout=SOON_S)
        cookie = entered.headers["Set-Cookie"].partition(";")[0]
        shown = json.load(urlopen(Request(f"{PAGE}/api/status", headers={"Cookie": cookie}), timeout=SOON_S))
    assert shown["state"] in {"armed", "degraded"}

    # only the daemon tells chrony the time
    assert machine.as_user("bondmate", TELL) == "told\n"
    assert "PermissionError" in machine.as_user("bondmate-console", TELL)

    listening = machine.run("ss", "--listening", "--no-header", "--numeric", "--tcp", "--udp").splitlines()
    outside = {str(port) for port in (world.gateway_port, world.relay_port)}
    here = {address for line in listening if (address := line.split()[4]).rpartition(":")[2] not in outside}
    assert here == {"127.0.0.1:8480"}, listening
    assert "policy drop" in machine.run("nft", "list", "chain", "inet", "bondmate", "incoming")


RAUC = """
[D-BUS Service]
Name=de.pengutronix.rauc
User=root
Exec=/bin/false
"""
INSTALLER = "de.pengutronix.rauc.Installer"


def may_call(machine: Machine, user: str, interface: str, member: str, *arguments: str) -> bool:
    """Whether the bus lets it through: then it is the service that fails, for there is none."""
    done = machine.try_to(
        *("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "busctl", "call", "--system"),
        *("de.pengutronix.rauc", "/", interface, member, *arguments),
    )
    assert done.returncode != 0
    return "Access denied" not in done.stderr


def test_the_updater_asks_of_rauc_what_it_needs_and_nobody_else_asks_anything(tmp_path: Path) -> None:
    with Root() as root:
        (root.upper / "usr/share/dbus-1/system-services").mkdir(parents=True)
        (root.upper / "usr/share/dbus-1/system-services/de.pengutronix.rauc.service").write_text(RAUC)
        with Machine(root, tmp_path / "machine.log") as machine:
            calls = {
                (INSTALLER, "InstallBundle", "sa{sv}", "/x", "0"): True,
                (INSTALLER, "Mark", "ss", "good", "booted"): True,
                (INSTALLER, "GetSlotStatus"): True,
                ("org.freedesktop.DBus.Properties", "GetAll", "s", INSTALLER): True,
                (INSTALLER, "Install", "s", "/x"): False,
                (INSTALLER, "InspectBundle", "sa{sv}", "/x", "0"): False,
                ("org.freedesktop.DBus.Properties", "Set", "ssv", INSTALLER, "Operation", "s", "x"): False,
            }
            for call, allowed in calls.items():
                assert may_call(machine, "bondmate-updater", *call) is allowed, call
                assert not may_call(machine, "bondmate", *call), call
                assert not may_call(machine, "daemon", *call), call
                assert may_call(machine, "root", *call), call


def test_a_file_of_the_updater_s_restarts_the_device_and_nobody_else_can_make_it(tmp_path: Path) -> None:
    with Root() as root, Machine(root, tmp_path / "machine.log") as machine:
        # where the kernel's command line names no slot the updater does not run
        assert machine.show("bondmate-updater", "ConditionResult")["ConditionResult"] == "no"
        assert machine.show("bondmate-restart.path", "ActiveState")["ActiveState"] == "active"
        machine.run("install", "-d", "-o", "bondmate-updater", "-m", "0700", "/run/bondmate-updater")
        make = "open('/run/bondmate-updater/restart', 'w')"
        for user in ("bondmate", "bondmate-console", "daemon"):
            assert "PermissionError" in machine.as_user(user, make)
        assert machine.show("bondmate-restart.path", "SubState")["SubState"] == "waiting"
        machine.as_user("bondmate-updater", make)
        machine.wait_for_end()


def of_networks(*networks: tuple[str, str]) -> str:
    return json.dumps({"wifi": [{"ssid": ssid, "passphrase": secret} for ssid, secret in networks], "apn": "internet"})


def test_networks_of_an_enrolment_become_profiles_and_nothing_else_does(machine: Machine) -> None:
    given = machine.path("/data/bondmate/credentials/network.json")

    def bring(text: str) -> None:
        """As the daemon does it: written beside it, and renamed; systemd looks again when what came before is done."""
        looking = "waiting"
        wait_until(lambda: machine.show("bondmate-wifi.path", "SubState")["SubState"] == looking, SOON_S, "its turn")
        part = given.with_suffix(".part")
        part.write_text(text)
        part.chmod(0o600)
        os.chown(part, BONDMATE, BONDMATE)
        part.rename(given)

    bring(of_networks(("Esquadra 4", "a b\\c d e"), ("Zé", "12345678")))
    plain = machine.path("/var/lib/iwd/Esquadra 4.psk")
    wait_until(plain.exists, SOON_S, "a profile of iwd")
    assert plain.read_text().splitlines()[:2] == ["[Security]", r"Passphrase=a\sb\\c\sd\se"]
    assert (plain.stat().st_mode & 0o777, plain.stat().st_uid) == (0o600, 0)
    other = machine.path("/var/lib/iwd/=5ac3a9.psk")
    wait_until(other.exists, SOON_S, "the other profile")

    bring(of_networks(("../../etc/x", "12345678"), ("bad", "short")))
    wait_until(lambda: "no profile was changed" in machine.journal("bondmate-wifi"), SOON_S, "it to be refused")
    assert plain.exists()

    bring(of_networks(("Posto", "87654321")))
    wait_until(machine.path("/var/lib/iwd/Posto.psk").exists, SOON_S, "the profile of another enrolment")
    wait_until(lambda: not plain.exists(), SOON_S, "the former one to go")
    assert "87654321" not in machine.run("journalctl", "--no-pager")

    # whoever has taken the daemon over gets nothing read to them that is root's alone
    given.unlink()
    given.symlink_to("/etc/shadow")
    machine.try_to("systemctl", "start", "bondmate-wifi")
    wait_until(lambda: "it is no JSON" in machine.journal("bondmate-wifi"), SOON_S, "that to be refused")
    assert "root:" not in machine.journal("bondmate-wifi")
