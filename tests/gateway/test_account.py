"""Every number of a device counted once: held, thinned, lost with the store, or missing."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate_sim.gateway import account, credentials, devices, records
from bondmate_sim.gateway.account import Account
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.records import Reason
from tests.gateway.device import FIRST, SECOND, THIRD, WRAPPED, Device

HIGHEST = 2**32 - 1
NONE = dict.fromkeys(Reason, 0)


@pytest.fixture
def device(database: Database) -> Device:
    return Device(database)


def of(device: Device) -> Account:
    return account.account(device.database, devices.device(device.database, device.made.device))


def missing(device: Device) -> list[tuple[str, tuple[int, int], bool]]:
    return [(records.STREAMS[each.stream], each.numbers, each.lost) for each in of(device).missing]


def gap(device: Device, *entries: list[Any], elapsed_ms: int = 9000) -> None:
    device.send(records.GAP, elapsed_ms, body=list(entries))


def test_a_device_that_sent_nothing_and_one_that_sent_all_miss_nothing(device: Device) -> None:
    assert of(device) == Account(NONE, 0, [], [])
    for _ in range(3):
        device.send(records.PANIC, 1000)
        device.send(records.POSITION, 1000)
    assert of(device) == Account(NONE, 0, [], [])


def test_what_lies_below_the_highest_number_held_is_missing_the_alerts_first(device: Device) -> None:
    device.send(records.POSITION, 1000, sequence=3)
    device.send(records.PANIC, 1000, sequence=2, session=SECOND)
    device.send(records.PANIC, 1000, sequence=4)
    assert missing(device) == [("alert", (1, 3), False), ("alert", (1, 1), False), ("position", (1, 2), False)]


def test_a_fork_is_held_once(device: Device) -> None:
    for elapsed_ms in (1000, 1001):
        device.send(records.PANIC, elapsed_ms, sequence=2)
    assert missing(device) == [("alert", (1, 1), False)]


def test_an_opening_makes_known_what_never_came(device: Device) -> None:
    device.send(records.OPENING, 0, session=SECOND, body=[[0, FIRST, 2, bytes(16)]])
    assert missing(device) == [("alert", (1, 2), False)]
    device.send(records.PANIC, 1000)
    assert missing(device) == [("alert", (2, 2), False)]


def test_a_gap_explains_and_what_comes_all_the_same_counts_as_held(device: Device) -> None:
    device.send(records.POSITION, 1000, sequence=1)
    device.send(records.POSITION, 1000, sequence=9)
    gap(device, [2, FIRST, 1, [[2, 4]]], [2, FIRST, 2, [6, 8]], [4, FIRST, 2, [[1, 3]]])
    assert missing(device) == [("position", (5, 5), False), ("position", (7, 7), False)]
    assert of(device).thinned == {Reason.SUPERSEDED: 3, Reason.EXPIRED: 5}
    device.send(records.POSITION, 1000, sequence=3)
    device.send(records.POSITION, 1000, sequence=8)
    assert of(device).thinned == {Reason.SUPERSEDED: 2, Reason.EXPIRED: 4}


def test_a_number_that_two_gaps_name_is_thinned_once(device: Device) -> None:
    gap(device, [2, FIRST, 1, [[1, 4]]], [2, FIRST, 2, [[3, 6]]])
    gap(device, [2, FIRST, 1, [[2, 5]]])
    assert of(device).thinned == {Reason.SUPERSEDED: 5, Reason.EXPIRED: 1}
    assert missing(device) == []


def test_a_gap_of_one_stream_or_session_explains_no_other(device: Device) -> None:
    device.send(records.POSITION, 1000, sequence=3)
    device.send(records.HEALTH, 1000, sequence=3, body=[])
    gap(device, [4, FIRST, 1, [[1, 2]]], [2, SECOND, 1, [[1, 2]]])
    assert missing(device) == [("position", (1, 2), False)]


def test_four_billion_missing_numbers_are_one_range(device: Device) -> None:
    for number in (1, HIGHEST):
        device.send(records.PANIC, 1000, sequence=number)
        device.send(records.POSITION, 1000, sequence=number)
    gap(device, [2, FIRST, 2, [[5, HIGHEST - 1]]])
    assert missing(device) == [("alert", (2, HIGHEST - 1), False), ("position", (2, 4), False)]
    assert of(device).thinned[Reason.EXPIRED] == HIGHEST - 5


@pytest.mark.parametrize("later", [SECOND, THIRD])
def test_a_store_lost_in_a_later_session_explains_routine_numbers_and_excuses_no_alert(
    device: Device, later: bytes
) -> None:
    device.send(records.POSITION, 1000, sequence=4)
    device.send(records.PANIC, 1000, sequence=3)
    device.send(records.OPENING, 0, session=later, body=[[0, None], [1, None]])
    assert of(device).lost_with_store == 3
    assert missing(device) == [("alert", (1, 2), True)]
    assert [(each.session, each.sequence, each.elapsed_ms) for each in of(device).losses] == [(later, 1, None)]


def test_a_store_lost_before_a_session_explains_nothing_of_it_or_after_it(device: Device) -> None:
    device.send(records.OPENING, 0, session=SECOND, body=[[0, None]])
    for session in (SECOND, THIRD):
        device.send(records.POSITION, 1000, sequence=3, session=session)
    assert of(device).lost_with_store == 0
    assert missing(device) == [("position", (1, 2), False)] * 2


def test_the_order_of_sessions_is_the_devices_own_also_where_the_counter_wraps(device: Device) -> None:
    device.send(records.STORE_LOST, 0, session=FIRST)
    device.send(records.POSITION, 1000, sequence=2, session=WRAPPED)
    device.send(records.POSITION, 1000, sequence=2, session=SECOND)
    assert (of(device).lost_with_store, len(of(device).missing)) == (1, 1)
    assert of(device).missing[0].session == SECOND


def test_a_store_lost_while_it_ran_explains_what_may_have_been_made_before(device: Device) -> None:
    device.send(records.STORE_LOST, 5000)
    for number, elapsed_ms in ((2, 1000), (4, 5000), (7, 5001), (9, 7000)):
        device.send(records.POSITION, elapsed_ms, sequence=number)
    device.send(records.PANIC, 6000, sequence=2)
    # 1 and 3 are from before, 5 and 6 may be, 8 is from after.
    assert of(device).lost_with_store == 4
    assert missing(device) == [("alert", (1, 1), True), ("position", (8, 8), False)]


def test_what_the_device_signed_and_cannot_be_read_is_held(device: Device) -> None:
    device.send(records.PANIC, 1000, sequence=1, clock=b"short")
    device.send(records.PANIC, 1000, sequence=3)
    assert missing(device) == [("alert", (2, 2), False)]


def test_what_the_device_did_not_sign_takes_no_place(device: Device) -> None:
    key = device.made.signing_key
    device.made = credentials.Credentials(
        device.made.device, credentials.generate().signing_key, device.made.channel_secret, device.made.kids
    )
    device.send(records.PANIC, 1000, sequence=1)
    device.made = credentials.Credentials(device.made.device, key, device.made.channel_secret, device.made.kids)
    device.send(records.PANIC, 1000, sequence=2)
    assert missing(device) == [("alert", (1, 1), False)]


@dataclass
class Naive:
    """A device's story, number by number, and what became of each by the words of the specification."""

    order: list[bytes]
    made: dict[tuple[int, bytes], list[tuple[int, bool]]] = field(default_factory=dict)
    gaps: list[tuple[int, bytes, Reason, int]] = field(default_factory=list)
    losses: list[tuple[bytes, int | None]] = field(default_factory=list)

    def fate(self, stream: int, session: bytes, number: int) -> str | None:
        made = self.made.get((stream, session), [])
        arrived = {sequence: elapsed_ms for sequence, (elapsed_ms, came) in enumerate(made, 1) if came}
        reasons = {reason for *numbered, reason, named in self.gaps if [*numbered, named] == [stream, session, number]}
        known = max(
            [*arrived, *(named for *numbered, _, named in self.gaps if numbered == [stream, session])], default=0
        )
        if number in arrived or number > known:
            return None
        if reasons:
            return min(reasons).name
        before = [elapsed_ms for sequence, elapsed_ms in arrived.items() if sequence < number]
        for where, at_ms in self.losses:
            later = self.order.index(where) > self.order.index(session)
            within = where == session and at_ms is not None and max(before, default=0) <= at_ms
            if later or within:
                return "lost" if stream not in records.CHAINED else "missing, lost"
        return "missing"

    def fates(self) -> Counter[str]:
        numbered = {*self.made, *((stream, session) for stream, session, *_ in self.gaps)}
        each = (self.fate(*place, number) for place in numbered for number in range(1, 40))
        return Counter(fate for fate in each if fate is not None)


