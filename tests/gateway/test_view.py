"""Alerts and devices as objects: positions that belong to an alert, cancellations, the newest fix."""

from typing import Any

import cbor2
import pytest

from bondmate_sim.gateway import credentials, devices, intake, records, view
from bondmate_sim.gateway.database import Database
from tests.gateway import twin

FIRST, SECOND = bytes.fromhex("000100000001"), bytes.fromhex("000200000002")
WRAPPED = bytes.fromhex("ffff00000009")


class Device:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.made = credentials.generate()
        self.name = records.device_text(self.made.device)
        self.now_ms = 1_795_186_800_120
        self.sequences: dict[tuple[bytes, int], int] = {}
        devices.add(database, [self.made], now_ms=self.now_ms)

    def send(
        self,
        kind: int,
        elapsed_ms: int,
        *,
        session: bytes = FIRST,
        sequence: int | None = None,
        fix: bytes | None = None,
        clock: bytes | None = None,
        body: Any = None,
        previous: bytes | None = None,
    ) -> bytes:
        place = session, kind >> 4
        self.sequences[place] = sequence or self.sequences.get(place, 0) + 1
        elements = [1, kind, self.sequences[place], previous, elapsed_ms, clock, fix, *([] if body is None else [body])]
        aad = ["bondmate record 1", self.made.device, session]
        tagged = twin.sign(cbor2.dumps(elements), aad, self.made.signing_key)
        bearer = devices.bearer(self.database, self.made.kids["ip"])
        assert bearer is not None
        self.now_ms += 1000
        with self.database.transaction():
            assert intake.take(self.database, bearer, session, tagged, self.now_ms)
        return tagged

    def cancel(self, alert: bytes, elapsed_ms: int, *, session: bytes = FIRST) -> bytes:
        return self.send(records.CANCELLATION, elapsed_ms, session=session, body=twin.digest(alert)[:8])


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def fix_at(lat: int, *, long: bool = False, age: int = 0, flags: int = 1) -> bytes:
    short = lat.to_bytes(4, "big", signed=True) + bytes(4) + bytes([14, age, flags])
    return short + bytes.fromhex("00007b 0028 46d3 09 0b") if long else short


def clock(seconds: int, fraction: int = 0) -> bytes:
    return seconds.to_bytes(4, "big") + bytes([fraction, 0x40])


def counts(database: Database) -> dict[str, int]:
    return {each["alert_id"].split("/", 1)[1]: each["positions"] for each in view.alerts(database)}


def test_an_alert_has_the_keys_of_the_contract_and_what_verifies_it(device: Device) -> None:
    tagged = device.send(records.PANIC, 500, clock=clock(1_795_186_799, 64), fix=fix_at(387_222_520, age=80))
    (alert,) = view.alerts(device.database)
    assert alert == {
        "alert_id": f"{device.name}/0001-00000001/alert/1",
        "device": device.name,
        "kind": "panic",
        "state": "delivered",
        "raised_at": "2026-11-20T14:59:59.250Z",
        "received_at": "2026-11-20T15:00:01.120Z",
        "cancelled_at": None,
        "bearer": "ip",
        "fix": {
            "time": "2026-11-20T14:59:58.250Z",
            "lat": 38.722252,
            "lon": 0.0,
            "alt_m": None,
            "speed_mps": None,
            "track_deg": None,
            "mode": 3,
            "hdop": None,
            "accuracy_m": 28.0,
            "satellites": None,
            "age_s": 1.0,
            "source": "gnss",
            "coarse": False,
            "suspect": [],
        },
        "positions": 0,
        "exercise": False,
        "verdict": "held",
        "why": None,
        "acknowledged": [],
        "digest": twin.digest(tagged)[:16].hex(),
        "record_hex": tagged.hex(),
        "external_aad_hex": cbor2.dumps(["bondmate record 1", device.made.device, FIRST]).hex(),
        "chain": "whole",
        "store_lost": False,
        "forks": [],
    }


def test_without_utc_and_fix_it_says_null(device: Device) -> None:
    device.send(records.PANIC, 500)
    (alert,) = view.alerts(device.database)
    assert (alert["raised_at"], alert["fix"]) == (None, None)


def test_a_fix_of_unknown_or_unbounded_age_has_no_time(device: Device) -> None:
    device.send(records.PANIC, 1, fix=fix_at(1))
    device.send(records.PANIC, 2, fix=fix_at(2, age=255), clock=clock(1_795_186_799))
    assert [each["fix"]["time"] for each in view.alerts(device.database)] == [None, None]


def test_the_newest_fix_of_the_alert_is_shown_with_all_it_knows(device: Device) -> None:
    device.send(records.PANIC, 1000, fix=fix_at(10_000_000))
    device.send(records.POSITION, 3000, fix=fix_at(30_000_000, long=True, flags=0b100_0010))
    device.send(records.POSITION, 2000, fix=fix_at(20_000_000))
    (alert,) = view.alerts(device.database)
    fix = alert["fix"]
    assert (alert["positions"], fix["lat"], fix["mode"]) == (2, 3.0, 2)
    assert (fix["alt_m"], fix["speed_mps"], fix["track_deg"], fix["hdop"], fix["satellites"]) == (
        12.3,
        0.4,
        181.31,
        0.9,
        11,
    )
    assert (fix["suspect"], fix["coarse"]) == (["jump"], True)


