"""Sentences to fixes, one fix an epoch, whatever the order; and in words why there is none."""

import datetime as dt
import itertools
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.epoch import QUIET_S, USER_RANGE_ERROR_M, Epoch, EpochAssembler
from bondmate.core.nmea import Sentence
from bondmate.records import Fix

NOON = 12 * 3_600_000
LAST_SECOND, LEAP_SECOND = 86_399_000, 86_400_000
DAY = dt.date(2026, 11, 20)
NEXT_DAY = dt.date(2026, 11, 21)
LAT, LON = 38.722252, -9.139337
MEGABYTE = 1 << 20


def gga(time_ms: int | None = NOON, *, talker: str = "GP", **other: Any) -> Sentence:
    said = {"lat": LAT, "lon": LON, "alt_m": 12.3, "geoid_m": 50.1, "hdop": 0.9, "satellites": 11, "valid": True}
    return Sentence(talker, "GGA", time_ms=time_ms, **(said | other))


def rmc(time_ms: int | None = NOON, date: dt.date | None = DAY, *, talker: str = "GP", **other: Any) -> Sentence:
    said = {"valid": True, "lat": LAT, "lon": LON, "speed_mps": 0.4, "track_deg": 181.2}
    return Sentence(talker, "RMC", time_ms=time_ms, date=date, **(said | other))


def gll(time_ms: int | None = NOON, **other: Any) -> Sentence:
    return Sentence("GP", "GLL", time_ms=time_ms, valid=True, lat=LAT, lon=LON)._replace(**other)


def gns(time_ms: int | None = NOON, **other: Any) -> Sentence:
    return gga(time_ms)._replace(type="GNS", **other)


def gsa(mode: int | None = 3, hdop: float | None = 1.5) -> Sentence:
    return Sentence("GN", "GSA", mode=mode, hdop=hdop)


def gst(accuracy_m: float | None, time_ms: int | None = NOON) -> Sentence:
    return Sentence("GP", "GST", time_ms=time_ms, accuracy_m=accuracy_m)


def vtg(speed_mps: float | None = 3.0, track_deg: float | None = 90.0) -> Sentence:
    return Sentence("GP", "VTG", speed_mps=speed_mps, track_deg=track_deg)


def zda(time_ms: int | None = NOON, date: dt.date | None = DAY) -> Sentence:
    return Sentence("GP", "ZDA", time_ms=time_ms, date=date)


def utc(day: dt.date, time_ms: int) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) + dt.timedelta(milliseconds=time_ms)


def epochs(*said: Sentence, assembler: EpochAssembler | None = None, every_s: float = 0.01) -> list[Epoch]:
    """What these make, one every 10 ms, and the silence behind them."""
    assembler = EpochAssembler() if assembler is None else assembler
    found = [assembler.feed(sentence, 100 + index * every_s) for index, sentence in enumerate(said)]
    return [epoch for epoch in (*found, assembler.poll(1000.0)) if epoch is not None]


def fixes(*said: Sentence, assembler: EpochAssembler | None = None, every_s: float = 0.01) -> list[Fix]:
    return [each.fix for each in epochs(*said, assembler=assembler, every_s=every_s) if each.fix is not None]


def times(*said: Sentence, assembler: EpochAssembler | None = None) -> list[dt.datetime | None]:
    return [fix.time for fix in fixes(*said, assembler=assembler)]


# --- what a fix is made of -------------------------------------------------------------------------------------------


def test_an_epoch_takes_each_value_from_the_sentence_that_knows_it() -> None:
    assert epochs(gga(), gsa(), gst(3.1), rmc()) == [
        Epoch(
            Fix(
                taken_s=100.03,
                time=dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC),
                lat=LAT,
                lon=LON,
                mode=3,
                alt_m=12.3,
                geoid_m=50.1,
                speed_mps=0.4,
                track_deg=181.2,
                hdop=0.9,
                accuracy_m=3.1,
                satellites=11,
            ),
            time_ms=NOON,
        )
    ]


ALL = (gga(), rmc(), gll(), gns(), gsa(), gsa(2), gst(3.1), vtg(), zda())


