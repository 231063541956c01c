"""Devices as objects: what is missing by name, lost stores, the latest health."""

from typing import Any

import pytest

from bondmate_sim.gateway import inventory, records
from bondmate_sim.gateway.database import Database
from tests.gateway.device import FIRST, SECOND, WRAPPED, Device, fix_at


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def test_a_device_of_which_nothing_is_to_be_said(device: Device) -> None:
    device.send(records.OPENING, 0, body=[])
    (shown,) = inventory.devices(device.database, 0)
    expected = {
        "groups": [],
        "mailbox": {"newest": 0, "fetched": 0},
        "forks": [],
        "branches": [],
        "attempts": [],
        "missing": [],
        "missing_count": 0,
        "missing_before_loss": [],
        "thinned": {"superseded": 0, "expired": 0},
        "lost_with_store": 0,
        "store_lost": [],
        "accepted": None,
        "health": None,
        "presence": None,
    }
    assert {key: shown[key] for key in expected} == expected


def test_forks_are_named(device: Device) -> None:
    for elapsed_ms in (1000, 1001):
        device.send(records.PANIC, elapsed_ms, sequence=1)
    assert inventory.devices(device.database, 0)[0]["forks"] == [f"{device.name}/0001-00000001/alert/1"]


def test_missing_records_are_named_up_to_a_hundred_and_counted_to_the_end(device: Device) -> None:
    device.send(records.POSITION, 1000, sequence=2**32 - 1)
    device.send(records.PANIC, 1000, sequence=3)
    (shown,) = inventory.devices(device.database, 0)
    assert len(shown["missing"]) == 100
    assert shown["missing"][:3] == [
        f"{device.name}/0001-00000001/{each}" for each in ("alert/1", "alert/2", "position/1")
    ]
    assert shown["missing"][-1] == f"{device.name}/0001-00000001/position/98"
    assert shown["missing_count"] == 2 + 2**32 - 2


def test_a_lost_store_is_named_with_what_it_may_have_taken(device: Device) -> None:
    device.send(records.OPENING, 0, body=[[0, None]])
    device.send(records.PANIC, 1000, sequence=2)
    device.send(records.POSITION, 1000, sequence=4)
    device.send(records.HEALTH, 3000, sequence=2, body=[])
    device.send(records.STORE_LOST, 2000)
    device.send(records.POSITION, 3000, sequence=5)
    (shown,) = inventory.devices(device.database, 0)
    place = f"{device.name}/0001-00000001"
    assert shown["store_lost"] == [
        {"record": f"{place}/state/1", "received_at": "2026-11-20T15:00:01.120Z"},
        {"record": f"{place}/state/2", "received_at": "2026-11-20T15:00:05.120Z"},
    ]
    assert shown["missing"] == shown["missing_before_loss"] == [f"{place}/alert/1"]
    assert (shown["missing_count"], shown["lost_with_store"]) == (1, 4)


def test_what_a_gap_names_is_thinned_by_reason(device: Device) -> None:
    device.send(records.GAP, 1000, body=[[2, FIRST, 1, [[1, 10]]], [3, FIRST, 2, [1, 2]]])
    assert inventory.devices(device.database, 0)[0]["thinned"] == {"superseded": 10, "expired": 2}


def test_health_is_the_latest_in_the_devices_own_order(device: Device) -> None:
    device.send(records.HEALTH, 10, session=FIRST, sequence=2, body=["gnss.silent", "store.full"])
    device.send(records.HEALTH, 90, session=FIRST, sequence=1, body=["button.stuck"])
    device.send(records.HEALTH, 5000, session=WRAPPED, sequence=9, body=["old"])
    assert inventory.devices(device.database, 0)[0]["health"] == {
        "faults": ["gnss.silent", "store.full"],
        "record": f"{device.name}/0001-00000001/health/2",
        "received_at": "2026-11-20T15:00:01.120Z",
    }
    device.send(records.HEALTH, 1, session=SECOND, body=[])
    health = inventory.devices(device.database, 0)[0]["health"]
    assert (health["faults"], health["record"]) == ([], f"{device.name}/0002-00000002/health/1")


def test_presence_is_the_latest_in_the_devices_own_order(device: Device) -> None:
    coarse = 0b100_0001
    device.send(records.PRESENCE, 10, session=FIRST, sequence=2, fix=fix_at(20_000_000, flags=coarse))
    device.send(records.PRESENCE, 90, session=FIRST, sequence=1, fix=fix_at(10_000_000, flags=coarse))
    presence = inventory.devices(device.database, 0)[0]["presence"]
    assert (presence["fix"]["lat"], presence["fix"]["coarse"]) == (2.0, True)
    assert presence["record"] == f"{device.name}/0001-00000001/presence/2"
    assert presence["received_at"] == "2026-11-20T15:00:01.120Z"


def test_each_device_is_counted_for_itself(database: Database) -> None:
    one, other = Device(database), Device(database)
    one.send(records.PANIC, 1000, sequence=3)
    other.send(records.STORE_LOST, 1000, session=SECOND)
    counts = {each["device"]: each["missing_count"] for each in inventory.devices(database, 0)}
    assert counts == {one.name: 2, other.name: 0}
    assert {each["device"]: len(each["store_lost"]) for each in inventory.devices(database, 0)} == {
        one.name: 0,
        other.name: 1,
    }


CLOCK = bytes.fromhex("69b3f5f0805a")
PASSED, FAILED = ["gnss", True, "3 satellites"], ["sim", False, "no SIM"]


def test_acceptance_is_the_latest_in_the_devices_own_order_and_says_what_failed(device: Device) -> None:
    def accepted() -> Any:
        (shown,) = inventory.devices(device.database, 0)
        return shown["accepted"]

    assert accepted() is None
    body = ["bondmate 1.2.0", [PASSED, FAILED, ["battery", None]]]
    device.send(records.ACCEPTANCE, 10, session=SECOND, clock=CLOCK, body=body)
    gnss = {"check": "gnss", "ok": True, "text": "3 satellites"}
    sim = {"check": "sim", "ok": False, "text": "no SIM"}
    battery = {"check": "battery", "ok": None, "text": None}
    failed = {
        "at": "2026-03-13T11:33:04.500Z",
        "software": "bondmate 1.2.0",
        "ok": False,
        "failed": ["sim"],
        "checks": [gnss, sim, battery],
    }
    assert accepted() == failed
    device.send(records.ACCEPTANCE, 10, session=FIRST, body=["bondmate 1.1.0", [PASSED]])
    assert accepted() == failed, "that was before"
    device.send(records.ACCEPTANCE, 20, session=SECOND, body=["bondmate 1.2.0", [PASSED, ["battery", None]]])
    assert accepted() == {
        "at": "2026-11-20T15:00:03.120Z",
        "software": "bondmate 1.2.0",
        "ok": True,
        "failed": [],
        "checks": [gnss, battery],
    }