def counted(found: Account) -> Counter[str]:
    counts: Counter[str] = Counter({reason.name: count for reason, count in found.thinned.items()})
    counts["lost"] = found.lost_with_store
    for each in found.missing:
        first, last = each.numbers
        counts["missing, lost" if each.lost else "missing"] += last - first + 1
    return +counts


NUMBERED = st.tuples(st.sampled_from([records.ALERT, records.POSITIONS, records.HEALTH_STREAM]), st.integers(0, 2))
STEPS = st.lists(
    st.tuples(st.just("make"), NUMBERED, st.booleans())
    | st.tuples(
        st.just("gap"), st.tuples(st.just(2), st.integers(0, 2)), st.tuples(st.integers(1, 8), st.sampled_from(Reason))
    )
    | st.tuples(st.sampled_from(["store-lost", "opening"]), NUMBERED, st.none()),
    max_size=25,
)


@given(steps=STEPS)
@settings(deadline=None)
def test_it_counts_as_one_who_counts_number_by_number(
    one_database: Database, steps: list[tuple[str, tuple[int, int], Any]]
) -> None:
    device, sessions = Device(one_database), [WRAPPED, FIRST, SECOND]
    story = Naive(sessions)
    for at, (what, (stream, which), detail) in enumerate(steps):
        session, elapsed_ms = sessions[which], 10 * at
        if what == "make":
            made = story.made.setdefault((stream, session), [])
            made.append((elapsed_ms, detail))
            if detail:
                kind = {records.ALERT: records.PANIC, records.POSITIONS: records.POSITION}.get(stream, records.HEALTH)
                body: list[str] | None = [] if kind == records.HEALTH else None
                device.send(kind, elapsed_ms, session=session, sequence=len(made), body=body)
        elif what == "gap":
            number, reason = detail
            story.gaps.append((stream, session, reason, number))
            device.send(records.GAP, elapsed_ms, body=[[stream, session, int(reason), [number]]])
        elif what == "store-lost":
            story.losses.append((session, elapsed_ms))
            device.send(records.STORE_LOST, elapsed_ms, session=session)
        else:
            story.losses.append((session, None))
            device.send(records.OPENING, elapsed_ms, session=session, body=[[1, None]])
    assert counted(of(device)) == story.fates()
