"""Sentences to fixes that were judged: what GSV and the antenna have to do with it, and what real logs come to."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import xor
from pathlib import Path

import pytest

from bondmate import decode
from bondmate.core.epoch import QUIET_S, Epoch
from bondmate.core.geo import distance_m
from bondmate.core.navigation import Navigation
from bondmate.core.nmea import Sentence, parse
from bondmate.core.reception import Reception
from bondmate.core.sky import STALE_S, Number
from bondmate.core.trust import MAX_SPEED_MPS, SLACK_M
from bondmate.records import Fix, Suspicion

START_MS = 12 * 3_600_000
GSV = "GPGSV,2,1,06,01,40,083,{},02,17,308,{},12,07,344,{},14,22,228,{}", "GPGSV,2,2,06,15,60,120,{},24,10,020,{}"
HONEST = (46, 41, 39, 45, 48, 30)
ONE_TRANSMITTER = (40, 40, 41, 40, 41, 40)


def read(body: str) -> Sentence:
    return parse(b"$%s*%02X" % (body.encode(), reduce(xor, body.encode(), 0)))


def epoch(second: int, *, strengths: Sequence[int] = HONEST, minutes: float = 43.3351) -> list[Sentence]:
    """A second of a receiver in Lisbon, as it says it."""
    time = f"{12 + second // 3600:02}{second // 60 % 60:02}{second % 60:02}.00"
    where = f"38{minutes:07.4f},N,00908.3602,W"
    said = (
        f"GNRMC,{time},A,{where},0.8,181.2,201126,,,A",
        f"GNGGA,{time},{where},1,08,0.9,12.3,M,50.1,M,,",
        "GNGSA,A,3,01,02,12,14,15,24,,,,,,,1.6,0.9,1.3,1",
        GSV[0].format(*strengths[:4]),
        GSV[1].format(*strengths[4:]),
    )
    return [read(body) for body in said]


def told(navigation: Navigation, sentences: Iterable[Sentence], now: float) -> list[Epoch]:
    """The epochs that come of these, and of the silence behind them."""
    found = [navigation.feed(sentence, now) for sentence in sentences]
    return [each for each in (*found, navigation.poll(now + QUIET_S)) if each is not None]


def suspicions(epochs: Iterable[Epoch]) -> list[tuple[Suspicion, ...]]:
    return [each.fix.suspect for each in epochs if each.fix is not None]


def test_a_second_of_sentences_is_one_fix_that_is_judged() -> None:
    [made] = told(Navigation(None), epoch(0), 50.0)
    assert made.fix is not None
    # 0.8 knots of 1852 m an hour
    assert made.fix.speed_mps == pytest.approx(0.4115556, abs=1e-7)
    assert replace(made.fix, speed_mps=None) == Fix(
        taken_s=50.0,
        time=dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC),
        lat=38 + 43.3351 / 60,
        lon=-(9 + 8.3602 / 60),
        mode=3,
        alt_m=12.3,
        geoid_m=50.1,
        track_deg=181.2,
        hdop=0.9,
        accuracy_m=4.5,
        satellites=8,
    )
    assert made.why_not == ()


def test_an_hour_of_it_is_a_fix_a_second_and_nothing_is_suspect() -> None:
    navigation = Navigation(None)
    made = [each for second in range(3600) for each in told(navigation, epoch(second), 50.0 + second)]
    assert suspicions(made) == [()] * 3600


def test_an_epoch_without_a_fix_is_told_as_it_is() -> None:
    void = [read("GNRMC,120000.00,V,,,,,,,201126,,,N"), read("GNGGA,120000.00,,,,,0,00,99.99,,,,,,")]
    [made] = told(Navigation(None), void, 50.0)
    assert made == Epoch(None, ("GNRMC says that there is none", "GNGGA says that there is none"))


def test_not_before_moves_the_date_on() -> None:
    old = [each._replace(date=dt.date(2007, 4, 6)) if each.type == "RMC" else each for each in epoch(0)]
    for not_before, year in ((None, 2007), (dt.date(2026, 1, 1), 2026)):
        [made] = told(Navigation(not_before), old, 50.0)
        assert made.fix is not None
        assert made.fix.time is not None
        assert made.fix.time.year == year


def test_satellites_in_view_belong_to_no_epoch() -> None:
    """They come in groups of their own, and some receivers say them behind a pause, or between two epochs."""
    navigation = Navigation(None)
    for sentence in epoch(0):
        if sentence.view is not None:
            assert navigation.feed(sentence, 50.0) is None
            assert navigation.next_due() is None
    assert [each.id.number for each, _ in navigation.sky.satellites(50.0)] == [1, 2, 12, 14, 15, 24]


def test_a_proprietary_sentence_belongs_to_no_epoch() -> None:
    navigation = Navigation(None)
    for body in ("PUBX,00,120000.00", "PMTK001,220,3", "PQTMANTENNASTATUS,3,1,1,0"):
        assert navigation.feed(read(body), 50.0) is None
        assert navigation.next_due() is None


def test_what_is_used_is_known_in_the_sky() -> None:
    navigation = Navigation(None)
    told(navigation, epoch(0), 50.0)
    assert {each.id for each, used in navigation.sky.satellites(50.0) if used} == {
        Number("gps", number) for number in (1, 2, 12, 14, 15, 24)
    }


def test_an_epoch_ends_by_silence_or_by_its_end() -> None:
    navigation = Navigation(None)
    sentences = epoch(0)
    assert [navigation.feed(each, 50.0) for each in sentences] == [None] * 5
    assert navigation.next_due() == 50.0 + QUIET_S
    navigation.heard(50.1)
    assert navigation.next_due() == 50.1 + QUIET_S
    assert navigation.poll(50.1) is None
    assert navigation.finish(50.1) is not None
    assert navigation.finish(50.1) is None


# --- what is suspect -------------------------------------------------------------------------------------------------


def test_satellites_that_are_all_as_strong_make_each_fix_suspect() -> None:
    navigation = Navigation(None)
    made = [each for second in range(5) for each in told(navigation, epoch(second, strengths=ONE_TRANSMITTER), second)]
    # those of the first epoch are said behind it, and known when the silence ends it
    assert suspicions(made) == [(Suspicion.EQUAL_SIGNAL,)] * 5


def test_strengths_that_were_not_said_again_make_nothing_suspect() -> None:
    navigation = Navigation(None)
    told(navigation, epoch(0, strengths=ONE_TRANSMITTER), 50.0)
    later = [each for each in epoch(10) if each.view is None]
    assert suspicions(told(navigation, later, 50.0 + STALE_S)) == [()]


@pytest.mark.parametrize(
    ("says", "suspect"),
    [
        ("GNTXT,01,01,01,ANTENNA OPEN", (Suspicion.ANTENNA_OPEN,)),
        ("GNTXT,01,01,02,ANTSTATUS=OPEN", (Suspicion.ANTENNA_OPEN,)),
        ("PQTMANTENNASTATUS,3,2,1,0", (Suspicion.ANTENNA_OPEN,)),
        ("GNTXT,01,01,02,ANTSTATUS=OK", ()),
        ("GNTXT,01,01,02,ANTSTATUS=SHORT", ()),
    ],
)
def test_an_antenna_that_is_open_makes_each_fix_suspect(says: str, suspect: tuple[Suspicion, ...]) -> None:
    navigation = Navigation(None)
    made = [*told(navigation, epoch(0), 50.0), *told(navigation, [read(says), *epoch(1)], 51.0)]
    made += told(navigation, epoch(2), 52.0)
    assert suspicions(made) == [(), suspect, suspect], "until it says otherwise"
    made = told(navigation, [read("GNTXT,01,01,02,ANTSTATUS=OK"), *epoch(3)], 53.0)
    assert suspicions(made) == [()]


def test_words_about_the_antenna_split_no_epoch() -> None:
    rmc, gga, *others = epoch(0)
    [made] = told(Navigation(None), [rmc, read("GNTXT,01,01,01,ANTENNA OPEN"), gga, *others], 50.0)
    assert made.fix is not None
    assert made.fix.suspect == (Suspicion.ANTENNA_OPEN,)


def test_a_place_that_jumps_is_suspect_until_it_settled() -> None:
    navigation = Navigation(None)
    # a minute of latitude is 1852 m
    made = [
        each
        for second in range(60)
        for each in told(navigation, epoch(second, minutes=43.0 if second < 10 else 48.0), 50.0 + second)
    ]
    assert suspicions(made) == [()] * 10 + [(Suspicion.JUMP,)] * 30 + [()] * 20


# --- real logs -------------------------------------------------------------------------------------------------------


def logs(corpus: Path) -> list[Path]:
    found = sorted((corpus / "gnss").glob("*.log"))
    assert found, "a corpus without a log proves nothing"
    return found


def said_in(log: Path) -> list[Sentence]:
    return [heard.sentence for heard in Reception(None).feed(log.read_bytes() + b"\n", 0.0)]


def replayed(sentences: Iterable[Sentence]) -> list[Fix]:
    """As decode does it: each epoch counts as a second."""
    navigation, now, found = Navigation(None), 0.0, []
    for sentence in sentences:
        ended = navigation.feed(sentence, now)
        if ended is not None:
            found.append(ended)
            now += decode.EPOCH_S
    last = navigation.finish(now)
    return [each.fix for each in (*found, last) if each is not None and each.fix is not None]


def judged_by_gpsd(log: Path) -> list[Fix]:
    """The fixes in gpsd's own expected output, one a UTC."""
    fixes: dict[str, Fix] = {}
    for line in log.with_name(f"{log.name}.chk").read_bytes().splitlines():
        if b'"class":"TPV"' not in line:
            continue
        try:
            tpv = json.loads(line)
        except ValueError:
            continue
        if tpv.get("mode", 0) >= 2 and "lat" in tpv and "time" in tpv:
            when = dt.datetime.fromisoformat(tpv["time"])
            fixes[tpv["time"]] = Fix(taken_s=when.timestamp(), lat=tpv["lat"], lon=tpv["lon"], mode=3)
    return list(fixes.values())


