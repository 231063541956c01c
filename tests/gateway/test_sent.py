"""What was sent as objects, and what became of it by the device's own word."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import messages, records, sent
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.desk import Desk
from bondmate_sim.gateway.messages import Draft, Place, Type
from tests.gateway.device import Device

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database, "north")


def desk(device: Device) -> Desk:
    return Desk(device.database, KEY, "Ann", device.now_ms)


def fetch(device: Device, cursor: int) -> None:
    with device.database.transaction():
        messages.answer(device.database, device.made.device, cursor, KEY)


def shown(device: Device) -> list[dict[str, Any]]:
    return sent.sent(device.database, device.made.device)


def test_a_message_has_all_that_was_said_and_what_verifies_it(device: Device) -> None:
    desk(device).message(device.made.device, "come in", ["yes", "no"], urgent=True)
    (message,) = shown(device)
    assert message.pop("message_hex").startswith("d284")
    assert message.pop("external_aad_hex").endswith(device.made.device.hex())
    assert message == {
        "device": device.name,
        "number": 1,
        "type": "message",
        "at": "2026-11-20T15:00:00.120Z",
        "by": "Ann",
        "urgent": True,
        "expires_at": None,
        "state": "waiting",
        "states": [],
        "answer": None,
        "result": None,
        "woken_by_sms_at": None,
        "text": "come in",
        "replies": ["yes", "no"],
        "place": None,
        "kind": None,
        "digests": [],
        "exercise_s": None,
        "update": None,
    }


def test_each_type_says_what_it_has(device: Device) -> None:
    alert = device.send(records.PANIC, 1000)
    desk(device).alert("north", "look out", [], Place(-38.5, 9.25, 500), urgent=False)
    desk(device).alert("north", "anywhere", [], None, urgent=False)
    desk(device).handle(f"{device.name}/0001-00000001/alert/1", close=False)
    desk(device).exercise(device.made.device, 600)
    with device.database.transaction():
        draft = Draft(Type.ASSISTANCE, ["help", [], Place(1.0, 2.0, 3).encoded(), records.MEDICAL], "room", True)
        messages.write(device.database, device.made.device, draft, KEY, device.now_ms)
    area, anywhere, ack, exercise, assistance = shown(device)
    assert area["place"] == {"lat": -38.5, "lon": 9.25, "radius_m": 500}
    assert anywhere["place"] is None
    assert ack["digests"] == [messages.content(bytes.fromhex(ack["message_hex"]))[7][0][0].hex()]
    assert len(alert) > 16
    assert (exercise["exercise_s"], exercise["expires_at"]) == (600, "2026-11-20T15:10:01.000Z")
    assert (assistance["kind"], assistance["place"]["radius_m"]) == ("medical", 3)


@pytest.mark.parametrize(
    ("reports", "state", "answer"),
    [
        ([], "fetched", None),
        ([[1, 1]], "taken", None),
        ([[1, 2], [1, 1]], "read", None),
        ([[1, 3, "yes"], [1, 2], [1, 1]], "answered", "yes"),
        ([[1, 1], [1, 4]], "without-effect", None),
        ([[1, 5, "1.3.0"], [1, 2], [1, 1]], "carried-out", None),
        ([[1, 3, "yes"], [1, 5, ""]], "carried-out", "yes"),
        ([[1, 6, "no signature"], [1, 5, "1.3.0"]], "failed", None),
        ([[2, 2]], "fetched", None),
    ],
)
def test_the_highest_state_that_a_device_reported_counts(
    device: Device, reports: list[list[Any]], state: str, answer: str | None
) -> None:
    desk(device).message(device.made.device, "come in", ["yes"], urgent=False)
    fetch(device, 0)
    fetch(device, 1)
    for report in reports:
        device.send(records.MESSAGE_STATE, 1000, body=[report])
    (message,) = shown(device)
    assert (message["state"], message["answer"]) == (state, answer)
    assert len(message["states"]) == len([each for each in reports if each[0] == 1])


def test_what_came_of_an_order_is_told_in_the_devices_words(device: Device) -> None:
    body = ["1.3.0", "http://192.0.2.7:8080/1.3.0.raucb", 2**30, bytes(range(32)), 1]
    with device.database.transaction():
        messages.write(device.database, device.made.device, Draft(Type.UPDATE, body, "Ann"), KEY, device.now_ms)
    fetch(device, 0)
    device.send(records.MESSAGE_STATE, 1000, body=[[1, 1]])
    assert (shown(device)[0]["state"], shown(device)[0]["result"]) == ("taken", None)
    device.send(records.MESSAGE_STATE, 2000, body=[[1, 6, "the signature does not verify"]])
    (message,) = shown(device)
    assert (message["type"], message["state"], message["answer"]) == ("update", "failed", None)
    assert message["result"] == "the signature does not verify"
    assert message["update"] == {
        "software": "1.3.0",
        "url": "http://192.0.2.7:8080/1.3.0.raucb",
        "octets": 2**30,
        "sha256": bytes(range(32)).hex(),
        "at_once": True,
    }


def test_the_messages_of_all_devices_are_in_order(device: Device) -> None:
    other = Device(device.database)
    for number, each in enumerate((device, other, device)):
        each.now_ms = device.now_ms + number * 1000
        desk(each).message(each.made.device, str(number), [], urgent=False)
    assert [each["text"] for each in sent.sent(device.database, None)] == ["0", "1", "2"]
    assert [each["text"] for each in shown(other)] == ["1"]