@given(st.permutations(ALL))
def test_the_order_of_sentences_in_an_epoch_does_not_matter(said: Sequence[Sentence]) -> None:
    assert fixes(*said) == fixes(*ALL)
    assert len(fixes(*said)) == 1


@given(st.permutations([gga(talker="GN"), rmc(talker="GN"), gsa(), gsa(2), vtg(3.0), gst(3.1)]), st.integers(2, 6))
def test_any_order_is_good_where_a_pause_parts_the_epochs(order: Sequence[Sentence], count: int) -> None:
    """Once a second, each sentence in the same place."""
    assembler, found = EpochAssembler(), []
    for second in range(count):
        now = 50.0 + second
        for sentence in order:
            moved = sentence if sentence.time_ms is None else sentence._replace(time_ms=NOON + 1000 * second)
            if sentence.type == "RMC":
                moved = moved._replace(speed_mps=float(second))
            found.append(assembler.feed(moved, now))
            now += 0.02
        found.append(assembler.poll(now + QUIET_S))
    made = [epoch.fix for epoch in found if epoch is not None and epoch.fix is not None]
    assert [fix.speed_mps for fix in made] == list(range(count))
    assert [fix.time for fix in made] == [utc(DAY, NOON + 1000 * second) for second in range(count)]
    assert {(fix.mode, fix.accuracy_m) for fix in made} == {(3, 3.1)}


POSITIONS = {
    "GGA before all": ((gll(lat=4.0), rmc(lat=3.0), gns(lat=2.0), gga(lat=1.0)), 1.0),
    "GNS before RMC": ((gll(lat=4.0), rmc(lat=3.0), gns(lat=2.0)), 2.0),
    "RMC before GLL": ((gll(lat=4.0), rmc(lat=3.0)), 3.0),
    "GLL alone": ((gll(lat=4.0),), 4.0),
    "GGA without one": ((gga(lat=None, lon=None), rmc(lat=3.0)), 3.0),
}


@pytest.mark.parametrize(("said", "lat"), POSITIONS.values(), ids=POSITIONS.keys())
def test_a_position_comes_from_the_best_sentence_that_has_one(said: tuple[Sentence, ...], lat: float) -> None:
    [fix] = fixes(*said)
    assert (fix.lat, fix.lon) == (lat, LON)


def test_speed_and_track_come_from_rmc_and_else_from_vtg() -> None:
    [fix] = fixes(gga(), vtg(), rmc())
    assert (fix.speed_mps, fix.track_deg) == (0.4, 181.2)
    [fix] = fixes(gga(), vtg(), rmc(speed_mps=None, track_deg=None))
    assert (fix.speed_mps, fix.track_deg) == (3.0, 90.0)
    [fix] = fixes(gga())
    assert (fix.speed_mps, fix.track_deg) == (None, None)
    [fix] = fixes(gga(), vtg(3.0), rmc(speed_mps=0.0, track_deg=None))
    assert (fix.speed_mps, fix.track_deg) == (0.0, None), "never of two sentences: at rest there is no track"


def test_height_comes_with_its_separation() -> None:
    [fix] = fixes(gga(alt_m=None, geoid_m=None), gns(alt_m=7.0, geoid_m=8.0))
    assert (fix.alt_m, fix.geoid_m) == (7.0, 8.0)
    [fix] = fixes(gga(alt_m=1.0, geoid_m=None), gns(alt_m=7.0, geoid_m=8.0))
    assert (fix.alt_m, fix.geoid_m) == (1.0, None)
    [fix] = fixes(rmc())
    assert (fix.alt_m, fix.geoid_m, fix.satellites) == (None, None, None)


ACCURACIES = {
    # the stated range error: 5 m, so 0.9 times 5 m
    "HDOP": ((gga(),), 4.5),
    "HDOP of GNS": ((rmc(), gns(hdop=2.0)), 10.0),
    "HDOP of GSA": ((gga(hdop=None), gsa(3, 2.0)), 10.0),
    "GST before HDOP": ((gga(), gst(7.5)), 7.5),
    "GST in front": ((gst(7.5), gga()), 7.5),
    "an empty GST": ((gga(), gst(None)), 4.5),
    "neither": ((gga(hdop=None),), None),
}