def test_positions_belong_to_the_alert_that_was_open(device: Device) -> None:
    device.send(records.POSITION, 500, fix=fix_at(1))
    first = device.send(records.PANIC, 1000)
    device.send(records.POSITION, 1500, fix=fix_at(1))
    device.send(records.PANIC, 2000)
    device.send(records.POSITION, 2500, fix=fix_at(1))
    device.send(records.POSITION, 2600, fix=fix_at(1))
    device.cancel(first, 3000)
    device.send(records.POSITION, 3500, fix=fix_at(1))
    assert counts(device.database) == {"0001-00000001/alert/1": 1, "0001-00000001/alert/2": 3}


def test_positions_after_a_cancellation_belong_to_no_alert(device: Device) -> None:
    alert = device.send(records.PANIC, 1000)
    device.cancel(alert, 2000)
    device.send(records.POSITION, 1500, fix=fix_at(1))
    device.send(records.POSITION, 2500, fix=fix_at(1))
    assert counts(device.database) == {"0001-00000001/alert/1": 1}


@pytest.mark.parametrize(("earlier", "later"), [(FIRST, SECOND), (WRAPPED, FIRST)])
def test_an_alert_stays_open_in_the_next_session(device: Device, earlier: bytes, later: bytes) -> None:
    device.send(records.POSITION, 10, session=later, fix=fix_at(20_000_000))
    device.send(records.PANIC, 90_000, session=earlier, fix=fix_at(10_000_000))
    device.send(records.POSITION, 80_000, session=earlier, fix=fix_at(1))
    (alert,) = view.alerts(device.database)
    assert (alert["positions"], alert["fix"]["lat"]) == (1, 2.0)


def test_a_cancelled_alert_says_so_and_both_are_kept(device: Device) -> None:
    alert = device.send(records.PANIC, 1000)
    device.cancel(alert, 9000, session=SECOND)
    (shown,) = view.alerts(device.database)
    assert (shown["state"], shown["cancelled_at"]) == ("cancelled", "2026-11-20T15:00:02.120Z")
    assert len(device.database.rows("SELECT * FROM record")) == 2


def test_a_cancellation_of_nothing_that_is_held_is_shown_by_itself(device: Device) -> None:
    device.send(records.PANIC, 1000)
    device.cancel(b"another", 9000)
    shown = view.alerts(device.database)
    assert [(each["kind"], each["state"]) for each in shown] == [("panic", "delivered"), ("cancellation", "delivered")]


def test_an_unknown_kind_of_alert_is_shown_by_its_number(device: Device) -> None:
    device.send(5, 1000)
    assert [each["kind"] for each in view.alerts(device.database)] == ["5"]


def test_forks_stand_beside_the_record_that_came_first(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    other = device.send(records.PANIC, 1001, sequence=1)
    (shown,) = view.alerts(device.database)
    assert shown["record_hex"] == first.hex()
    assert shown["forks"] == [
        {"digest": twin.digest(other)[:16].hex(), "received_at": "2026-11-20T15:00:02.120Z", "record_hex": other.hex()}
    ]
    assert view.devices(device.database)[0]["forks"] == [f"{device.name}/0001-00000001/alert/1"]


def test_a_lost_store_and_a_broken_chain_are_shown(device: Device) -> None:
    device.send(records.PANIC, 1000, previous=b"")
    device.send(records.PANIC, 1000, previous=b"\0\0\0\0")
    first, shown = view.alerts(device.database)
    assert (first["verdict"], first["chain"], first["store_lost"]) == ("held", "waiting", True)
    assert (shown["verdict"], shown["chain"], shown["why"]) == (
        "unreadable",
        "broken",
        "the chain is broken before this record",
    )


def test_what_is_unreadable_is_shown_with_the_reason(device: Device) -> None:
    device.send(records.PANIC, 1000, clock=b"short")
    device.send(records.PANIC, 1000, fix=b"short", sequence=7)
    shown = view.alerts(device.database)
    assert [each["alert_id"] for each in shown] == [
        f"{device.name}/0001-00000001/alert/{sequence}" for sequence in (1, 7)
    ]
    assert [(each["kind"], each["verdict"]) for each in shown] == [(None, "unreadable")] * 2
    assert "a clock has 6 octets" in shown[0]["why"]
    assert "a fix has 11 or 20 octets" in shown[1]["why"]


def test_alerts_of_all_devices_are_in_the_order_of_arrival(database: Database) -> None:
    one, other = Device(database), Device(database)
    one.now_ms += 500
    for each in (other, one, other):
        each.send(records.PANIC, 1000)
    received = [each["received_at"] for each in view.alerts(database)]
    assert received == sorted(received)
    assert len(received) == 3


def test_moments_are_rfc_3339_with_milliseconds() -> None:
    assert view.utc_text(1_795_186_800_120) == "2026-11-20T15:00:00.120Z"
    assert view.utc_text(None) is None
