"""What may go, what never goes, and what a track looks like after it was thinned a hundred times."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bondmate.core import surplus as module
from bondmate.core.surplus import GAP_GROUPS, GAP_RECORDS, OVERDUE, RULES, TRACK_NEWEST, TRACK_STEP, in_one_gap, surplus
from bondmate.records import DeviceId, Kind, Reason, RecordId, SessionId, SignedRecord, Stream, Surplus

Entries = list[tuple[SignedRecord, float]]

DAY_S = 24 * 3600.0


def record(stream: Stream, number: int, session: int = 0) -> SignedRecord:
    identity = RecordId(DeviceId(bytes(4)), SessionId(session.to_bytes(6)), stream, number)
    return SignedRecord(identity, Kind.POSITION, b"", bytes([stream]) + number.to_bytes(15), None)


def entries(stream: Stream, times: Sequence[float]) -> Entries:
    return [(record(stream, number), born_s) for number, born_s in enumerate(times, 1)]


def numbers(dropped: Sequence[Surplus]) -> list[int]:
    return [each.record.id.sequence for each in dropped]


@pytest.mark.parametrize("stream", [Stream.ALERT, Stream.STATE, Stream.REPORT])
@given(count=st.integers(0, 2000), age_s=st.floats(0, 1e9))
def test_of_an_alert_of_the_state_and_of_what_an_officer_wrote_nothing_ever_goes(
    stream: Stream, count: int, age_s: float
) -> None:
    assert surplus(entries(stream, range(count)), count + age_s) == []


def test_every_stream_without_a_chain_that_a_device_writes_by_itself_has_a_rule() -> None:
    assert set(Stream) - set(RULES) == {Stream.ALERT, Stream.STATE, Stream.REPORT}


@pytest.mark.parametrize(("stream", "bound", "keep"), [(Stream.HEALTH, 32, 16), (Stream.PRESENCE, 128, 64)])
@given(count=st.integers(0, 300))
def test_the_newest_stay_and_the_oldest_go(stream: Stream, bound: int, keep: int, count: int) -> None:
    dropped = surplus(entries(stream, range(count)), float(count))
    assert numbers(dropped) == (list(range(1, count - keep + 1)) if count > bound else [])
    assert all(each.reason is Reason.SUPERSEDED for each in dropped)


@pytest.mark.parametrize(("stream", "hours"), [(Stream.HEALTH, 24), (Stream.PRESENCE, 12)])
def test_what_is_too_old_expires_however_few_there_are(stream: Stream, hours: int) -> None:
    limit_s = hours * 3600.0
    kept = entries(stream, [0.0, limit_s / 4, limit_s / 4 + 10])
    assert surplus(kept, 1.25 * limit_s - 1) == [], "not one by one"
    assert surplus(kept, 1.25 * limit_s) == [Surplus(each, Reason.EXPIRED) for each, _ in kept[:2]]


@pytest.mark.parametrize(
    ("stream", "every_s"), [(Stream.HEALTH, 120.0), (Stream.HEALTH, 3600.0), (Stream.PRESENCE, 300.0)]
)
def test_a_gap_record_names_many(stream: Stream, every_s: float) -> None:
    """Ten days without a network."""
    assert named_by_each_gap(stream, every_s) >= 6


def named_by_each_gap(stream: Stream, every_s: float) -> float:
    kept: Entries = []
    gaps = named = 0
    for number in range(1, int(10 * DAY_S / every_s)):
        now = number * every_s
        kept.append((record(stream, number), now))
        if gone := set(numbers(surplus(kept, now))):
            gaps, named = gaps + 1, named + len(gone)
            kept = [entry for entry in kept if entry[0].id.sequence not in gone]
    return named / gaps


@pytest.mark.parametrize("stream", [Stream.HEALTH, Stream.PRESENCE])
def test_without_room_below_the_bound_there_would_be_a_gap_record_for_each(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setattr(module, "RULES", {stream: replace(RULES[stream], bound=16, keep=16)})
    assert named_by_each_gap(stream, 120.0) == 1
    monkeypatch.setattr(module, "RULES", RULES)
    monkeypatch.setattr(module, "OVERDUE", 1.0)
    assert named_by_each_gap(stream, 3600.0) == 1


def test_what_expires_is_not_named_twice() -> None:
    kept = entries(Stream.HEALTH, [*[0.0] * 10, *[DAY_S] * 36])
    dropped = surplus(kept, OVERDUE * DAY_S)
    assert numbers(dropped) == list(range(1, 31))
    assert [each.reason for each in dropped] == [Reason.EXPIRED] * 10 + [Reason.SUPERSEDED] * 20


def test_positions_never_expire() -> None:
    assert surplus(entries(Stream.POSITION, range(RULES[Stream.POSITION].bound)), 1e9) == []


class Track:
    """The positions of an alert through an outage, thinned as the device does it."""

    def __init__(self) -> None:
        self.kept: Entries = []
        self.made: list[float] = []
        self.thinned = 0
        self.worst = 0.0
        """The longest gap that a thinning made, beside what it may be."""

    def add(self, at: float) -> None:
        self.made.append(at)
        self.kept.append((record(Stream.POSITION, len(self.made)), at))
        while dropped := surplus(self.kept, at):
            self._drop(set(numbers(dropped)), at)

    def _drop(self, gone: set[int], now: float) -> None:
        before, self.thinned = self.kept, self.thinned + 1
        assert before[0][0].id.sequence not in gone, "the track lost its beginning"
        newest = {each.id.sequence for each, _ in before[-TRACK_NEWEST:]}
        assert gone.isdisjoint(newest), "the track lost what is newest"
        assert len(gone) <= TRACK_STEP
        self.kept = [entry for entry in before if entry[0].id.sequence not in gone]
        share = self.allowed(before, now)
        spots = {each.id.sequence: spot for spot, (each, _) in enumerate(before)}
        for (older, older_s), (newer, newer_s) in pairwise(self.kept):
            if (skipped := spots[newer.id.sequence] - spots[older.id.sequence] - 1) > 0:
                assert skipped == 1, "two neighbours went at once"
                age_s = now - before[spots[older.id.sequence] + 1][1]
                self.worst = max(self.worst, (newer_s - older_s) / max(age_s, 1.0) / share)

    @staticmethod
    def allowed(before: Entries, now: float) -> float:
        """The share of its age that a new gap may have, whatever the times of the positions are.

        Let r be that share. A record whose neighbours lie more than r of its age apart has a gap beside it of more than
        r/2; of such gaps there are at most ln(oldest/youngest) / ln(1 + r/2), as each one multiplies the age by more
        than 1 + r/2, and each spoils two records at most. Before the last choice at least `left` may still be chosen.
        """
        left = len(before) - TRACK_NEWEST - 1 - 3 * (TRACK_STEP - 1)
        oldest_s, youngest_s = now - before[0][1], max(now - before[-TRACK_NEWEST][1], 1.0)
        return 2 * (math.pow(oldest_s / youngest_s, 2 / left) - 1)

    def holes(self, now: float) -> list[float]:
        """Each gap between kept neighbours as a share of its age."""
        return [
            (newer_s - older_s) / max(now - newer_s, 1.0)
            for (_, older_s), (_, newer_s) in pairwise(self.kept[: -TRACK_NEWEST + 1])
        ]


@settings(max_examples=40)
@example(gaps=[0.0] * 600)
@given(gaps=st.lists(st.sampled_from([0.0, 1.0, 5.0, 10.0, 600.0, 20000.0]), min_size=600, max_size=900))
def test_each_gap_that_thinning_makes_is_a_small_share_of_its_age(gaps: list[float]) -> None:
    track, now = Track(), 10.0
    track.add(0.0)  # of positions that are all as old as one another no share of their ages can be told
    for gap_s in gaps:
        now += gap_s
        track.add(now)
        assert len(track.kept) <= RULES[Stream.POSITION].bound
    assert track.thinned > 0
    assert track.worst <= 1.0


def walk(hours: int) -> Track:
    track = Track()
    for at in range(0, hours * 3600, 10):
        track.add(float(at))
    return track


def test_two_days_of_an_open_alert_keep_their_shape() -> None:
    """A position every 10 s, no network: 17,280 positions in 512 places."""
    track = walk(48)
    assert len(track.made) == 17_280
    assert track.kept[0][1] == 0.0, "the track lost its beginning"
    assert [at for _, at in track.kept[-TRACK_NEWEST:]] == track.made[-TRACK_NEWEST:]
    assert track.worst <= 1.0
    assert max(track.holes(track.made[-1])) <= twice_the_even_share(track)


def twice_the_even_share(track: Track) -> float:
    """Were the gaps even, each would be this share of its age; one that lost the record in it is twice as long."""
    now, rule = track.made[-1], RULES[Stream.POSITION]
    decay = math.log((now - track.made[0]) / (now - track.made[-TRACK_NEWEST]))
    return 2 * decay / (rule.bound - TRACK_STEP - TRACK_NEWEST)


def every_second_of_the_oldest(track: Entries, _lifetime_s: float) -> list[int]:
    return list(range(1, len(track) - TRACK_NEWEST, 2))[:TRACK_STEP]


def test_were_every_second_of_the_oldest_to_go_the_track_would_have_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    monkeypatch.setattr(module, "_least_missed", every_second_of_the_oldest)
    track = walk(48)
    assert max(track.holes(track.made[-1])) > 1
    assert track.worst > 1.0


@given(count=st.integers(513, 3000))
def test_the_bound_holds_after_enough_calls(count: int) -> None:
    kept = entries(Stream.POSITION, [10.0 * number for number in range(count)])
    bound = RULES[Stream.POSITION].bound
    for _ in range(math.ceil((count - bound) / TRACK_STEP)):
        gone = set(numbers(surplus(kept, 10.0 * count)))
        assert len(gone) == TRACK_STEP
        kept = [entry for entry in kept if entry[0].id.sequence not in gone]
    assert surplus(kept, 10.0 * count) == []


@given(
    st.lists(
        st.builds(
            lambda stream, number, session, reason: Surplus(record(stream, number, session), reason),
            st.sampled_from(list(RULES)),
            st.integers(1, 9),
            st.integers(0, 20),
            st.sampled_from(Reason),
        ),
        max_size=400,
    )
)
def test_one_gap_record_can_name_what_is_chosen_for_it(found: list[Surplus]) -> None:
    def group(each: Surplus) -> tuple[Stream, SessionId, Reason]:
        return each.record.id.stream, each.record.id.session, each.reason

    named = in_one_gap(found)
    assert len(named) <= GAP_RECORDS
    assert len({group(each) for each in named}) <= GAP_GROUPS
    assert [each for each in found if any(each is other for other in named)] == named
    left = [each for each in found if not any(each is other for other in named)]
    groups = {group(each) for each in named}
    full = len(named) == GAP_RECORDS
    assert full or all(group(each) not in groups and len(groups) == GAP_GROUPS for each in left), "it had room for more"


# --- off duty ------------------------------------------------------------------------------------------


@given(count=st.integers(0, 300))
def test_off_duty_every_presence_goes_and_nothing_else_does(count: int) -> None:
    """Where an officer was is nobody's business once the shift is over."""
    waiting = entries(Stream.PRESENCE, range(count))
    assert surplus(waiting, float(count), on_duty=False) == [Surplus(each, Reason.EXPIRED) for each, _ in waiting]
    for stream in set(Stream) - {Stream.PRESENCE}:
        others = entries(stream, range(count))
        assert surplus(others, float(count), on_duty=False) == surplus(others, float(count))
