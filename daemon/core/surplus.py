"""Which records are not worth their place any more. Pure rules; a signed gap record names what they drop.

Decides nothing about streams that have no rule: alerts and the state stream are kept until they are delivered, and so
is what an officer wrote. Drops nothing by itself.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bondmate.records import Reason, SessionId, SignedRecord, Stream, Surplus


@dataclass(frozen=True, slots=True)
class Rule:
    """How many records of a stream may wait, and for how long."""

    bound: int
    """With more than so many something goes."""
    keep: int
    """So many stay then: well below the bound, for a gap record costs as much as one of those it names."""
    expires_s: float = math.inf
    """So old, in seconds of the device's lifetime, a record is of no use; it goes when one is OVERDUE times as old."""
    track: bool = False
    """Thin what is older, as a track. Without this the oldest go."""
    of_a_shift: bool = False
    """Off duty all of it goes."""


RULES: Mapping[Stream, Rule] = {
    Stream.POSITION: Rule(bound=512, keep=448, track=True),
    Stream.PRESENCE: Rule(bound=128, keep=64, expires_s=12 * 3600.0, of_a_shift=True),
    Stream.HEALTH: Rule(bound=32, keep=16, expires_s=24 * 3600.0),
}
"""Health: each record replaces those before it, but what failed last and when helps whoever repairs it. Presence: where
an officer was on duty half a day ago helps nobody."""

TRACK_NEWEST = 128
"""So many of the newest of a track stay as they are, and its first: where it began."""
TRACK_STEP = RULES[Stream.POSITION].bound - RULES[Stream.POSITION].keep
"""So many go at a time, however many there are: few enough that only those go that are missed least."""
OVERDUE = 1.25
"""What expires goes together: one gap record for many."""

GAP_RECORDS = 128
GAP_GROUPS = 16
"""What one gap record can name: records, and groups of them with one stream, session and reason (docs/protocol.md)."""


def surplus(entries: Sequence[tuple[SignedRecord, float]], lifetime_s: float, *, on_duty: bool = True) -> list[Surplus]:
    """What may go of the waiting records of one stream, now that the device is `lifetime_s` old.

    `entries` are the records in the order in which they were made, each with the lifetime at that time in seconds.
    Where an officer was helps nobody when the shift is over.
    """
    rule = RULES.get(entries[0][0].id.stream) if entries else None
    if rule is None:
        return []
    if rule.of_a_shift and not on_duty:
        return [Surplus(record, Reason.EXPIRED) for record, _ in entries]
    gone: list[Surplus] = []
    if lifetime_s - entries[0][1] >= OVERDUE * rule.expires_s:
        gone += [Surplus(record, Reason.EXPIRED) for record, born_s in entries if lifetime_s - born_s >= rule.expires_s]
    left = entries[len(gone) :]
    if len(left) > rule.bound:
        going = _least_missed(left, lifetime_s) if rule.track else range(len(left) - rule.keep)
        gone += [Surplus(left[index][0], Reason.SUPERSEDED) for index in going]
    return gone


def _least_missed(track: Sequence[tuple[SignedRecord, float]], lifetime_s: float) -> list[int]:
    """The indexes of those whose neighbours lie closest together for their age, and never of two neighbours.

    So a track loses detail with age and keeps its shape however often it is thinned: each gap that this makes is a
    small share of its age, for the gaps of a track are a share of their ages on the whole (the sum of the shares is a
    logarithm of the oldest age), and more than half of the records are still to be had when the last one is chosen.
    """

    def gap_for_age(index: int) -> float:
        gap_s = track[index + 1][1] - track[index - 1][1]
        return gap_s / max(lifetime_s - track[index][1], 1.0)

    going: set[int] = set()
    for index in sorted(range(1, len(track) - TRACK_NEWEST), key=gap_for_age):
        if len(going) == TRACK_STEP:
            break
        if going.isdisjoint((index - 1, index + 1)):
            going.add(index)
    return sorted(going)


def in_one_gap(found: Iterable[Surplus]) -> list[Surplus]:
    """As many of them as one gap record can name."""
    named: list[Surplus] = []
    groups: set[tuple[Stream, SessionId, Reason]] = set()
    for each in found:
        group = (each.record.id.stream, each.record.id.session, each.reason)
        if len(named) < GAP_RECORDS and (group in groups or len(groups) < GAP_GROUPS):
            groups.add(group)
            named.append(each)
    return named
