"""Worlds whose device has no credentials yet, and what it says of that."""

from typing import Any

from bondmate_sim.commands import CommandError
from bondmate_sim.palm import PULSES, Pattern, pulses
from bondmate_sim.process import wait_until
from bondmate_sim.world import VIBRATION_PIN, World
from tests.e2e.conftest import ctl

SAID_S = 40.0


def start_without_credentials(world: World) -> bytes:
    """Everything but the daemon; the credentials that an enrolled device would have are taken away, and returned."""
    world.start_gateway()
    world.start_network()
    world.enrol()
    world.start_board()
    world.start_receiver()
    world.start_modem()
    file = world.directory / "credentials" / "credentials.json"
    content = file.read_bytes()
    file.unlink()
    return content


def why(world: World) -> str:
    """Why it is not armed, as the status has it; empty where it is."""
    return next((fault["text"] for fault in ctl(world, "status")["faults"] if fault["code"] == "not-armed"), "")


def status_between_runs(world: World) -> dict[str, Any] | None:
    """The device's status; None while it does not answer, as for a moment between an armed run and one that is not."""
    try:
        status: dict[str, Any] = ctl(world, "status")
    except CommandError as error:
        if "does not answer" not in str(error):
            raise
        return None
    return status


def wait_until_it_says(world: World, words: str) -> dict[str, Any]:
    """The fault of a device that is not armed, as soon as it has these words."""

    def look() -> dict[str, Any] | None:
        status = status_between_runs(world)
        faults = [] if status is None else status["faults"]
        found = [each for each in faults if each["code"] == "not-armed" and words in each["text"]]
        return found[0] if found and status is not None and status["state"] == "not_armed" else None

    return wait_until(look, SAID_S, f"the device to say {words!r}")


def wait_until_armed(world: World, timeout_s: float = SAID_S) -> dict[str, Any]:
    """Its status, as soon as it is armed."""

    def look() -> dict[str, Any] | None:
        status = status_between_runs(world)
        return status if status is not None and status["state"] == "armed" else None

    return wait_until(look, timeout_s, "the device to be armed")


def wait_until_felt(world: World, *patterns: Pattern, since_ns: int = 0) -> None:
    """Until the motor ran as often as these take since then, and not once more.

    Pulses are counted, and their lengths not measured: a busy machine cannot make others of them.
    """
    expected = sum(PULSES[pattern][0] for pattern in patterns)
    wait_until(lambda: len(pulses(world.edges(VIBRATION_PIN, since_ns))) >= expected, SAID_S, f"{patterns} to be felt")
    assert len(pulses(world.edges(VIBRATION_PIN, since_ns))) == expected
