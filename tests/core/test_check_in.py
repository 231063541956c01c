"""A check-in, by moving `now`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.check_in import LONGEST_S, NOTE_OCTETS, PREALARM_S, SHORTEST_S, CheckIn, CheckInEvent

COUNTDOWN_S = 30.0
PREALARM, DUE, FELT, MISSED = CheckInEvent
_LENGTHS = st.floats(SHORTEST_S, LONGEST_S)


def events(check_in: CheckIn, until_s: float = float("inf")) -> list[tuple[float, CheckInEvent]]:
    """What happens when it is asked exactly when it wants to be."""
    found = []
    while (due := check_in.next_due()) is not None and due <= until_s:
        event = check_in.poll(due)
        assert event is not None, "it asked for nothing"
        found.append((due, event))
    return found


def begun(now: float = 100.0, seconds: float = 1200.0, note: str = "") -> CheckIn:
    check_in = CheckIn(COUNTDOWN_S)
    assert check_in.begin(now, seconds, note)
    return check_in


def test_none_runs_at_first() -> None:
    check_in = CheckIn(COUNTDOWN_S)
    assert (check_in.state, check_in.due_s, check_in.next_due(), check_in.poll(1e9)) == (None, None, None, None)
    assert not check_in.end()
    assert not check_in.extend(100.0, 600.0)


def test_one_that_nobody_ends_is_felt_and_then_missed() -> None:
    check_in = begun(100.0, 1200.0, "the cellar of no. 7")
    assert (check_in.state, check_in.due_s, check_in.ends_s) == ("running", 1300.0, None)
    assert events(check_in, 1299.0) == [(1240.0, PREALARM)]
    assert (check_in.state, check_in.due_s) == ("prealarm", 1300.0)
    assert events(check_in, 1300.0) == [(1300.0, DUE)]
    assert (check_in.state, check_in.due_s, check_in.ends_s) == ("countdown", 1300.0, 1330.0)
    assert events(check_in) == [(1310.0, FELT), (1320.0, FELT), (1330.0, MISSED)]
    assert (check_in.state, check_in.due_s, check_in.poll(1e9)) == (None, None, None), "missed once"
    assert check_in.note == "the cellar of no. 7", "the alert's record goes with it"


@pytest.mark.parametrize(("seconds", "before_s"), [(60.0, 30.0), (100.0, 50.0), (120.0, PREALARM_S), (1e4, PREALARM_S)])
def test_it_is_felt_a_minute_before_it_is_due_or_at_half_time(seconds: float, before_s: float) -> None:
    assert events(begun(0.0, seconds))[0] == (seconds - before_s, PREALARM)


@pytest.mark.parametrize("at_s", [150.0, 1250.0, 1300.0, 1325.0], ids=["running", "prealarm", "due", "countdown"])
def test_ended_by_the_officer_it_is_never_missed(at_s: float) -> None:
    check_in = begun()
    events(check_in, at_s)
    assert check_in.end()
    assert (check_in.state, check_in.ends_s, events(check_in)) == (None, None, [])
    assert not check_in.end(), "once"


@pytest.mark.parametrize(
    ("at_s", "due_s"), [(150.0, 1900.0), (1250.0, 1900.0), (1325.0, 1925.0)], ids=["running", "prealarm", "countdown"]
)
def test_extended_it_is_due_so_much_later_and_felt_anew(at_s: float, due_s: float) -> None:
    check_in = begun()
    events(check_in, at_s)
    assert check_in.extend(at_s, 600.0)
    assert (check_in.state, check_in.due_s) == ("running", due_s)
    found = [event for _, event in events(check_in)]
    assert found == [PREALARM, DUE, FELT, FELT, MISSED]


@given(_LENGTHS, st.floats(0, LONGEST_S + COUNTDOWN_S), _LENGTHS)
def test_extending_never_makes_it_shorter_nor_longer_than_the_longest(seconds: float, at_s: float, more: float) -> None:
    check_in = begun(0.0, seconds)
    events(check_in, at_s)
    before = check_in.due_s
    if check_in.extend(at_s, more):
        assert before is not None
        assert check_in.due_s is not None
        assert before < check_in.due_s <= at_s + LONGEST_S
    else:
        assert check_in.due_s == before


@pytest.mark.parametrize("seconds", [SHORTEST_S - 1, LONGEST_S + 1, 0.0, -60.0, float("nan"), float("inf")])
def test_one_that_is_too_short_or_too_long_changes_nothing(seconds: float) -> None:
    check_in = begun(100.0, 1200.0, "before")
    assert not check_in.begin(200.0, seconds, "behind")
    assert not check_in.extend(200.0, seconds)
    assert (check_in.due_s, check_in.note) == (1300.0, "before")


def test_begun_anew_it_takes_the_place_of_the_one_that_runs() -> None:
    check_in = begun()
    events(check_in, 1310.0)
    assert check_in.begin(1311.0, 300.0, "again")
    assert (check_in.state, check_in.due_s, check_in.ends_s, check_in.note) == ("running", 1611.0, None, "again")


@given(st.lists(st.floats(0, 5000), max_size=40))
def test_however_seldom_it_is_asked_it_is_missed_only_behind_a_whole_countdown(
    times: list[float],
) -> None:
    check_in = begun(0.0, 1200.0)
    found = [(now, event) for now in sorted(times) if (event := check_in.poll(now))]
    kinds = [event for _, event in found]
    order = [[*CheckInEvent].index(event) for event in kinds]
    assert order == sorted(order)
    assert all(kinds.count(event) <= 1 for event in (PREALARM, DUE, MISSED))
    assert DUE in kinds or not {FELT, MISSED} & set(kinds)
    when = {event: now for now, event in found}
    if MISSED in when:
        assert when[MISSED] >= when[DUE] + COUNTDOWN_S
    assert all(now >= 1200.0 for now, event in found if event is not PREALARM)


@pytest.mark.parametrize(
    ("due_s", "expected"),
    [
        (1000.0, [(1000.0 - PREALARM_S, PREALARM), (1000.0, DUE)]),
        (40.0, [(5.0, PREALARM), (40.0, DUE)]),
        (-5000.0, [(5.0, DUE)]),
    ],
    ids=["later", "soon", "long ago"],
)
def test_after_a_restart_it_goes_on_and_one_that_was_due_has_its_countdown(
    due_s: float, expected: list[tuple[float, CheckInEvent]]
) -> None:
    check_in = CheckIn(COUNTDOWN_S)
    check_in.resume(5.0, due_s, "the cellar")
    assert check_in.note == "the cellar"
    found = []
    now = 5.0
    while (due := check_in.next_due()) is not None:
        now = max(now, due)
        event = check_in.poll(now)
        assert event is not None
        found.append((now, event))
    assert found[: len(expected)] == expected
    assert found[-1] == (expected[-1][0] + COUNTDOWN_S, MISSED)


def test_however_the_clocks_jumped_over_the_restart_it_is_due_within_the_longest() -> None:
    check_in = CheckIn(COUNTDOWN_S)
    check_in.resume(5.0, 1e9, "")
    assert check_in.due_s == 5.0 + LONGEST_S
    assert check_in.state == "running"


def test_without_a_countdown_it_is_missed_when_it_is_due() -> None:
    check_in = CheckIn(0.0)
    check_in.begin(0.0, 600.0)
    assert events(check_in)[1:] == [(600.0, DUE), (600.0, MISSED)]


@given(st.text(max_size=200))
def test_a_note_is_cut_behind_its_last_whole_character_that_fits(note: str) -> None:
    kept = begun(note=note).note
    assert len(kept.encode()) <= NOTE_OCTETS
    assert note.startswith(kept)
    assert kept == note or len(note[: len(kept) + 1].encode()) > NOTE_OCTETS


def test_a_note_that_is_no_text_is_kept_as_what_can_be_read_of_it() -> None:
    assert begun(note="no. \ud800 7").note == "no. ? 7"
