"""From a submission to a receipt entry, on a real database: verdicts, forks, chains, quarantine, revocation."""

from typing import Any

import apsw
import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from bondmate_sim.gateway import credentials, devices, intake, records
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Verdict
from tests.gateway import twin

FIRST, SECOND = bytes.fromhex("000100000001"), bytes.fromhex("000200000002")


class Device:
    """An enrolled device that signs records, and a channel on which each is taken."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.made = credentials.generate()
        self.key: Any = self.made.signing_key
        devices.add(database, [self.made], now_ms=0)

    def sign(
        self,
        kind: int,
        sequence: int,
        previous: bytes | None,
        *,
        session: bytes = FIRST,
        body: Any = None,
        fix: Any = None,
    ) -> bytes:
        elements = [1, kind, sequence, previous, 1000, None, fix]
        return self.signed(cbor2.dumps(elements if body is None else [*elements, body]), session)

    def signed(self, payload: bytes, session: bytes = FIRST) -> bytes:
        return twin.sign(payload, ["bondmate record 1", self.made.device, session], self.key)

    def take(self, submission: bytes, session: bytes = FIRST) -> intake.Outcome:
        bearer = devices.bearer(self.database, self.made.kids["ip"])
        assert bearer is not None
        with self.database.transaction():
            outcome = intake.take(self.database, bearer, session, submission, now_ms=1)
        assert outcome is not None
        return outcome

    def chain(self, tagged: bytes) -> str:
        ((state,),) = self.database.rows("SELECT chain FROM record WHERE digest = ?", (twin.digest(tagged),))
        return str(state)


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def short(tagged: bytes) -> bytes:
    return twin.digest(tagged)[:4]


def named(tagged: bytes, stream: int, session: bytes, sequence: int) -> list[Any]:
    return [stream, session, sequence, twin.digest(tagged)[:16]]


def test_a_record_is_held_once_whatever_its_form_and_however_often_it_comes(device: Device) -> None:
    tagged = device.sign(records.PANIC, 1, None)
    first, again = device.take(tagged), device.take(twin.compact(tagged))
    assert first.entry == again.entry
    assert (first.entry.stream, first.entry.sequence, first.entry.verdict) == (0, 1, Verdict.HELD)
    assert first.entry.digest == twin.digest(tagged)
    assert (first.repeated, again.repeated) == (False, True)
    assert device.database.rows("SELECT tagged FROM record") == [(tagged,)]


def test_a_record_of_an_earlier_session_is_held_under_that_session(device: Device) -> None:
    tagged = device.sign(records.PANIC, 1, None, session=SECOND)
    assert device.take(b"\x46" + SECOND + tagged).entry.session == SECOND
    # Without its session beside it, the same record is one of the channel's session, and its signature says no.
    assert device.take(tagged).entry.verdict is Verdict.UNREADABLE


def test_a_record_by_ed25519_is_held_in_both_forms(device: Device) -> None:
    device.key = ed25519.Ed25519PrivateKey.generate()
    pem = device.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with device.database.transaction():
        device.database.rows("UPDATE device SET public_key_pem = ?", (pem.decode(),))
    tagged = device.sign(records.PANIC, 1, None)
    assert device.take(twin.compact(tagged)).entry.verdict is Verdict.HELD
    assert device.take(tagged).repeated


def test_a_fork_is_kept_and_told_and_gets_its_own_entry(device: Device) -> None:
    one, other = (device.sign(records.PANIC, 1, None, fix=fix) for fix in (None, twin.FIX))
    device.take(one)
    outcome = device.take(other)
    assert (outcome.entry.digest, outcome.entry.verdict) == (twin.digest(other), Verdict.HELD)
    assert any(alarm.startswith("FORK") for alarm in outcome.alarms)
    assert device.database.rows("SELECT tagged FROM record ORDER BY row") == [(one,), (other,)]
    assert device.take(one).alarms == ()


def test_either_side_of_a_fork_can_be_continued(device: Device) -> None:
    one, other = (device.sign(records.PANIC, 1, None, fix=fix) for fix in (None, twin.FIX))
    after_one, after_other = (device.sign(2, 2, short(each)) for each in (one, other))
    for each in (one, other, after_one, after_other):
        device.take(each)
    assert (device.chain(after_one), device.chain(after_other)) == ("whole", "whole")


@pytest.mark.parametrize(
    ("payload", "why", "identity"),
    [
        (cbor2.dumps([2, {"all": "new"}]), "version 2 is not known", (None, None)),
        (cbor2.dumps([1, 1, 1, None, 5, b"short", None]), "a clock has 6 octets", (0, 1)),
        (cbor2.dumps([1, 0x90, 1, None, 5, None, None]), "stream 9", (9, 1)),
        (b"\xff", "indefinite", (None, None)),
    ],
)
def test_what_is_not_understood_is_held_in_quarantine(
    device: Device, payload: bytes, why: str, identity: tuple[int | None, int | None]
) -> None:
    tagged = device.signed(payload)
    outcome = device.take(tagged)
    assert outcome.entry.verdict is Verdict.UNREADABLE
    assert outcome.entry.digest == twin.digest(tagged)
    assert (outcome.entry.stream, outcome.entry.sequence) == identity
    assert why in outcome.text
    assert device.take(tagged) == intake.Outcome(outcome.entry, True, outcome.text)
    assert device.database.rows("SELECT tagged FROM quarantine") == [(tagged,)]
    assert device.database.rows("SELECT * FROM record") == []


@pytest.mark.parametrize("submission", [b"\x00", b"\xd2", b"\x80", b"\x80" + bytes(64), b"\x46\x00", b"\xff" * 1024])
def test_octets_that_are_no_record_are_held_in_quarantine_too(device: Device, submission: bytes) -> None:
    outcome = device.take(submission)
    assert (outcome.entry.verdict, outcome.entry.stream, outcome.entry.sequence) == (Verdict.UNREADABLE, None, None)
    assert len(device.database.rows("SELECT * FROM quarantine")) == 1


def test_a_record_by_another_key_is_held_in_quarantine(device: Device) -> None:
    device.key = credentials.generate().signing_key
    outcome = device.take(device.sign(records.PANIC, 1, None))
    assert outcome.entry.verdict is Verdict.UNREADABLE
    assert "does not verify with the enrolled key" in outcome.text


def test_nobody_makes_a_fork_of_a_record_without_the_signing_key(device: Device) -> None:
    tagged = device.sign(records.PANIC, 1, None)
    for submission in (twin.with_upper_s(tagged), twin.compact(twin.with_upper_s(tagged))):
        outcome = device.take(submission)
        assert outcome.entry.verdict is Verdict.UNREADABLE
        assert "upper half of the order does not verify with the enrolled key" in outcome.text
    outcome = device.take(tagged)
    assert (outcome.entry.verdict, outcome.alarms) == (Verdict.HELD, ())
    assert device.database.rows("SELECT tagged FROM record") == [(tagged,)]


def test_a_record_whose_header_is_not_that_of_the_key_is_held_in_quarantine(device: Device) -> None:
    payload = cbor2.dumps([1, 1, 1, None, 5, None, None])
    aad = ["bondmate record 1", device.made.device, FIRST]
    for protected in (b"", b"\xa0", cbor2.dumps({1: -8})):
        outcome = device.take(twin.sign(payload, aad, device.key, protected=protected))
        assert "header is not that of the enrolled key" in outcome.text


def test_an_unknown_kind_of_a_known_stream_is_held(device: Device) -> None:
    outcome = device.take(device.sign(0x4F, 1, None))
    assert outcome.entry.verdict is Verdict.HELD
    assert outcome.text.startswith("79 BM-")


@pytest.mark.parametrize(("kind", "body"), [(records.STORE_LOST, None), (records.OPENING, [[0, None], [1, None]])])
def test_a_lost_store_is_an_alarm_once(device: Device, kind: int, body: Any) -> None:
    tagged = device.sign(kind, 1, None if body is None else b"", body=body)
    (alarm,) = device.take(tagged).alarms
    assert alarm.startswith(f"STORE LOST: {records.device_text(device.made.device)}/0001-00000001/state/1 says so")
    assert device.take(tagged).alarms == ()


def test_what_loses_no_store_is_no_alarm(device: Device) -> None:
    for sequence, (kind, body) in enumerate([(records.OPENING, []), (records.GAP, [[2, FIRST, 1, [1]]])], 1):
        assert not any(
            "STORE LOST" in each for each in device.take(device.sign(kind, sequence, None, body=body)).alarms
        )


@pytest.mark.parametrize(
    ("kind", "body"),
    [(records.GAP, [[records.ALERT, FIRST, 1, [1]]]), (records.GAP, []), (records.HEALTH, ["x" * 33])],
)
def test_a_body_that_is_malformed_is_held_in_quarantine(device: Device, kind: int, body: Any) -> None:
    outcome = device.take(device.sign(kind, 1, None, body=body))
    assert (outcome.entry.verdict, outcome.entry.stream) == (Verdict.UNREADABLE, kind >> 4)
    assert device.database.rows("SELECT * FROM record") == []


def test_a_record_costs_the_same_however_many_are_held(device: Device) -> None:
    steps: list[int] = []

    def note(event: dict[str, Any]) -> None:
        steps[-1] += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    # SQLite counts its own steps, which no other load of the machine changes.
    device.database._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    before: bytes | None = None
    for sequence in range(1, 241):
        steps.append(0)
        tagged = device.sign(records.PANIC, sequence, before)
        device.take(tagged)
        before = short(tagged)
    # A call is looked at together with the 32 records before it.
    assert 0 < max(steps[40:]) < 1.5 * min(steps[40:])


def test_a_broken_chain_is_held_and_told(device: Device) -> None:
    device.take(device.sign(records.PANIC, 1, None))
    second = device.sign(records.PANIC, 2, b"\0\0\0\0")
    outcome = device.take(second)
    assert outcome.entry.verdict is Verdict.UNREADABLE
    assert any(alarm.startswith("BROKEN CHAIN") for alarm in outcome.alarms)
    assert device.chain(second) == "broken"
    assert device.take(second).entry.verdict is Verdict.UNREADABLE


def test_a_record_waits_for_the_one_before_it(device: Device) -> None:
    first = device.sign(records.PANIC, 1, None)
    whole, broken = (device.sign(records.PANIC, 2, previous) for previous in (short(first), b"\0\0\0\0"))
    assert [device.take(each).entry.verdict for each in (whole, broken)] == [Verdict.HELD, Verdict.HELD]
    assert (device.chain(whole), device.chain(broken)) == ("waiting", "waiting")
    outcome = device.take(first)
    assert (device.chain(whole), device.chain(broken)) == ("whole", "broken")
    assert any("which came later" in alarm for alarm in outcome.alarms)
    # The receipt that it once got stays the receipt that it gets.
    assert device.take(broken).entry.verdict is Verdict.HELD


def test_streams_that_may_be_thinned_do_not_wait(device: Device) -> None:
    fifth = device.sign(records.POSITION, 5, b"\1\2\3\4", fix=twin.FIX)
    sixth = device.sign(records.POSITION, 6, b"\0\0\0\0", fix=twin.FIX)
    device.take(fifth)
    assert device.chain(fifth) == "whole"
    assert device.take(sixth).entry.verdict is Verdict.UNREADABLE


def test_the_first_record_of_all_is_whole_and_a_second_first_waits_for_its_opening(device: Device) -> None:
    first, second = (device.sign(records.PANIC, 1, None, session=session) for session in (FIRST, SECOND))
    device.take(first)
    device.take(second, SECOND)
    assert (device.chain(first), device.chain(second)) == ("whole", "waiting")


def test_a_device_that_knows_of_no_record_though_we_hold_one_has_lost_its_store(device: Device) -> None:
    before = device.sign(records.PANIC, 1, None)
    opening = device.sign(records.OPENING, 1, None, session=SECOND, body=[])
    alert = device.sign(records.PANIC, 1, None, session=SECOND)
    device.take(before)
    device.take(opening, SECOND)
    device.take(alert, SECOND)
    assert (device.chain(before), device.chain(alert)) == ("whole", "broken")


@pytest.mark.parametrize("first_arrives", ["last", "first"])
def test_that_the_first_ever_arrives_after_later_ones_breaks_nothing(device: Device, first_arrives: str) -> None:
    opening = device.sign(records.OPENING, 1, None, body=[])
    alert = device.sign(records.PANIC, 1, None)
    body = [named(alert, records.ALERT, FIRST, 1), named(opening, records.STATE, FIRST, 1)]
    later = device.sign(records.OPENING, 1, short(opening), session=SECOND, body=body)
    later_alert = device.sign(records.PANIC, 1, short(alert), session=SECOND)
    sessions = [((opening, FIRST), (alert, FIRST)), ((later, SECOND), (later_alert, SECOND))]
    alarms = [
        device.take(*each).alarms
        for submissions in (sessions if first_arrives == "first" else reversed(sessions))
        for each in submissions
    ]
    assert alarms == [()] * 4
    assert [device.chain(each) for each in (opening, alert, later, later_alert)] == ["whole"] * 4


def test_a_later_session_makes_no_loss_of_the_first(device: Device) -> None:
    opening = device.sign(records.OPENING, 1, None, body=[])
    alert = device.sign(records.PANIC, 1, None)
    device.take(opening)
    device.take(alert)
    follower = device.sign(
        records.OPENING,
        1,
        short(opening),
        session=SECOND,
        body=[named(opening, records.STATE, FIRST, 1), named(alert, records.ALERT, FIRST, 1)],
    )
    device.take(follower, SECOND)
    device.take(device.sign(records.PANIC, 1, short(alert), session=SECOND), SECOND)
    assert device.chain(alert) == "whole"


@pytest.mark.parametrize(
    ("previous", "says", "state"),
    [
        ("match", "named", "whole"),
        (b"\0\0\0\0", "named", "broken"),
        (None, "named", "broken"),
        (b"", "lost", "whole"),
        (None, "lost", "broken"),
        (b"", "nothing", "broken"),
        ("match", "another digest", "broken"),
    ],
)
@pytest.mark.parametrize("order", ["opening first", "opening last", "earlier session last"])
def test_the_opening_carries_the_chain_from_session_to_session(
    device: Device, previous: bytes | str | None, says: str, state: str, order: str
) -> None:
    before = device.sign(records.PANIC, 1, None)
    wrong = [*named(before, records.ALERT, FIRST, 1)[:3], short(before) + bytes(12)]
    body = {
        "named": [named(before, records.ALERT, FIRST, 1)],
        "lost": [[records.ALERT, None]],
        "nothing": [],
        "another digest": [wrong],
    }[says]
    opening = device.sign(records.OPENING, 1, None, session=SECOND, body=body)
    claim = short(before) if isinstance(previous, str) else previous
    alert = device.sign(records.PANIC, 1, claim, session=SECOND)
    submissions = {"before": (before, FIRST), "opening": (opening, SECOND), "alert": (alert, SECOND)}
    sequence = {
        "opening first": ("before", "opening", "alert"),
        "opening last": ("before", "alert", "opening"),
        "earlier session last": ("alert", "opening", "before"),
    }[order]
    for each in sequence:
        device.take(*submissions[each])
    assert device.chain(alert) == state


def test_the_opening_is_the_link_of_its_own_stream_too(device: Device) -> None:
    first = device.sign(records.OPENING, 1, None, body=[])
    good = device.sign(records.OPENING, 1, short(first), session=SECOND, body=[named(first, records.STATE, FIRST, 1)])
    third = bytes.fromhex("000300000003")
    bad = device.sign(records.OPENING, 1, short(first), session=third, body=[named(good, records.STATE, SECOND, 1)])
    for each, session in ((first, FIRST), (good, SECOND), (bad, third)):
        device.take(each, session)
    assert [device.chain(each) for each in (first, good, bad)] == ["whole", "whole", "broken"]


def test_a_revoked_device_is_refused_for_every_kind_and_its_attempts_are_listed(device: Device) -> None:
    held = device.sign(records.PANIC, 1, None)
    device.take(held)
    devices.revoke(device.database, device.made.device, now_ms=2)
    new = device.sign(records.POSITION, 1, None, fix=twin.FIX)
    for submission in (held, new, b"\x00no record"):
        outcome = device.take(submission)
        assert (outcome.entry.verdict, outcome.entry.reason) == (Verdict.REFUSED, 1)
        assert not outcome.repeated
    assert device.database.rows("SELECT tagged FROM record") == [(held,)]
    assert device.database.rows("SELECT tagged FROM attempt ORDER BY row") == [(held,), (new,), (b"\x00no record",)]


def test_of_a_revoked_devices_attempts_the_newest_stay(device: Device) -> None:
    devices.revoke(device.database, device.made.device, now_ms=2)
    for number in range(70):
        device.take(b"\x00" + bytes([number]))
    rows = device.database.rows("SELECT tagged FROM attempt ORDER BY row")
    assert rows == [(b"\x00" + bytes([number]),) for number in range(6, 70)]


def test_an_empty_submission_is_no_record(device: Device) -> None:
    bearer = devices.bearer(device.database, device.made.kids["ip"])
    assert bearer is not None
    for empty in (b"", b"\x46" + SECOND):
        assert intake.take(device.database, bearer, FIRST, empty, now_ms=1) is None