def jumps(fixes: Sequence[Fix]) -> bool:
    """Whether any two that follow one another are further apart than anything on duty gets."""
    return any(
        distance_m(one, other) > SLACK_M + MAX_SPEED_MPS * max(other.taken_s - one.taken_s, 0.0)
        for one, other in pairwise(fixes)
    )


def test_no_log_of_an_honest_receiver_is_suspect_but_where_it_really_jumps(corpus: Path) -> None:
    """Where it does is measured on gpsd's fixes, not on ours.

    None of gpsd's 36 does: the longest step is 93 m within a second (quectel-eg25-g.log), which the slack allows.
    """
    found, allowed = {}, {}
    for log in logs(corpus):
        fixes = replayed(said_in(log))
        found[log.name] = {each.label for fix in fixes for each in fix.suspect}
        allowed[log.name] = {"jump"} if jumps(judged_by_gpsd(log)) else set()
    assert {name: what - allowed[name] for name, what in found.items()} == {name: set() for name in found}
    assert all(found[name] for name, what in allowed.items() if what), "and a jump is noticed"


def elsewhere(sentences: list[Sentence]) -> list[Sentence]:
    """From the middle on a degree to the north, or to the south."""
    half = len(sentences) // 2
    moved = [
        each if each.lat is None else each._replace(lat=each.lat + (1.0 if each.lat < 0 else -1.0))
        for each in sentences[half:]
    ]
    return sentences[:half] + moved


