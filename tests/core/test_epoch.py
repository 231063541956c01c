"""Sentences to fixes, one fix an epoch."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.epoch import QUIET_S, USER_RANGE_ERROR_M, EpochAssembler, Sentence
from bondmate.records import Fix

NOON = 12 * 3_600_000
DAY = dt.date(2026, 11, 20)
LAT, LON = 38.722252, -9.139337


def gga(time_ms: int | None = NOON, **more: float | None) -> Sentence:
    values = {"lat": LAT, "lon": LON, "alt_m": 12.3, "hdop": 0.9, "satellites": 11} | more
    return Sentence(type="GGA", time_ms=time_ms, valid=True, **values)  # type: ignore[arg-type]


def rmc(time_ms: int | None = NOON, date: dt.date | None = DAY, *, valid: bool = True, lat: float = LAT) -> Sentence:
    return Sentence(
        type="RMC", time_ms=time_ms, date=date, valid=valid, lat=lat, lon=LON, speed_mps=0.4, track_deg=181.2
    )


def fixes(*sentences: Sentence) -> list[Fix]:
    """What these make, one every 10 ms, and the silence behind them."""
    assembler = EpochAssembler()
    found = [assembler.feed(sentence, 100 + index / 100) for index, sentence in enumerate(sentences)]
    return [fix for fix in (*found, assembler.poll(1000.0)) if fix is not None]


def test_an_epoch_takes_each_value_from_the_sentence_that_knows_it() -> None:
    gsa = Sentence(type="GSA", valid=True, mode=3, hdop=1.5)
    gst = Sentence(type="GST", time_ms=NOON, accuracy_m=3.1)
    assert fixes(gga(), gsa, gst, rmc()) == [
        Fix(
            taken_s=100.03,
            time=dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC),
            lat=LAT,
            lon=LON,
            mode=3,
            alt_m=12.3,
            speed_mps=0.4,
            track_deg=181.2,
            hdop=0.9,
            accuracy_m=3.1,
            satellites=11,
        )
    ]


def test_the_order_of_sentences_in_an_epoch_does_not_matter() -> None:
    one, other = fixes(gga(), rmc()), fixes(rmc(), gga())
    assert one == other
    assert len(one) == 1


def test_a_sentence_of_another_time_ends_the_epoch_at_once() -> None:
    assembler = EpochAssembler()
    assert assembler.feed(gga(), 50.0) is None
    fix = assembler.feed(gga(NOON + 200), 50.05)
    assert fix is not None
    assert fix.taken_s == 50.0, "when its last sentence came, not when the next epoch began"


@given(st.floats(0, 1e7))
def test_silence_ends_the_epoch_when_it_is_due_and_not_before(now: float) -> None:
    assembler = EpochAssembler()
    assert assembler.next_due() is None
    assembler.feed(gga(), now)
    due = assembler.next_due()
    assert due == now + QUIET_S
    assert assembler.poll(now + QUIET_S / 2) is None
    assert assembler.poll(due) is not None
    assert assembler.poll(due) is None
    assert assembler.next_due() is None


def test_sentences_without_a_time_belong_to_the_epoch_under_way() -> None:
    vtg = Sentence(type="VTG", speed_mps=3.0, track_deg=90.0)
    [fix] = fixes(gga(), vtg)
    assert (fix.speed_mps, fix.track_deg) == (3.0, 90.0)
    assert fixes(vtg) == []


@pytest.mark.parametrize(
    "void",
    [
        rmc(valid=False),
        Sentence(type="GSA", valid=False, mode=1),
        Sentence(type="GLL", time_ms=NOON, valid=False),
    ],
)
def test_an_epoch_in_which_any_sentence_says_void_gives_no_fix(void: Sentence) -> None:
    assert len(fixes(gga())) == 1
    assert fixes(gga(), void) == []


def test_an_epoch_without_a_position_gives_no_fix() -> None:
    assert fixes(Sentence(type="ZDA", time_ms=NOON, date=DAY), Sentence(type="GSA", mode=3)) == []
    assert fixes(gga(lat=None)) == []


def test_a_position_comes_from_one_sentence_and_never_from_two() -> None:
    [fix] = fixes(gga(lon=None), rmc(lat=1.0))
    assert (fix.lat, fix.lon) == (1.0, LON)


@pytest.mark.parametrize(
    ("known", "accuracy_m", "mode"),
    [
        ((gga(),), 0.9 * USER_RANGE_ERROR_M, 3),
        ((gga(hdop=None),), None, 3),
        ((gga(alt_m=None),), 0.9 * USER_RANGE_ERROR_M, 2),
        ((gga(hdop=None), Sentence(type="GSA", mode=2, hdop=2.0)), 2.0 * USER_RANGE_ERROR_M, 2),
        ((gga(), Sentence(type="GST", time_ms=NOON, accuracy_m=7.5)), 7.5, 3),
    ],
)
def test_accuracy_and_mode_come_from_what_there_is(
    known: tuple[Sentence, ...], accuracy_m: float | None, mode: int
) -> None:
    [fix] = fixes(*known)
    assert fix.accuracy_m == pytest.approx(accuracy_m)
    assert fix.mode == mode


def test_without_any_date_the_time_is_unknown() -> None:
    assert [fix.time for fix in fixes(gga(), gga(NOON + 1000))] == [None, None]


def test_a_date_is_carried_on_across_midnight() -> None:
    before, after = 86_399_500, 500
    assert [fix.time for fix in fixes(rmc(before), gga(after), gga(after + 500))] == [
        dt.datetime(2026, 11, 20, 23, 59, 59, 500_000, dt.UTC),
        dt.datetime(2026, 11, 21, 0, 0, 0, 500_000, dt.UTC),
        dt.datetime(2026, 11, 21, 0, 0, 1, tzinfo=dt.UTC),
    ]


def test_a_time_that_steps_back_a_little_is_of_the_same_day() -> None:
    """A receiver that corrects itself, or whose epochs come out of order."""
    assert [fix.time for fix in fixes(rmc(), gga(NOON - 2000))][-1] == dt.datetime(
        2026, 11, 20, 11, 59, 58, tzinfo=dt.UTC
    )


def test_the_new_day_is_counted_once_when_its_own_date_comes_too() -> None:
    next_day = DAY + dt.timedelta(days=1)
    times = [fix.time for fix in fixes(rmc(86_399_000), gga(0), rmc(0, next_day), gga(1000), rmc(1000, next_day))]
    assert times == [
        dt.datetime(2026, 11, 20, 23, 59, 59, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 21, 0, 0, 1, tzinfo=dt.UTC),
    ]


def test_a_date_without_a_time_takes_nothing_away() -> None:
    empty = Sentence(type="RMC", date=DAY, valid=None)
    assert [fix.time for fix in fixes(rmc(), empty, gga(NOON + 1000))][-1] == dt.datetime(
        2026, 11, 20, 12, 0, 1, tzinfo=dt.UTC
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_there_is_at_most_one_fix_an_epoch_and_none_is_lost(steps: list[tuple[int, bool]]) -> None:
    """Times that stay or move on by some 200 ms; every epoch is of good sentences."""
    time_ms = NOON
    sentences = []
    for moved, is_gga in steps:
        time_ms += moved * 200
        sentences.append(gga(time_ms) if is_gga else rmc(time_ms))
    times = [fix.time for fix in fixes(rmc(NOON - 200), *sentences)]
    told = {sentence.time_ms for sentence in sentences if sentence.time_ms is not None} | {NOON - 200}
    midnight = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    assert times == [midnight + dt.timedelta(milliseconds=each) for each in sorted(told)]
