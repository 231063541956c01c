"""Identities, kinds and fixes as text and JSON, as docs/protocol.md and the contracts write them."""

import datetime as dt
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.records import (
    ALERT_KINDS,
    CHAINED,
    ClockSource,
    DeviceId,
    Felt,
    Fix,
    History,
    Kind,
    Reason,
    RecordId,
    SessionId,
    SignedRecord,
    Stream,
    Suspicion,
    UtcTime,
    unix_ms,
    utc_text,
)

PROTOCOL = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
SESSION = SessionId(bytes.fromhex("00125be2aa10"))


def test_identities_are_written_as_in_the_specification() -> None:
    assert str(DEVICE) == "BM-7f3a09c1"
    assert str(SESSION) == "0012-5be2aa10"
    identity = str(RecordId(DEVICE, SESSION, Stream.ALERT, 1))
    assert identity == "BM-7f3a09c1/0012-5be2aa10/alert/1"
    assert f"`{identity}`" in PROTOCOL


def test_the_start_counter_is_the_first_sixteen_bits() -> None:
    assert SESSION.counter == 0x12
    assert SessionId(b"\xff\xff" + bytes(4)).counter == 65535


@given(st.binary(min_size=4, max_size=4))
def test_a_device_id_is_read_back_from_its_text(octets: bytes) -> None:
    assert DeviceId.parse(str(DeviceId(octets))) == DeviceId(octets)
    assert DeviceId.parse(f"BM-{octets.hex().upper()}") == DeviceId(octets)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7f3a09c1",
        "BM-",
        "BM-7f3a09c",
        "BM-7f3a09c1a",
        "BM-7f3a09cg",
        "bm-7f3a09c1",
        "BM-7f 3a09c1",
        "BM-7f3a09c1\n",
    ],
)
def test_nothing_else_is_a_device_id(text: str) -> None:
    with pytest.raises(ValueError, match="BM-7f3a09c1"):
        DeviceId.parse(text)


@pytest.mark.parametrize("octets", [b"", bytes(3), bytes(5), bytes(7), bytes(16)])
def test_ids_of_another_length_are_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match="4 octets"):
        DeviceId(octets)
    with pytest.raises(ValueError, match="6 octets"):
        SessionId(octets)


def test_streams_and_kinds_are_those_of_the_specification() -> None:
    rows = re.findall(r"^\| (\w+) \| (\d) \| (.+) \|$", PROTOCOL, re.MULTILINE)
    assert {name: int(number) for name, number, _ in rows} == {stream.label: int(stream) for stream in Stream}
    kinds = {
        word: (int(number), stream)
        for stream, _, cell in rows
        for number, word in re.findall(r"(\d+) ([\w-]+)", cell)
    }  # fmt: skip
    assert kinds == {kind.label: (int(kind), kind.stream.label) for kind in Kind}


def test_alerts_are_of_the_alert_stream_and_cancelling_raises_none() -> None:
    assert all(kind.stream is Stream.ALERT for kind in ALERT_KINDS)
    assert Kind.CANCELLATION not in ALERT_KINDS
    assert CHAINED == (Stream.ALERT, Stream.STATE)


def test_the_reasons_of_a_gap_are_those_of_the_specification() -> None:
    [line] = re.findall(r"Reason 1 .+", PROTOCOL)
    told = {word: int(number) for number, word in re.findall(r"[Rr]eason (\d) \*(\w+)\*", line)}
    assert told == {reason.name.lower(): int(reason) for reason in Reason}


def test_a_history_that_is_lost_knows_of_each_chain_that_it_was_lost() -> None:
    """Which is another thing than a device that never had a record."""
    assert History.lost() == History({Stream.ALERT: None, Stream.STATE: None})
    assert History.lost() != History({})


def test_what_was_felt_is_the_more_the_later() -> None:
    assert Felt.NOTHING < Felt.STORED < Felt.DELIVERED


def test_sources_and_suspicions_have_names_for_json() -> None:
    assert [source.label for source in ClockSource] == ["gnss", "network", "system"]
    assert [each.label for each in Suspicion] == [
        "jump", "time_backwards", "frozen", "equal_signal", "antenna_open", "made_up",
    ]  # fmt: skip


def test_times_are_rfc_3339_with_milliseconds() -> None:
    """`date -u -d @1795186800`"""
    assert utc_text(1_795_186_800_120) == "2026-11-20T15:00:00.120Z"
    assert utc_text(0) == "1970-01-01T00:00:00.000Z"
    assert utc_text(-1) == "1969-12-31T23:59:59.999Z"
    assert utc_text(None) is None
    assert unix_ms(UtcTime(5, ClockSource.GNSS)) == 5
    assert unix_ms(None) is None


@given(st.integers(0, 4_102_444_800_000))
def test_a_time_is_read_back_exactly(milliseconds: int) -> None:
    text = utc_text(milliseconds)
    assert text is not None
    assert round(dt.datetime.fromisoformat(text).timestamp() * 1000) == milliseconds


def test_a_fix_is_the_same_object_everywhere() -> None:
    """The very example of the contracts."""
    fix = Fix(
        taken_s=99.6,
        time=dt.datetime(2026, 11, 20, 15, 0, 0, 120_000, dt.UTC),
        lat=38.722252,
        lon=-9.139337,
        alt_m=12.3,
        geoid_m=53.4,
        speed_mps=0.4,
        track_deg=181.2,
        mode=3,
        hdop=0.9,
        accuracy_m=3.1,
        satellites=11,
    )
    assert fix.to_json(100.0) == {
        "time": "2026-11-20T15:00:00.120Z",
        "lat": 38.722252,
        "lon": -9.139337,
        "alt_m": 12.3,
        "geoid_m": 53.4,
        "speed_mps": 0.4,
        "track_deg": 181.2,
        "mode": 3,
        "hdop": 0.9,
        "accuracy_m": 3.1,
        "satellites": 11,
        "age_s": 0.4,
        "source": "gnss",
        "suspect": [],
    }


def test_what_a_fix_does_not_know_is_null_and_what_is_suspect_is_named() -> None:
    fix = Fix(taken_s=1.0, lat=0.0, lon=0.0, mode=2, suspect=(Suspicion.JUMP, Suspicion.ANTENNA_OPEN))
    told = fix.to_json(1.0)
    assert {key for key, value in told.items() if value is None} == {
        "time", "alt_m", "geoid_m", "speed_mps", "track_deg", "hdop", "accuracy_m", "satellites",
    }  # fmt: skip
    assert told["suspect"] == ["jump", "antenna_open"]


def test_the_age_of_a_fix_is_never_negative() -> None:
    fix = Fix(taken_s=10.0, lat=0.0, lon=0.0, mode=3)
    assert fix.age_s(13.5) == 3.5
    assert fix.age_s(9.0) == 0.0


def test_a_fix_of_unknown_age_says_so() -> None:
    assert Fix(taken_s=-math.inf, lat=0.0, lon=0.0, mode=3).to_json(1.0)["age_s"] is None


def test_a_record_does_not_spill_its_octets_into_logs() -> None:
    record = SignedRecord(RecordId(DEVICE, SESSION, Stream.ALERT, 1), Kind.PANIC, b"\xd2content", bytes(16), None)
    assert "content" not in repr(record)
