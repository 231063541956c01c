"""The local API with real processes: who gets in, how often a PIN may be tried, and what a look at it gives away."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bondmate.api.authority import CONSOLE_MAY
from bondmate.records import DeviceId
from bondmate.store.outbox import SqliteOutbox
from bondmate_sim.pin_file import DURESS_PIN, PIN
from bondmate_sim.process import wait_until
from bondmate_sim.world import World
from tests.api.served import exchange, raw
from tests.e2e.conftest import ctl, press, wait_for_state
from tests.rights import NOBODY

QUIET_S = 25.0
KNOCK = r"""
import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(10)
    try:
        client.connect(sys.argv[1])
    except PermissionError:
        print("shut")
    else:
        client.sendall(b"POST /alert HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        print(client.recv(65536).decode())
"""


def as_nobody(*arguments: str) -> str | None:
    """What a Python that runs as nobody prints; None where nobody may run one."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            done = subprocess.run(
                [python, "-I", "-c", *arguments],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            )
        except OSError:  # it is not there, or in a directory that is closed to nobody
            continue
        return done.stdout
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as somebody else")
def test_a_user_without_rights_raises_no_alert_over_either_socket(world: World) -> None:
    if as_nobody("print()") is None:
        pytest.skip("no Python that nobody may run")
    sockets = [world.api_socket, world.console_socket]
    assert [as_nobody(KNOCK, str(socket)) for socket in sockets] == ["shut\n"] * 2, "the directory is closed"
    world.run.chmod(0o755)
    world.api_socket.chmod(0o666)  # as if somebody had opened it to all
    for socket in sockets:
        answer = as_nobody(KNOCK, str(socket)) or ""
        assert answer.startswith("HTTP/1.1 403 ")
        assert "this socket is not for you" in answer
    assert ctl(world, "alert", "show") is None
    assert exchange(world.console_socket, "GET", "/alert") == (200, None), "the control: the page's user gets in"


def cancel(world: World, pin: str) -> tuple[int, Any]:
    return exchange(world.console_socket, "POST", "/alert/cancel", json.dumps({"pin": pin}).encode())


def test_of_ten_wrong_pins_five_are_looked_at_and_a_restart_gives_no_further_one(world: World) -> None:
    press(world)
    refused = [cancel(world, f"000{number}") for number in range(10)]
    assert {code for code, _ in refused} == {403}
    assert [answer["tries_left"] for _, answer in refused] == [4, 3, 2, 1, *[0] * 6]
    world.daemon.kill()
    world.start_daemon()
    for pin in (PIN, DURESS_PIN):
        code, answer = cancel(world, pin)
        assert code == 403
        assert 0 < answer["locked_s"] <= 60
    assert ctl(world, "status")["alert"] is not None


MEASURED = {"fix", "satellites", "sentences", "rejected", "octets", "noise_octets", "speed_baud", "awake"}
"""What the receiver happens to see; whether there is a fix is looked at all the same."""


def alike(world: World, value: Any, name: str = "") -> Any:
    """Without times, names and places, which differ between any two devices."""
    match value:
        case None | bool():
            return value
        case _ if name in MEASURED:
            return "measured"
        case dict():
            return {key: alike(world, each, key) for key, each in value.items()}
        case list():
            return [alike(world, each) for each in value]
        case float():
            return "a number"
        case str():
            text = value.replace(str(world.directory), "DIR").replace(str(world.run), "RUN")
            text = re.sub(r"BM-[0-9a-f]{8}|[0-9a-f]{4}-[0-9a-f]{8}", "ID", text)
            return re.sub(r"[0-9-]{10}T[0-9:.]{12}Z", "TIME", text)
        case _:
            return value


def is_quiet(world: World) -> bool:
    """Whether all is delivered, and a fix known."""
    status = ctl(world, "status")
    return not any(status["queue"].values()) and status["fix"] is not None


def seen_after(world: World, pin: str) -> dict[str, Any]:
    """All that can be asked of a device whose alert was cancelled with that PIN."""
    world.start()
    press(world)
    wait_for_state(world, "delivered")
    wait_until(lambda: is_quiet(world), QUIET_S, "all to be delivered")
    seen: dict[str, list[Any]] = {act: list(cancel(world, pin)) for act in ("cancelled", "again")}
    world.daemon.wait_for_line(".*/alert/2 delivered", QUIET_S)
    wait_until(lambda: is_quiet(world), QUIET_S, "all of it to be delivered")
    for method, path in CONSOLE_MAY:
        if method == "GET" and path != "/events":
            for socket in (world.console_socket, world.api_socket):
                code, headers, octets = raw(socket, "GET", path)
                names = [name for name, _ in headers]
                seen[f"{path} by {socket.name}"] = [code, names, json.loads(octets)]
    return {what: alike(world, answer) for what, answer in seen.items()}


def was_under_duress(world: World) -> bool:
    """As the newest cancellation says, which the dispatcher has."""

    async def look() -> bool:
        outbox = SqliteOutbox(Path(world.directory / "state"), DeviceId(bytes.fromhex((world.device or "")[3:])))
        await outbox.open()
        earlier = await outbox.latest_alert()
        await outbox.close()
        assert earlier is not None
        assert earlier.cancelled
        return earlier.duress

    world.daemon.stop()
    return asyncio.run(look())


def test_a_device_whose_officer_was_forced_to_cancel_looks_like_one_whose_officer_was_not(
    make_world: Callable[..., World],
) -> None:
    free, forced = make_world(), make_world()
    truly, under_duress = seen_after(free, PIN), seen_after(forced, DURESS_PIN)
    assert (truly["cancelled"][0], truly["again"][0]) == (200, 409)
    assert truly["/alert by console.sock"][2]["state"] == "cancelled"
    assert len(truly) == 2 + 2 * (sum(method == "GET" for method, _ in CONSOLE_MAY) - 1)
    assert truly == under_duress
    assert (was_under_duress(free), was_under_duress(forced)) == (False, True), "the control: its records differ"
