"""Enrolment against a gateway process: from the command's files to an alert under keys of the device's own."""

import signal
from typing import Any

import aiocoap
import pytest

from tests.gateway import twin
from tests.gateway.conftest import Gateway, command
from tests.gateway.recruit import File, Recruit, of_command, record

TAKEN, WAITING, OTHER_KEY, OVER = range(4)


class Station:
    """A running gateway, and the files that it makes."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def file(self, *options: str) -> File:
        force = command("force-key", "--data", self.gateway.data)["public_key_pem"]
        (shown,) = command("enrol", "--count", "1", "--cards", "--data", self.gateway.data, *options)
        return of_command(shown, force)

    def recruit(self, file: File | None = None) -> Recruit:
        return Recruit(file or self.file(), self.send)

    def send(self, raw: bytes) -> Any:
        return twin.ask(self.gateway.address, raw)

    def command(self, *arguments: str) -> Any:
        return command(*arguments, "--data", self.gateway.data)


@pytest.fixture
def station(own_gateway: Gateway) -> Station:
    return Station(own_gateway)


def test_a_device_is_enrolled_and_its_alert_is_shown(station: Station) -> None:
    recruit = station.recruit(station.file("--group", "north"))
    name = recruit.file.name
    assert station.gateway.device(name)["state"] == "offered"
    context = recruit.context()
    assert recruit.ask(context) == TAKEN
    assert station.gateway.device(name)["state"] == "taken"
    keys = recruit.agree(context)
    assert keys is not None
    fresh = recruit.context(keys)
    assert recruit.post(fresh, "r", record(recruit, fresh.id_context)) is not None
    assert recruit.code == aiocoap.CHANGED
    shown = station.gateway.device(name)
    assert (shown["state"], shown["software"], shown["groups"]) == ("enrolled", "bondmate 0.1.0", ["north"])
    (alert,) = station.gateway.alerts(name)
    assert (alert["kind"], alert["verdict"], alert["bearer"]) == ("panic", "held", "ip")
    # The one-time secret is dead, and erased from every file.
    assert recruit.ask() is None
    station.gateway.end(signal.SIGKILL)
    left = b"".join(each.read_bytes() for each in station.gateway.data.iterdir())
    assert recruit.file.secret not in left
    assert keys.secret in left