@pytest.mark.parametrize(("said", "accuracy_m"), ACCURACIES.values(), ids=ACCURACIES.keys())
def test_accuracy_is_gst_s_and_else_hdop_times_the_range_error(
    said: tuple[Sentence, ...], accuracy_m: float | None
) -> None:
    assert USER_RANGE_ERROR_M == 5.0
    [fix] = fixes(*said)
    assert fix.accuracy_m == pytest.approx(accuracy_m)


MODES = {
    "GSA in three dimensions": ((gga(), gsa(3)), 3),
    "GSA in two": ((gga(), gsa(2)), 2),
    "one GSA a constellation": ((gga(), gsa(3), gsa(3), gsa(3), gsa(3)), 3),
    "a constellation of which nothing is used": ((gga(), gsa(3), gsa(1)), 3),
    "the same in front": ((gga(), gsa(1), gsa(1), gsa(2)), 2),
    "GSA without a mode": ((gga(), gsa(None)), 3),
    "no GSA": ((gga(),), 3),
    "no GSA and no height": ((gga(alt_m=None),), 2),
    "RMC alone": ((rmc(),), 2),
}


@pytest.mark.parametrize(("said", "mode"), MODES.values(), ids=MODES.keys())
def test_the_mode_is_gsa_s_and_else_told_by_the_height(said: tuple[Sentence, ...], mode: int) -> None:
    [fix] = fixes(*said)
    assert fix.mode == mode


# --- why there is none -----------------------------------------------------------------------------------------------

VOID = {
    "RMC": (rmc(valid=False), "GPRMC"),
    "GGA": (gga(talker="GN", valid=False), "GNGGA"),
    "GLL": (gll(valid=False), "GPGLL"),
    "GNS": (gns(valid=False), "GPGNS"),
    "GSA": (gsa(1), "GSA"),
}


@pytest.mark.parametrize(("void", "name"), VOID.values(), ids=VOID.keys())
@pytest.mark.parametrize("others", [(), (gga(talker="GL"), rmc(talker="GL"))], ids=["alone", "with good ones"])
@pytest.mark.parametrize("order", [1, -1], ids=["behind", "in front"])
def test_an_epoch_in_which_any_sentence_says_void_gives_no_fix(
    void: Sentence, name: str, others: tuple[Sentence, ...], order: int
) -> None:
    said = (*others, void) if others or void.time_ms is not None else (zda(), void)
    [epoch] = epochs(*said[::order])
    assert epoch.fix is None
    assert epoch.why_not == (f"{name} says that there is none",)


def test_every_sentence_that_says_void_is_told() -> None:
    [epoch] = epochs(gga(valid=False), rmc(valid=False), gsa(1), gsa(1))
    assert epoch.why_not == (
        "GPGGA says that there is none", "GPRMC says that there is none", "GSA says that there is none",
    )  # fmt: skip


@pytest.mark.parametrize("said", [(zda(), gsa()), (gga(lat=None, lon=None),), (gst(3.1), vtg())])
def test_an_epoch_without_a_position_gives_no_fix(said: tuple[Sentence, ...]) -> None:
    assert epochs(*said) == [Epoch(None, ("no sentence has a position",))]


def before_the_first_fix(time_ms: int | None) -> tuple[Sentence, ...]:
    """One epoch as u-blox has it, with and without a time."""
    nowhere: dict[str, Any] = {"valid": False, "lat": None, "lon": None}
    return (
        rmc(time_ms, None, speed_mps=None, track_deg=None, **nowhere),
        vtg(None, None),
        Sentence("GP", "GGA", time_ms=time_ms, valid=False),
        gsa(1, None),
        gll(time_ms, **nowhere),
    )


@pytest.mark.parametrize("time_ms", [None, NOON], ids=["no time yet", "a time already"])
@pytest.mark.parametrize("every_s", [0.01, 0.2], ids=["without a pause", "with pauses"])
def test_each_epoch_before_the_first_fix_tells_that_there_is_none(time_ms: int | None, every_s: float) -> None:
    said = [
        sentence
        for second in range(5)
        for sentence in before_the_first_fix(None if time_ms is None else time_ms + 1000 * second)
    ]
    found = epochs(*said, every_s=every_s)
    assert [epoch.fix for epoch in found] == [None] * 5
    assert {epoch.why_not for epoch in found} == {
        (
            "GPRMC says that there is none", "GPGGA says that there is none", "GPGLL says that there is none",
            "GSA says that there is none",
        )
    }  # fmt: skip


