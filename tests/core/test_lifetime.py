"""The device's own time beside a world that knows the true one: it only grows, and no jump of UTC makes ages wrong."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.lifetime import EARLIEST_UTC_MS, Lifetime
from bondmate.records import Moment

NOON_MS = 1_795_176_000_000
"""2026-11-20T12:00:00Z"""
DAY_S = 86_400.0
YEAR_MS = 365 * 86_400_000

_UTC = st.integers(-100 * YEAR_MS, 100 * YEAR_MS).map(lambda off_ms: NOON_MS + off_ms) | st.integers(0, 10**9)
"""About now, years off in both directions, and 1970."""
_MOMENTS = st.builds(Moment, st.floats(0, 1e9), st.none() | _UTC)


def near(seconds: float) -> object:
    """UTC has whole milliseconds."""
    return pytest.approx(seconds, abs=0.01)


def test_it_counts_from_the_beginning_of_the_session() -> None:
    lifetime = Lifetime(100.0)
    assert lifetime.at(100.0) == 0.0
    assert lifetime.at(160.5) == 60.5
    assert lifetime.adopt(Moment(1000.0, None)) == 1000.0
    assert lifetime.at(160.5) == 1060.5


@pytest.mark.parametrize("known_s", [0.0, 90.0])
def test_the_pause_counts_as_soon_as_utc_tells_how_long_it_was(known_s: float) -> None:
    """Two days, whenever in the session UTC becomes known."""
    lifetime = Lifetime(5.0)
    lifetime.adopt(Moment(1000.0, NOON_MS))
    utc_ms = NOON_MS + round((2 * DAY_S + known_s) * 1000)
    assert lifetime.on_utc(utc_ms, 5.0 + known_s) == near(2 * DAY_S)
    assert lifetime.at(5.0 + known_s) == near(1000 + 2 * DAY_S + known_s)


def test_a_device_that_never_knew_utc_has_lived_as_long_as_it_ran() -> None:
    age_s = 0.0
    for _ in range(10):
        lifetime = Lifetime(3.0)
        lifetime.adopt(Moment(age_s, None))
        age_s = lifetime.at(3.0 + 3600)
    assert age_s == near(10 * 3600)


@pytest.mark.parametrize("never_set_ms", [0, 3_600_000, EARLIEST_UTC_MS - 1, -YEAR_MS])
def test_a_clock_that_was_never_set_tells_nothing(never_set_ms: int) -> None:
    """Half a century is no pause: neither into 1970, nor out of it."""
    into = Lifetime(0.0)
    into.adopt(Moment(1000.0, NOON_MS))
    assert into.on_utc(never_set_ms, 1.0) == 0.0
    assert into.on_utc(NOON_MS + 600_000, 60.0) == near(540), "set at last, and it tells of the pause"
    out_of = Lifetime(0.0)
    out_of.adopt(Moment(1000.0, never_set_ms))
    assert out_of.on_utc(NOON_MS, 60.0) == 0.0
    assert out_of.at(60.0) == near(1060)


def test_a_utc_behind_the_last_known_is_no_pause_and_the_next_session_is_right_again() -> None:
    ahead = Lifetime(0.0)
    ahead.adopt(Moment(0.0, NOON_MS + 10 * YEAR_MS))
    assert ahead.on_utc(NOON_MS, 0.0) == 0.0
    after = Lifetime(0.0)
    after.adopt(Moment(ahead.at(3600.0), NOON_MS + 3_600_000))
    after.on_utc(NOON_MS + 2 * 3_600_000, 0.0)
    assert after.at(0.0) == near(7200)


def test_what_this_session_kept_is_not_adopted_on_top_of_it() -> None:
    """Reading the store may fail half-way and be tried again, with records of this session in it by then."""
    lifetime = Lifetime(0.0)
    lifetime.adopt(Moment(1000.0, None))
    assert lifetime.adopt(Moment(lifetime.at(60.0), NOON_MS)) == 0.0
    assert lifetime.on_utc(NOON_MS + YEAR_MS, 120.0) == 0.0
    assert lifetime.at(120.0) == near(1120)
    fresh = Lifetime(0.0)
    fresh.adopt(None)
    assert fresh.adopt(Moment(fresh.at(60.0), NOON_MS)) == 0.0
    assert fresh.at(120.0) == near(120)


# --- whatever it is told ---------------------------------------------------------------------------

_EVENTS = st.lists(st.tuples(st.floats(0, 1e6), st.none() | _MOMENTS | _UTC), max_size=12)
"""Seconds since the event before, and what is told: what the store kept, or UTC."""


def tell(lifetime: Lifetime, event: Moment | int | None, now: float) -> float:
    return lifetime.on_utc(event, now) if isinstance(event, int) else lifetime.adopt(event)


@given(st.floats(0, 1e7), _EVENTS)
def test_it_never_goes_back_and_says_by_how_much_it_moved(
    started_s: float, events: list[tuple[float, Moment | int | None]]
) -> None:
    lifetime, now, before_s = Lifetime(started_s), started_s, 0.0
    for after_s, event in events:
        now += after_s
        age_s = lifetime.at(now)
        assert age_s >= before_s
        moved_s = tell(lifetime, event, now)
        before_s = lifetime.at(now)
        assert moved_s >= 0
        assert before_s - age_s == near(moved_s)


@given(st.floats(0, 1e7), _EVENTS, st.floats(0, 1e6))
def test_whatever_utc_does_the_records_of_a_session_age_by_the_monotonic_clock(
    started_s: float, events: list[tuple[float, Moment | int | None]], made_after_s: float
) -> None:
    """A record that was made in it moves with the session, as the caller is told."""
    lifetime, now = Lifetime(started_s), started_s
    made_s = started_s + made_after_s
    made_at_s = None
    for after_s, event in events:
        now += after_s
        if made_at_s is None and now >= made_s:
            made_at_s = lifetime.at(made_s)
        moved_s = tell(lifetime, event, now)
        if made_at_s is not None:
            made_at_s += moved_s
            assert lifetime.at(now) - made_at_s == near(now - made_s)


@given(_MOMENTS, _UTC, st.floats(0, 1e7), st.floats(0, 1e6), st.lists(_UTC, max_size=3))
def test_it_does_not_matter_whether_the_store_or_utc_is_known_first(
    last: Moment, utc_ms: int, started_s: float, known_after_s: float, later: list[int]
) -> None:
    known_s = started_s + known_after_s
    one, other = Lifetime(started_s), Lifetime(started_s)
    moved_s = one.adopt(last) + one.on_utc(utc_ms, known_s)
    assert other.on_utc(utc_ms, known_s) + other.adopt(last) == near(moved_s)
    assert one.at(known_s) == near(other.at(known_s))
    if utc_ms >= EARLIEST_UTC_MS:
        assert [one.on_utc(jumped_ms, known_s) for jumped_ms in later] == [0.0] * len(later), "the first one counts"


# --- a life of many sessions -----------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """One run of the daemon: times in seconds, parts of the run from 0 to 1."""

    pause_s: float
    """From the last thing that the session before kept, to the beginning."""
    run_s: float
    """From the beginning to the last thing that this session kept."""
    boot_s: float
    """The monotonic clock at the beginning."""
    knows_utc_at: float | None
    """In which part of the run; None: it never does."""
    adopts_at: float
    """In which part of the run the store is read."""
    jumps_ms: int
    """How far off UTC is after it was known for the first time, until just before the end."""


_SESSIONS = st.lists(
    st.builds(
        Session,
        pause_s=st.floats(0, 30 * DAY_S),
        run_s=st.floats(0.1, DAY_S),
        boot_s=st.floats(0, 1e7),
        knows_utc_at=st.none() | st.floats(0, 1),
        adopts_at=st.floats(0, 1),
        jumps_ms=st.just(0) | st.integers(-100 * YEAR_MS, 100 * YEAR_MS),
    ),
    min_size=1,
    max_size=8,
)


class Careless(Lifetime):
    """Believes every UTC, also a later one."""

    def on_utc(self, utc_ms: int, now: float) -> float:
        if self._utc is not None:
            known_s, first_ms = self._utc
            self._floor_ms, self._utc = first_ms + round((now - known_s) * 1000), None
        return super().on_utc(utc_ms, now)


class Forgetful(Lifetime):
    """Counts the run of this session alone."""

    def adopt(self, last: Moment | None) -> float:
        return super().adopt(None)


class Twofold(Lifetime):
    """Counts what ran before UTC was known as a pause too."""

    def _count_pause(self) -> float:
        if self._utc is not None:
            self._utc = (self._started_s, self._utc[1])
        return super()._count_pause()


def judge(sessions: list[Session], kind: type[Lifetime] = Lifetime) -> None:
    """Live through the sessions, and compare the lifetime with the true time, less the pauses that nobody can know."""
    kept: Moment | None = None
    true_s = age_s = 0.0
    for session in sessions:
        true_s += session.pause_s
        began_ms = NOON_MS + true_s * 1000
        lifetime = kind(session.boot_s)
        known_at = session.knows_utc_at
        looks = sorted({session.adopts_at, 1.0} | ({known_at, (known_at + 1) / 2} if known_at is not None else set()))
        for part in looks:
            now = session.boot_s + part * session.run_s
            if part == session.adopts_at:
                lifetime.adopt(kept)
            if known_at is not None and part >= known_at:
                off_ms = 0 if part in (known_at, 1.0) else session.jumps_ms
                lifetime.on_utc(round(began_ms + part * session.run_s * 1000) + off_ms, now)
        if known_at is not None and kept is not None and kept.utc_ms is not None:
            age_s += session.pause_s
        age_s += session.run_s
        true_s += session.run_s
        end_s = session.boot_s + session.run_s
        assert lifetime.at(end_s) == near(age_s)
        kept = Moment(lifetime.at(end_s), None if known_at is None else round(NOON_MS + true_s * 1000))
    if all(session.knows_utc_at is not None for session in sessions):
        assert age_s == near(true_s - sessions[0].pause_s), "nothing is left out, nothing counts twice"


@given(_SESSIONS)
def test_a_life_is_its_runs_and_the_pauses_that_utc_told_once_each(sessions: list[Session]) -> None:
    judge(sessions)


@pytest.mark.parametrize("broken", [Careless, Forgetful, Twofold])
def test_a_lifetime_that_counts_wrongly_is_seen(broken: type[Lifetime]) -> None:
    """What the property above is worth."""
    sessions = [
        Session(0, 3600, 10, 0.5, 0.0, YEAR_MS),
        Session(DAY_S, 3600, 10, 0.5, 0.7, 20 * YEAR_MS),
        Session(DAY_S, 3600, 10, 0.0, 0.1, -20 * YEAR_MS),
    ]
    judge(sessions)
    with pytest.raises(AssertionError):
        judge(sessions, broken)


@given(st.lists(st.tuples(_UTC, st.floats(0, DAY_S)), min_size=2, max_size=8))
def test_from_session_to_session_it_never_goes_back_whatever_the_clock_says(runs: list[tuple[int, float]]) -> None:
    kept: Moment | None = None
    ages_s = []
    for utc_ms, run_s in runs:
        lifetime = Lifetime(7.0)
        lifetime.adopt(kept)
        ages_s.append(lifetime.at(7.0))
        lifetime.on_utc(utc_ms, 7.0)
        kept = Moment(lifetime.at(7.0 + run_s), utc_ms + round(run_s * 1000))
        ages_s.append(kept.lifetime_s)
    assert all(before <= after for before, after in pairwise(ages_s))
