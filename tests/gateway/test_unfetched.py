"""Who has messages to fetch, for whom that is urgent, and where an SMS would reach them."""

import pytest

from bondmate_sim.gateway import devices, unfetched
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Draft, Type
from tests.gateway.device import Device
from tests.gateway.test_messages import NOW_MS, answer, fetch_all, text, write


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def waiting(device: Device, now_ms: int = NOW_MS) -> list[unfetched.Waiting]:
    return list(unfetched.waiting(device.database, now_ms))


def test_a_device_waits_until_it_says_that_it_has_all(device: Device) -> None:
    assert waiting(device) == []
    urgent = Draft(Type.MESSAGE, ["now", []], "Ann", True, NOW_MS // 1000 + 60)
    write(device, text("one"), urgent)
    assert waiting(device) == [unfetched.Waiting(device.made.device, 2, ((2, NOW_MS),))]
    fetch_all(device)
    answer(device, 1)
    assert waiting(device, NOW_MS + 60_000) == [unfetched.Waiting(device.made.device, 2)], "it expired"
    answer(device, 2)
    assert waiting(device) == []


def test_one_that_was_woken_for_or_is_revoked_is_not_woken_for_again(device: Device) -> None:
    write(device, Draft(Type.MESSAGE, ["now", []], "Ann", True))
    with device.database.transaction():
        unfetched.woken(device.database, device.made.device, [1], NOW_MS)
    assert waiting(device) == [unfetched.Waiting(device.made.device, 1)]
    devices.revoke(device.database, device.made.device, NOW_MS)
    assert waiting(device) == []


def test_the_number_of_the_last_sms_is_remembered(device: Device) -> None:
    assert unfetched.sms_number(device.database, device.made.device) is None
    for number in ("+4917000042", "+4917000043"):
        with device.database.transaction():
            unfetched.came_by_sms(device.database, device.made.device, number)
    answer(device, 0)
    assert unfetched.sms_number(device.database, device.made.device) == "+4917000043"