def test_the_first_fix_is_not_lost_behind_epochs_without_a_time() -> None:
    found = epochs(*before_the_first_fix(None), *before_the_first_fix(None), rmc(), gga(), gsa())
    assert [epoch.fix is None for epoch in found] == [True, True, False]


def test_epochs_without_a_time_say_nothing_of_the_fix_before_them() -> None:
    """The receiver lost everything, as after a reset."""
    found = epochs(rmc(), gga(), gsa(), *before_the_first_fix(None), rmc(NOON + 5000), gga(NOON + 5000), gsa())
    assert [epoch.fix is None for epoch in found] == [False, True, False]


@pytest.mark.parametrize("void", [gll, rmc, gns], ids=["GLL", "RMC", "GNS"])
def test_a_void_sentence_without_a_time_is_of_no_epoch_that_has_one(void: Callable[..., Sentence]) -> None:
    """It is the first of the next, also where the one before has no such sentence."""
    found = epochs(gga(), gsa(), void(None, valid=False, lat=None, lon=None), vtg(None), gsa(1))
    assert [epoch.fix is None for epoch in found] == [False, True]


def test_void_sentences_without_a_time_are_one_epoch() -> None:
    [epoch] = epochs(*(each._replace(time_ms=None, valid=False) for each in (gga(), rmc(), gll())))
    assert len(epoch.why_not) == 3


def test_a_position_without_a_time_has_that_of_its_epoch() -> None:
    assert times(zda(), gga(None)) == [utc(DAY, NOON)]


def test_a_position_without_a_time_is_no_silence() -> None:
    [epoch] = epochs(gll(None), vtg())
    assert epoch.fix is not None or epoch.why_not


# --- where an epoch ends ---------------------------------------------------------------------------------------------


def test_a_sentence_of_another_time_ends_the_epoch_at_once() -> None:
    assembler = EpochAssembler()
    assert assembler.feed(gga(), 50.0) is None
    epoch = assembler.feed(gga(NOON + 200), 50.05)
    assert epoch is not None
    assert epoch.fix is not None
    assert epoch.fix.taken_s == 50.0, "when its last sentence came, not when the next epoch began"


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


def test_octets_under_way_keep_the_epoch_open() -> None:
    """At 4800 baud a sentence of 80 octets takes 167 ms, longer than the silence that ends an epoch."""
    assembler = EpochAssembler()
    assembler.feed(gga(), 50.0)
    assembler.heard(50.1)
    assert assembler.poll(50.0 + QUIET_S) is None
    assembler.heard(50.16)
    assembler.feed(rmc(), 50.17)
    epoch = assembler.poll(50.17 + QUIET_S)
    assert epoch is not None
    assert epoch.fix is not None
    assert epoch.fix.speed_mps == 0.4
    assert epoch.fix.taken_s == 50.17, "the age counts from the last sentence, not from other octets"


def test_the_epoch_under_way_can_be_ended() -> None:
    assembler = EpochAssembler()
    assert assembler.finish() is None
    assembler.feed(vtg(), 50.0)
    assert assembler.finish() is None, "no time, no epoch"
    assembler.feed(gga(), 50.0)
    epoch = assembler.finish()
    assert epoch is not None
    assert epoch.fix is not None
    assert assembler.finish() is None


def test_sentences_without_a_time_belong_to_the_epoch_under_way() -> None:
    [fix] = fixes(gga(), vtg())
    assert (fix.speed_mps, fix.track_deg) == (3.0, 90.0)
    assert epochs(vtg(), gsa()) == []


def test_sentences_behind_a_pause_belong_to_no_later_epoch() -> None:
    assembler = EpochAssembler()
    assembler.feed(gga(), 50.0)
    assert assembler.poll(50.0 + QUIET_S) is not None
    assembler.feed(vtg(9.0), 50.2)
    assembler.feed(gsa(1), 50.2)
    assembler.feed(gga(NOON + 1000), 51.0)
    epoch = assembler.poll(51.0 + QUIET_S)
    assert epoch is not None
    assert epoch.fix is not None
    assert (epoch.fix.speed_mps, epoch.fix.mode) == (None, 3)


