"""The image as it runs on an enrolled device: what is open, what is closed, how fast, and a press."""

import re

import pytest

from bondmate_image import progress
from bondmate_sim.world import World
from tests.booted.conftest import READY_S, Bench, Image
from tests.booted.machine import eventually
from tests.booted.qemu import ANSWER_S

OPEN_SOCKETS = {("udp", "systemd-network"), ("udp", "bondmated"), ("udp", "chronyd")}
"""DHCP's, and those from which the gateway and time servers are asked; nftables lets in only what was asked for."""

DAEMON_S = 60.0
"""What the daemon may take from its start to the armed button, on QEMU's emulated processor on a busy computer.

A board has ten seconds from the first program to the armed button; that is for real ones to show (docs/image.md).
"""
ARMED_S = 240.0
"""From the first program to the armed button there: what something that is waited for would add is minutes."""


def test_nothing_failed_at_the_start(bench: Bench) -> None:
    assert bench.machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
    assert bench.machine.run("journalctl -b --no-pager --grep='ordering cycle' --quiet") == ""
    assert eventually(
        lambda: bench.machine.run("systemctl is-system-running") == "running", ANSWER_S, "the system to have started"
    )


def test_it_is_armed_soon(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    """By the manager's own times, on the monotonic clock of the board."""
    first = _seconds(bench, "", "UserspaceTimestampMonotonic")
    started = _seconds(bench, "bondmated", "ExecMainStartTimestampMonotonic")
    armed = _seconds(bench, "bondmated", "ActiveEnterTimestampMonotonic")
    with capfd.disabled():
        progress.say(f"armed {armed - first:.1f} s after the first program, {armed - started:.1f} s of it the daemon's")
    assert first < started < armed < min(started + DAEMON_S, first + ARMED_S)
    assert bench.machine.run("systemctl show bondmated --property=NRestarts --value") == "0"


def test_without_a_tpm_nothing_is_done_for_one(bench: Bench) -> None:
    asked = bench.machine.run("systemctl show bondmate-open -p ConditionResult -p ExecMainPID")
    assert set(asked.split()) == {"ConditionResult=no", "ExecMainPID=0"}
    assert bench.machine.run("findmnt -n -o SOURCE /data") == "/dev/vda4"


def test_the_root_file_system_is_read_only(bench: Bench) -> None:
    assert bench.machine.run("findmnt -n -o OPTIONS /").split(",")[0] == "ro"
    assert "Read-only file system" in bench.machine.run("touch /etc/x 2>&1")


def test_the_data_partition_fills_the_card(bench: Bench) -> None:
    sectors = int(bench.machine.run("cat /sys/class/block/vda/size"))
    start, size = (int(bench.machine.run(f"cat /sys/class/block/vda4/{name}")) for name in ("start", "size"))
    assert sectors - (start + size) < 8192
    blocks = int(bench.machine.run("stat -f -c %b /data"))
    assert blocks * 4096 > 0.9 * size * 512
    options = bench.machine.run("findmnt -n -o OPTIONS /data").split(",")
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(options)


def test_nothing_listens_but_what_has_to(bench: Bench) -> None:
    lines = [line.split() for line in bench.machine.run("ss -Hltunp").splitlines()]
    reachable = [words for words in lines if not re.match(r"(127\.|\[::1\])", words[4])]
    assert {(words[0], words[6].split('"')[1]) for words in reachable} <= OPEN_SOCKETS


def test_a_start_that_worked_keeps_its_slot(bench: Bench) -> None:
    def state() -> bool:
        return "BOOT_A_LEFT=3" in bench.machine.run("fw_printenv")

    eventually(state, ANSWER_S, "the slot to be marked good")
    assert "BOOT_ORDER=A B" in bench.machine.run("fw_printenv")
    assert "slots: booting A" in bench.machine.console.read_text(errors="replace")


def test_there_is_no_way_in(bench: Bench) -> None:
    """No password, and no shell but the tests' own."""
    shadow = bench.machine.run("cut -d: -f1,2 /etc/shadow").splitlines()
    assert [line for line in shadow if not re.fullmatch(r"[\w-]+:(\*|!|!\*|!!)", line)] == []
    assert bench.machine.run("ls /usr/sbin/sshd 2>/dev/null") == ""
    assert bench.machine.run("pgrep -l getty") == ""


def test_it_says_which_version_it_is(bench: Bench, image: Image) -> None:
    assert bench.machine.run("cat /usr/share/bondmate/version") == image.wanted.version
    assert f"IMAGE_VERSION={image.wanted.version}" in bench.machine.run("cat /etc/os-release").splitlines()


def test_a_press_on_a_real_line_becomes_a_verified_receipt(bench: Bench, world: World) -> None:
    eventually(lambda: bench.ctl("status")["fix"], READY_S, "a fix")
    assert bench.alert() is None
    bench.press()
    alert = bench.delivered()
    (held,) = world.at_gateway("alerts")
    assert held["alert_id"] == alert["alert_id"]
    assert (held["kind"], held["verdict"]) == ("panic", "held")
    assert held["fix"] is not None
    bench.close()


def test_without_a_network_it_goes_through_the_modem(bench: Bench, world: World) -> None:
    """The cable is out: what comes to the gateway came by AT commands over the second serial port."""
    bench.machine.link(up=False)
    try:
        bench.press()
        alert = bench.delivered()
        (held,) = [each for each in world.at_gateway("alerts") if each["alert_id"] == alert["alert_id"]]
        assert (held["kind"], held["verdict"], held["bearer"]) == ("panic", "held", "lte")
        bench.close()
    finally:
        bench.machine.link(up=True)


def _seconds(bench: Bench, unit: str, name: str) -> float:
    return int(bench.machine.run(f"systemctl show {unit} --property={name} --value")) / 1e6