def from_the_beginning(sentences: list[Sentence]) -> list[Sentence]:
    """A recording that is played again."""
    return sentences + sentences


def one_transmitter(sentences: list[Sentence]) -> list[Sentence]:
    """Whatever is tracked is as strong, and all of it twice: some logs have few satellites."""
    alike = []
    for each in sentences:
        if each.view is None:
            alike.append(each)
            continue
        satellites = tuple(one._replace(cn0_dbhz=40) for one in each.view.satellites)
        alike.append(each._replace(view=each.view._replace(satellites=satellites * 2)))
    return alike


def without_antenna(sentences: list[Sentence]) -> list[Sentence]:
    return [Sentence("GN", "TXT", antenna="open"), *(each for each in sentences if each.antenna is None)]


def standing_clock(sentences: list[Sentence]) -> list[Sentence]:
    """What it says of time and place stays as it was at some time, epoch for epoch."""
    said = {(each.type, each.time_ms): each for each in sentences if each.valid}
    standing = [said["RMC", time_ms] for kind, time_ms in said if kind == "GGA" and ("RMC", time_ms) in said][-1]
    return sentences + [standing, said["GGA", standing.time_ms]] * 20


FORGED: dict[str, tuple[Callable[[list[Sentence]], list[Sentence]], Suspicion]] = {
    "elsewhere": (elsewhere, Suspicion.JUMP),
    "from the beginning": (from_the_beginning, Suspicion.TIME_BACKWARDS),
    "one transmitter": (one_transmitter, Suspicion.EQUAL_SIGNAL),
    "without an antenna": (without_antenna, Suspicion.ANTENNA_OPEN),
    "a standing clock": (standing_clock, Suspicion.FROZEN),
}


@pytest.mark.parametrize(("forge", "suspicion"), FORGED.values(), ids=FORGED.keys())
def test_what_is_done_to_real_logs_is_noticed(
    corpus: Path, forge: Callable[[list[Sentence]], list[Sentence]], suspicion: Suspicion
) -> None:
    """On those that have what is forged: ten fixes with a date, strengths, and both RMC and GGA."""
    tried = 0
    for log in logs(corpus):
        sentences = said_in(log)
        honest = replayed(sentences)
        dated = sum(1 for each in honest if each.time is not None)
        viewed = sum(1 for each in sentences if each.view is not None and len(each.view.satellites) > 2)
        pair = {each.type for each in sentences if each.valid} >= {"RMC", "GGA"}
        if dated < 10 or viewed < 10 or not pair:
            continue
        tried += 1
        forged = replayed(forge(sentences))
        assert suspicion in {each for fix in forged for each in fix.suspect}, log.name
        assert len(forged) >= len(honest), f"{log.name}: suspect, never dropped"
    assert tried, "a corpus without such a log proves nothing"


def test_a_navigation_that_does_not_judge_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.core.trust.Trust.judge", lambda self, fix, told: replace(fix, suspect=()))
    navigation = Navigation(None)
    navigation.feed(read("GNTXT,01,01,01,ANTENNA OPEN"), 50.0)
    assert suspicions(told(navigation, epoch(0), 50.0)) != [(Suspicion.ANTENNA_OPEN,)]
