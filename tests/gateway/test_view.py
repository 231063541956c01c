"""Alerts as objects: positions that belong to an alert, cancellations, the newest fix."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import exercises, records, view
from bondmate_sim.gateway.calls import Alert, Stored
from bondmate_sim.gateway.chain import Chain
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Verdict
from tests.gateway import twin
from tests.gateway.device import FIRST, SECOND, WRAPPED, Device, fix_at


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def clock(seconds: int, fraction: int = 0) -> bytes:
    return seconds.to_bytes(4, "big") + bytes([fraction, 0x40])


def stored(moment: tuple[int, int], sequence: int, *body: bytes) -> Stored:
    kind = records.CANCELLATION if body else records.PANIC
    record = records.payload(cbor2.dumps([1, kind, sequence, None, moment[1], None, None, *body]))
    session = bytes([0, moment[0], 0, 0, 0, 0])
    return Stored(0, session, moment, bytes([sequence] * 32), Chain.WHOLE, Verdict.HELD, "ip", 0, b"", record)


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
        "cancelled_how": None,
        "duress": False,
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
        "before": [],
        "escalations": [],
        "exercise": False,
        "cap_status": "Actual",
        "verdict": "held",
        "why": None,
        "acknowledged": [],
        "closed": None,
        "check_in": None,
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


def test_positions_from_before_are_shown_apart_and_count_for_nothing_else(device: Device) -> None:
    device.send(records.PANIC, 10_000, fix=fix_at(30_000_000))
    before = [fix_at(20_000_000, long=True, age=100), fix_at(10_000_000, age=110)]
    device.send(records.POSITIONS_BEFORE, 10_010, body=before, clock=clock(1_795_186_799))
    (alert,) = view.alerts(device.database)
    assert (alert["positions"], alert["fix"]["lat"]) == (0, 3.0)
    assert [each["lat"] for each in alert["before"]] == [2.0, 1.0], "the newest first"
    # RFC 5497 with C = 1/1024 s: 100 = 8 * 12 + 4, so (1 + 4/8) * 2^12 / 1024 s
    assert alert["before"][0]["age_s"] == 6.0
    assert alert["before"][0]["time"] == "2026-11-20T14:59:53.000Z"
    assert alert["before"][0]["alt_m"] == 12.3


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


@given(
    alerts=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), max_size=6),
    ends=st.lists(st.tuples(st.integers(0, 5), st.tuples(st.integers(0, 1), st.integers(0, 20))), max_size=6),
    positions=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), max_size=12),
)
def test_each_position_belongs_to_the_newest_alert_that_was_open(
    alerts: list[tuple[int, int]], ends: list[tuple[int, tuple[int, int]]], positions: list[tuple[int, int]]
) -> None:
    raised = [stored(moment, sequence) for sequence, moment in enumerate(alerts, 1)]
    closed_at: dict[tuple[bytes, int], tuple[int, int]] = {}
    cancellations: dict[tuple[bytes, int], list[Stored]] = {each.identity: [] for each in raised}
    for which, moment in ends:
        if which < len(raised):
            call = raised[which]
            closed_at[call.identity] = min(moment, closed_at.get(call.identity, moment))
            cancellations[call.identity].append(stored(moment, 99, call.digest[:8]))
    expected: dict[tuple[bytes, int], int] = {each.identity: 0 for each in raised}
    for moment in positions:
        still_open = [
            each
            for each in raised
            if each.moment <= moment and not (each.identity in closed_at and closed_at[each.identity] <= moment)
        ]
        if still_open:
            newest = max(still_open, key=lambda each: (each.moment, each.record.sequence))
            expected[newest.identity] += 1
    opened = [Alert(((each,),), tuple(cancellations[each.identity])) for each in raised]
    attached = view._attach(opened, [stored(each, 1) for each in positions])
    assert {identity: len(each) for identity, each in attached.items()} == expected


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
    device.send(11, 1000)
    assert [each["kind"] for each in view.alerts(device.database)] == ["11"]


def test_forks_stand_beside_the_record_that_came_first(device: Device) -> None:
    first = device.send(records.PANIC, 1000)
    other = device.send(records.PANIC, 1001, sequence=1)
    (shown,) = view.alerts(device.database)
    assert shown["record_hex"] == first.hex()
    assert shown["forks"] == [
        {"digest": twin.digest(other)[:16].hex(), "received_at": "2026-11-20T15:00:02.120Z", "record_hex": other.hex()}
    ]


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


# --- More than a press ---------------------------------------------------------------------------


def test_escalations_stand_in_their_alert_and_their_positions_count(device: Device) -> None:
    first = device.send(records.PANIC, 1000, fix=fix_at(10_000_000))
    device.follow(first, records.ESCALATION, 2000, fix=fix_at(20_000_000))
    device.send(records.POSITION, 2500, fix=fix_at(30_000_000))
    (shown,) = view.alerts(device.database)
    [escalation] = shown["escalations"]
    told = ("alert_id", "kind", "received_at", "bearer", "verdict", "chain", "store_lost")
    assert {name: escalation[name] for name in told} == {
        "alert_id": f"{device.name}/0001-00000001/alert/2",
        "kind": "escalation",
        "received_at": "2026-11-20T15:00:02.120Z",
        "bearer": "ip",
        "verdict": "held",
        "chain": "whole",
        "store_lost": False,
    }
    assert escalation["record_hex"] not in ("", shown["record_hex"]), "what verifies it is its own"
    assert (shown["positions"], shown["fix"]["lat"]) == (1, 3.0)


@pytest.mark.parametrize(
    ("how", "words", "state", "duress"),
    [
        (None, None, "cancelled", False),
        (0, "tool", "cancelled", False),
        (1, "pin", "cancelled", False),
        (2, "gesture", "cancelled", False),
        (3, "duress", "delivered", True),
    ],
)
def test_how_an_alert_was_taken_back_is_shown_and_under_duress_it_is_open(
    device: Device, how: int | None, words: str | None, state: str, duress: bool
) -> None:
    alert = device.send(records.PANIC, 1000)
    device.cancel(alert, 9000, how=how)
    (shown,) = view.alerts(device.database)
    assert (shown["cancelled_how"], shown["state"], shown["duress"]) == (words, state, duress)
    assert shown["cancelled_at"] == "2026-11-20T15:00:02.120Z"


def test_a_cancellation_under_duress_of_what_is_not_held_says_so(device: Device) -> None:
    device.cancel(b"another", 9000, how=3)
    (shown,) = view.alerts(device.database)
    assert (shown["kind"], shown["state"], shown["duress"], shown["cancelled_how"]) == (
        "cancellation",
        "delivered",
        True,
        "duress",
    )


def test_after_duress_the_precise_presences_are_positions_of_the_alert(device: Device) -> None:
    device.send(records.PRESENCE, 500, fix=fix_at(5))
    alert = device.send(records.PANIC, 1000)
    device.send(records.PRESENCE, 1500, fix=fix_at(6))
    device.cancel(alert, 2000, how=3)
    device.send(records.PRESENCE, 2500, fix=fix_at(20_000_000))
    device.send(records.PRESENCE, 3000, fix=fix_at(30_000_000), session=SECOND)
    device.send(records.PRESENCE, 3500, fix=fix_at(7, flags=0b100_0001))
    device.send(records.PRESENCE, 4000)
    (shown,) = view.alerts(device.database)
    assert (shown["positions"], shown["fix"]["lat"]) == (2, 3.0)


def test_after_a_true_cancellation_no_presence_is(device: Device) -> None:
    alert = device.send(records.PANIC, 1000)
    device.cancel(alert, 2000, how=1)
    device.send(records.PRESENCE, 2500, fix=fix_at(20_000_000))
    (shown,) = view.alerts(device.database)
    assert (shown["positions"], shown["fix"]) == (0, None)


def test_an_exercise_is_marked_from_end_to_end_when_it_was_ordered(device: Device) -> None:
    device.send(records.EXERCISE, 1000)
    assert status(device) == (False, "Actual", "marked as exercise, but none was ordered")
    with device.database.transaction():
        exercises.begin(device.database, device.made.device, 600, "Ann", device.now_ms)
    assert status(device) == (True, "Exercise", None)
    alert = bytes.fromhex(view.alerts(device.database)[0]["record_hex"])
    device.follow(alert, records.ESCALATION, 2000)
    assert status(device) == (False, "Actual", None)


def status(device: Device) -> tuple[bool, str, str | None]:
    (shown,) = view.alerts(device.database)
    assert (shown["kind"], shown["verdict"]) == ("exercise", "held")
    return shown["exercise"], shown["cap_status"], shown["why"]


def test_whether_an_exercise_was_over_is_told_by_the_devices_clock(device: Device) -> None:
    with device.database.transaction():
        exercises.begin(device.database, device.made.device, 60, "Ann", device.now_ms)
    within = (device.now_ms // 1000 + 30).to_bytes(4, "big") + b"\0\x40"
    device.now_ms += 3_600_000
    device.send(records.EXERCISE, 1000, clock=within)
    device.send(records.EXERCISE, 2000)
    assert [each["exercise"] for each in view.alerts(device.database)] == [True, False]


def test_a_check_in_that_was_missed_is_shown_with_its_note(device: Device) -> None:
    made = device.send(records.CHECK_IN, 1000, body=[1, 600, "cellar of no. 7"], clock=clock(1_795_186_800))
    made = device.follow(made, records.CHECK_IN, 2000, body=[2, 900], clock=clock(1_795_187_000))
    device.follow(made, records.CHECK_IN_MISSED, 3000)
    device.send(records.CHECK_IN_MISSED, 4000)
    first, alone = (each["check_in"] for each in view.alerts(device.database))
    assert first == {
        "note": "cellar of no. 7",
        "due_at": "2026-11-20T15:18:20.000Z",
        "began_at": "2026-11-20T15:00:00.000Z",
    }
    assert alone is None


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([[1, 60], [3, 0]], None),
        ([[1, 60]], (None, "2026-11-20T15:01:00.000Z", "2026-11-20T15:00:00.000Z")),
        ([[1, 60, "old"], [3, 0], [1, 90, "new"]], ("new", "2026-11-20T15:01:30.000Z", "2026-11-20T15:00:00.000Z")),
        ([[2, 60, "begun before"]], ("begun before", "2026-11-20T15:01:00.000Z", None)),
    ],
)
def test_the_last_check_in_counts(device: Device, before: list[list[object]], expected: object) -> None:
    made: bytes | None = None
    for body in before:
        previous = None if made is None else twin.digest(made)[:4]
        made = device.send(records.CHECK_IN, 1000, body=body, clock=clock(1_795_186_800), previous=previous)
    assert made is not None
    device.follow(made, records.CHECK_IN_MISSED, 3000, session=SECOND)
    (shown,) = view.alerts(device.database)
    assert (shown["check_in"] and tuple(shown["check_in"].values())) == expected


def test_check_ins_are_no_alerts_and_no_other_call_has_one(device: Device) -> None:
    made = device.send(records.CHECK_IN, 1000, body=[1, 600])
    device.follow(made, records.MAN_DOWN, 2000)
    (shown,) = view.alerts(device.database)
    assert (shown["kind"], shown["check_in"]) == ("man-down", None)