LATE = {"GLL": gll, "RMC": rmc, "GNS": gns, "ZDA": zda, "of another talker": lambda time_ms: gga(time_ms, talker="GL")}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
def test_a_sentence_behind_a_pause_makes_no_second_fix(late: Callable[[int], Sentence]) -> None:
    assembler, found = EpochAssembler(), []
    for second in range(3):
        found.append(assembler.feed(gga(NOON + 1000 * second), 50.0 + second))
        found.append(assembler.poll(50.2 + second))
        found.append(assembler.feed(late(NOON + 1000 * second), 50.4 + second))
        found.append(assembler.poll(50.6 + second))
    assert [epoch is not None for epoch in found] == [False, True, False, False] * 3


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
def test_a_sentence_behind_those_of_the_next_epoch_makes_no_second_fix(late: Callable[[int], Sentence]) -> None:
    said = [[gga(NOON + 200 * step), late(NOON + 200 * (step - 1))] for step in range(1, 5)]
    assert len(epochs(gga(), *itertools.chain(*said))) == 5


@pytest.mark.parametrize("behind", ["a pause", "the next epoch"])
def test_the_date_of_a_late_sentence_counts(behind: str) -> None:
    assembler, found = EpochAssembler(), []
    for second in range(4):
        now = 50.0 + second
        found.append(assembler.feed(gga(NOON + 1000 * second), now))
        if behind == "a pause":
            found.append(assembler.poll(now + QUIET_S))
            found.append(assembler.feed(rmc(NOON + 1000 * second), now + 0.3))
        elif second > 0:
            found.append(assembler.feed(rmc(NOON + 1000 * (second - 1)), now + 0.01))
    found.append(assembler.finish())
    made = [epoch.fix.time for epoch in found if epoch is not None and epoch.fix is not None]
    assert made[-1] == utc(DAY, NOON + 3000)


def test_a_receiver_that_repeats_itself_makes_a_fix_each_time() -> None:
    """One whose clock stands still: each is a new epoch, and trust's business."""
    said = (gga(), gsa(), rmc()) * 4
    assert len(epochs(*said)) == 4
    assembler, found = EpochAssembler(), []
    for second in range(4):
        found += [assembler.feed(sentence, 50.0 + second) for sentence in (gga(), gsa(), rmc())]
        found.append(assembler.poll(50.5 + second))
    assert sum(1 for epoch in found if epoch is not None and epoch.fix is not None) == 4


RATES_HZ = (1, 2, 5, 8, 10, 16, 20, 25)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("gap_s", [0.0, 0.001, 0.004], ids=["at once", "fast line", "slow line"])
def test_every_epoch_of_any_rate_is_one_fix(rate_hz: int, gap_s: float) -> None:
    """Five seconds: GGA, GSA, RMC and VTG of each epoch, and polled as often as it asks."""
    assembler, made, sent = EpochAssembler(), [], []
    for number in range(5 * rate_hz):
        time_ms, now = NOON + 1000 * number // rate_hz, 50.0 + number / rate_hz
        due = assembler.next_due()
        if due is not None and due <= now:
            made.append(assembler.poll(due))
        for sentence in (gga(time_ms, lat=number / 100), gsa(), rmc(time_ms, speed_mps=float(number)), vtg(99.0)):
            made.append(assembler.feed(sentence, now))
            now += gap_s
        sent.append((number / 100, float(number), utc(DAY, time_ms)))
    made.append(assembler.poll(1000.0))
    found = [epoch.fix for epoch in made if epoch is not None and epoch.fix is not None]
    assert [(fix.lat, fix.speed_mps, fix.time) for fix in found] == sent
    assert [fix.taken_s for fix in found] == pytest.approx(
        [50.0 + number / rate_hz + 3 * gap_s for number in range(5 * rate_hz)]
    )


