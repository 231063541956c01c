"""Enrolment between the two of us: the device's reading of section 9 against the gateway's, each a process."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bondmate import credentials, identity
from bondmate_sim.process import wait_until
from bondmate_sim.world import World
from tests.e2e.conftest import make_world, press, wait_for_alerts, wait_for_state
from tests.e2e.not_armed import SAID_S, start_without_credentials, wait_until_armed, wait_until_felt, wait_until_it_says

__all__ = ["make_world"]

MakeWorld = Callable[..., World]

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True, slots=True)
class Card:
    """A card in a world, with a file that the gateway made."""

    world: World
    device: str

    @property
    def folder(self) -> Path:
        return self.world.directory / "credentials"

    @property
    def file(self) -> Path:
        return self.world.directory / "boot" / "bondmate-enrol.cose"

    def state(self) -> str:
        """As the gateway has it."""
        rows: list[dict[str, Any]] = self.world.at_gateway("devices")
        return next(str(row["state"]) for row in rows if row["device"] == self.device)

    def deliver(self) -> None:
        """A press, and a verified receipt; the file is gone."""
        press(self.world)
        wait_for_state(self.world, "delivered")
        [alert] = wait_for_alerts(self.world, 1)
        assert (alert["device"], alert["verdict"]) == (self.device, "held")
        wait_until(
            lambda: not self.file.exists() and not identity.is_pending(self.folder), SAID_S, "the file to be erased"
        )


def prepared(world: World, *options: str | Path) -> Card:
    """A world in which all but the daemon runs, and its card."""
    start_without_credentials(world)
    address = f"coap://127.0.0.1:{world.relay_port}"
    [made] = world.at_gateway("enrol", "--count", "1", "--cards", "--address", address, *map(str, options))
    boot = world.directory / "boot"
    boot.mkdir()
    card = Card(world, made["device"])
    card.file.write_bytes(base64.b64decode(made["file"]))
    (boot / "force.pem").write_text(world.at_gateway("force-key")["public_key_pem"])
    with world.config_file.open("a") as file:
        file.write(f'\n[enrolment]\nfile = "{card.file}"\nforce_key = "{boot / "force.pem"}"\n')
    return card


def test_a_bare_device_becomes_one_of_the_gateways(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    card = prepared(world)
    world.start_daemon()
    assert wait_until_armed(world)["device"] == card.device
    wait_until(lambda: card.state() == "enrolled", SAID_S, "the gateway to have heard the new keys")
    card.deliver()


@pytest.mark.long
def test_through_a_network_that_loses_four_in_ten(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False, network=("--loss", "0.4", "--seed", "7"))
    card = prepared(world)
    world.start_daemon()
    wait_until_armed(world, 200)
    wait_until(lambda: card.state() == "enrolled", 200, "the gateway to have heard the new keys")


def test_a_human_approves_by_the_fingerprint_that_the_device_shows(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    card = prepared(world, "--approve")
    world.start_daemon()
    text = wait_until_it_says(world, "waiting for approval at the gateway: fingerprint ")["text"]
    assert not (card.folder / credentials.CREDENTIALS_FILE).exists()
    wait_until_felt(world, "not stored")
    press(world)  # the button lives meanwhile, and says what it is worth
    wait_until_felt(world, "not stored", "not stored")
    shown = text.partition("fingerprint ")[2].split()[0]
    world.at_gateway("approve", card.device, "--fingerprint", shown)
    wait_until_armed(world)
    card.deliver()


def test_a_file_that_was_used_by_another_device_is_refused(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    card = prepared(world, "--approve")
    world.start_daemon()
    wait_until_it_says(world, "waiting for approval at the gateway")
    assert world.daemon.stop() == 0
    # another device with the same file: its keys are its own
    (card.folder / identity.PENDING_FILE).unlink()
    world.start_daemon()
    wait_until_it_says(world, "refused: another key was taken")


def test_a_file_that_was_withdrawn_is_refused(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    card = prepared(world)
    world.at_gateway("withdraw", card.device)
    world.start_daemon()
    wait_until_it_says(world, "refused: the enrolment file has expired, or was withdrawn")


def test_a_gateway_that_restarts_at_any_time_strands_nobody(make_world: MakeWorld) -> None:
    world = make_world(on_duty=False)
    card = prepared(world, "--approve")
    world.start_daemon()
    text = wait_until_it_says(world, "waiting for approval at the gateway: fingerprint ")["text"]
    world.gateway.kill()
    world.at_gateway("approve", card.device, "--fingerprint", text.partition("fingerprint ")[2].split()[0])
    world.start_gateway()
    wait_until_armed(world, 120)
    card.deliver()


def test_the_networks_that_the_gateway_puts_into_the_file_are_kept(make_world: MakeWorld, tmp_path: Path) -> None:
    networks = tmp_path / "network.toml"
    networks.write_text(
        'apn = "police.example"\nsim_pin = "4711"\n[[wifi]]\nssid = "station 7"\npassphrase = "not told"\n'
    )
    world = make_world(on_duty=False)
    card = prepared(world, "--network", networks)
    world.start_daemon()
    wait_until_armed(world)
    assert (card.folder / "network-sim-pin").read_text() == "4711"
    assert '"police.example"' in (card.folder / "network.json").read_text()