# At 7 Hz and more, and in every replay, no pause of QUIET_S parts VTG from the epoch before
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_speed_in_front_of_its_position_is_not_the_next_one_s(rate_hz: int) -> None:
    assembler, made = EpochAssembler(), []
    for number in range(3 * rate_hz):
        now = 50.0 + number / rate_hz
        due = assembler.next_due()
        if due is not None and due <= now:
            made.append(assembler.poll(due))
        made.append(assembler.feed(vtg(float(number)), now))
        made.append(assembler.feed(gga(NOON + 1000 * number // rate_hz, lat=float(number)), now + 0.001))
    made.append(assembler.poll(1000.0))
    found = [epoch.fix for epoch in made if epoch is not None and epoch.fix is not None]
    assert [fix.speed_mps for fix in found] == [fix.lat for fix in found]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_there_is_at_most_one_fix_an_epoch_and_none_is_lost(steps: list[tuple[int, bool]]) -> None:
    """Times that stay or move on by some 200 ms; every epoch is of good sentences."""
    time_ms = NOON
    said = []
    for moved, is_gga in steps:
        time_ms += moved * 200
        said.append(gga(time_ms) if is_gga else rmc(time_ms))
    # a sentence that is said again is another epoch
    begun: list[tuple[int, set[str]]] = [(NOON - 200, {"RMC"})]
    for sentence in said:
        assert sentence.time_ms is not None
        if begun[-1][0] != sentence.time_ms or sentence.type in begun[-1][1]:
            begun.append((sentence.time_ms, set()))
        begun[-1][1].add(sentence.type)
    assert times(rmc(NOON - 200), *said) == [utc(DAY, each) for each, _ in begun]


_ANY = st.builds(
    Sentence,
    st.sampled_from(["GP", "GL", "GN"]),
    st.sampled_from(["GGA", "RMC", "GLL", "GNS", "GSA", "GST", "VTG", "ZDA", "TXT", "HDT"]),
    time_ms=st.none() | st.sampled_from([0, 200, NOON, NOON + 200, LAST_SECOND, LEAP_SECOND, LEAP_SECOND + 999]),
    date=st.none() | st.dates(dt.date(1980, 1, 1), dt.date(2099, 12, 31)),
    valid=st.none() | st.booleans(),
    lat=st.none() | st.just(LAT),
    lon=st.none() | st.just(LON),
    alt_m=st.none() | st.just(1.0),
    speed_mps=st.none() | st.just(1.0),
    mode=st.none() | st.integers(1, 3),
    hdop=st.none() | st.just(1.0),
    accuracy_m=st.none() | st.just(1.0),
)


@given(
    st.lists(st.tuples(_ANY, st.sampled_from([0.0, 0.02, 0.1, 0.2, 1.0])), max_size=30), st.sampled_from([None, DAY])
)
def test_whatever_comes_each_epoch_has_a_fix_or_a_reason(
    said: list[tuple[Sentence, float]], not_before: dt.date | None
) -> None:
    assembler, now, found = EpochAssembler(not_before), 0.0, []
    for sentence, pause_s in said:
        found.append(assembler.feed(sentence, now))
        now += pause_s
        found.append(assembler.poll(now))
    found.append(assembler.finish())
    for epoch in found:
        assert epoch is None or (epoch.fix is None) == bool(epoch.why_not)
        assert epoch is None or epoch.fix is None or epoch.fix.mode in (2, 3)


@pytest.mark.parametrize(
    "lie",
    [lambda number: Sentence("GN", f"X{number}"), lambda number: Sentence(f"{number % 90 + 10}", f"X{number}")],
    ids=["kinds", "kinds and talkers"],
)
def test_a_liar_that_never_says_a_time_gets_no_more_memory(lie: Callable[[int], Sentence]) -> None:
    assembler = EpochAssembler()
    assembler.feed(gga(), 50.0)
    tracemalloc.start()
    for number in range(30_000):
        assembler.feed(lie(number), 50.0)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < MEGABYTE


# --- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dated", [rmc, zda], ids=["RMC", "ZDA"])
def test_a_date_counts_from_the_sentence_on_that_says_it(dated: Callable[[int], Sentence]) -> None:
    assert times(gga(), gga(NOON + 1000), gga(NOON + 2000), dated(NOON + 2000), gga(NOON + 3000)) == [
        None, None, utc(DAY, NOON + 2000), utc(DAY, NOON + 3000),
    ]  # fmt: skip


def test_a_date_is_carried_on_across_midnight() -> None:
    assert times(rmc(86_399_500), gga(500), gga(1000)) == [
        dt.datetime(2026, 11, 20, 23, 59, 59, 500_000, dt.UTC),
        dt.datetime(2026, 11, 21, 0, 0, 0, 500_000, dt.UTC),
        dt.datetime(2026, 11, 21, 0, 0, 1, tzinfo=dt.UTC),
    ]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("dated", [True, False], ids=["each epoch with its date", "the date once"])
def test_midnight_at_any_rate(rate_hz: int, dated: bool) -> None:
    """Two seconds before and two behind, the last day of a year."""
    start = dt.datetime(2026, 12, 31, 23, 59, 58, tzinfo=dt.UTC)
    expected = [start + dt.timedelta(milliseconds=1000 * number // rate_hz) for number in range(4 * rate_hz)]
    said = []
    for moment in expected:
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        time_ms = (moment - midnight) // dt.timedelta(milliseconds=1)
        said.append(gga(time_ms))
        if dated or moment == start:
            said.append(rmc(time_ms, moment.date()))
    assert times(*said) == expected


def test_the_new_day_is_counted_once_when_its_own_date_comes_too() -> None:
    assert times(rmc(LAST_SECOND), gga(0), rmc(0, NEXT_DAY), gga(1000), rmc(1000, NEXT_DAY)) == [
        utc(DAY, LAST_SECOND), utc(NEXT_DAY, 0), utc(NEXT_DAY, 1000),
    ]  # fmt: skip


def test_a_time_that_steps_back_a_little_is_of_the_same_day() -> None:
    """A receiver that corrects itself, or whose epochs come out of order."""
    assert times(rmc(), gga(NOON - 2000))[-1] == utc(DAY, NOON - 2000)


# Were it put a day too late, each turn there and back would add another day, until there are no more dates
def test_an_epoch_out_of_order_at_midnight_is_of_the_day_before() -> None:
    assert times(rmc(LAST_SECOND), gga(0), gga(LAST_SECOND + 500), gga(500)) == [
        utc(DAY, LAST_SECOND), utc(NEXT_DAY, 0), utc(DAY, LAST_SECOND + 500), utc(NEXT_DAY, 500),
    ]  # fmt: skip


def test_times_that_turn_to_and_fro_at_midnight_carry_no_date_away() -> None:
    turns = itertools.chain.from_iterable((gga(number), gga(LAST_SECOND + number)) for number in range(500))
    for moment in times(rmc(LAST_SECOND - 1), *turns):
        assert moment is not None
        assert utc(DAY, 0) <= moment < utc(NEXT_DAY, LEAP_SECOND)


def test_a_date_without_a_time_takes_nothing_away() -> None:
    empty = Sentence("GP", "RMC", date=NEXT_DAY)
    assert times(rmc(), empty, gga(NOON + 1000))[-1] == utc(DAY, NOON + 1000)


@pytest.mark.parametrize("dated", [True, False], ids=["each epoch with its date", "the date once"])
def test_a_leap_second_is_the_first_of_the_next_day(dated: bool) -> None:
    # the last one: IERS bulletin C 52, 2016-12-31 23:59:60
    last, first = dt.date(2016, 12, 31), dt.date(2017, 1, 1)
    later = (rmc(LEAP_SECOND, last), rmc(0, first), rmc(1000, first))
    said = later if dated else (gga(LEAP_SECOND), gga(0), gga(1000))
    assert times(rmc(LAST_SECOND, last), *said) == [
        dt.datetime(2016, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
        dt.datetime(2017, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2017, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2017, 1, 1, 0, 0, 1, tzinfo=dt.UTC),
    ]


# GPS weeks began anew on 1980-01-06, 1999-08-22 and 2019-04-07: 1024 weeks are 7168 days, so 2026-11-20 is told by an
# old receiver as 2007-04-06, and by a very old one as 1987-08-21
@pytest.mark.parametrize(
    ("told", "not_before", "meant"),
    [
        (DAY, None, DAY),
        (DAY, dt.date(2026, 1, 1), DAY),
        (dt.date(2007, 4, 6), dt.date(2026, 1, 1), DAY),
        (dt.date(1987, 8, 21), dt.date(2026, 1, 1), DAY),
        (dt.date(2007, 4, 6), None, dt.date(2007, 4, 6)),
        (dt.date(1999, 8, 22), dt.date(2019, 4, 7), dt.date(2019, 4, 7)),
        (dt.date(2019, 4, 7), dt.date(2019, 4, 7), dt.date(2019, 4, 7)),
        (dt.date(2019, 4, 6), dt.date(2019, 4, 7), dt.date(2038, 11, 20)),
    ],
    ids=[
        "today",
        "today, bounded",
        "one turn",
        "two turns",
        "a replay",
        "the day itself",
        "that day",
        "the day before",
    ],
)
def test_a_date_before_the_receiver_can_be_so_old_is_moved_on(
    told: dt.date, not_before: dt.date | None, meant: dt.date
) -> None:
    found = times(rmc(NOON, told), gga(NOON + 1000), assembler=EpochAssembler(not_before))
    assert found == [utc(meant, NOON), utc(meant, NOON + 1000)]


def test_a_moved_date_is_carried_on_across_midnight_once() -> None:
    told, not_before = dt.date(2007, 4, 6), dt.date(2026, 1, 1)
    said = (rmc(LAST_SECOND, told), gga(0), rmc(1000, told + dt.timedelta(days=1)), gga(2000))
    assert times(*said, assembler=EpochAssembler(not_before)) == [
        utc(DAY, LAST_SECOND), utc(NEXT_DAY, 0), utc(NEXT_DAY, 1000), utc(NEXT_DAY, 2000),
    ]  # fmt: skip


# --- that these tests notice -----------------------------------------------------------------------------------------


class IgnoresV(EpochAssembler):
    def feed(self, sentence: Sentence, now: float) -> Epoch | None:
        return super().feed(sentence._replace(valid=None), now)


class SplitsAtVtg(EpochAssembler):
    """Ends the epoch at a sentence without a time."""

    def feed(self, sentence: Sentence, now: float) -> Epoch | None:
        ended = self.finish() if sentence.type == "VTG" else None
        return super().feed(sentence, now) or ended


class KnowsGpsAlone(EpochAssembler):
    def feed(self, sentence: Sentence, now: float) -> Epoch | None:
        return super().feed(sentence, now) if sentence.talker == "GP" else None


class ForgetsMidnight(EpochAssembler):
    """Keeps the date that was said last."""

    def _utc(self, time_ms: int | None) -> dt.datetime | None:
        if self._dated is not None and time_ms is not None:
            self._dated = self._dated[0], time_ms
        return super()._utc(time_ms)


class BelievesTheFirstGsa(EpochAssembler):
    """Takes what one constellation says for all of them."""

    def feed(self, sentence: Sentence, now: float) -> Epoch | None:
        return super().feed(sentence._replace(valid=sentence.mode != 1) if sentence.type == "GSA" else sentence, now)


class HearsNoEnd(EpochAssembler):
    """Ends an epoch by silence alone."""

    def _begins_another(self, key: object, sentence: Sentence) -> bool:
        return False


BROKEN: dict[str, tuple[type[EpochAssembler], tuple[Sentence, ...]]] = {
    "ignores V": (IgnoresV, (gga(), rmc(valid=False))),
    "splits at VTG": (SplitsAtVtg, (gga(), vtg(), rmc())),
    "knows GPS alone": (KnowsGpsAlone, (gga(talker="GN"), rmc(talker="GN"))),
    "forgets midnight": (ForgetsMidnight, (rmc(LAST_SECOND), gga(0))),
    "believes one GSA": (BelievesTheFirstGsa, (gga(), gsa(3), gsa(1))),
    "waits for silence": (HearsNoEnd, (gga(), gga(NOON + 40), gga(NOON + 80))),
}


@pytest.mark.parametrize(("broken", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_an_assembler_that_does_so_would_be_noticed(broken: type[EpochAssembler], said: tuple[Sentence, ...]) -> None:
    """Each of these is what a test above feeds, with the outcome that it expects."""
    assert fixes(*said, assembler=broken()) != fixes(*said)
