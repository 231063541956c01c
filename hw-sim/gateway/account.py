"""What became of every number that a device gave out: held, thinned, lost with its store, or missing.

It counts by ranges, so that a sequence of four billion costs no more than a small one. It reads, and writes nothing.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bondmate_sim.gateway import cose, devices, evidence, intake, ranges, records, sessions
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.ranges import Range
from bondmate_sim.gateway.records import Reason

_ALL = records.MAX_SEQUENCE + 1

_Numbered = tuple[int, bytes]
"""A stream and a session: what has numbers of its own."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Numbers (first, last) that are neither held nor explained.

    With `lost` they may have gone with the device's store. In the streams alert and state that explains them without
    excusing them: those are gapless.
    """

    stream: int
    session: bytes
    numbers: Range
    lost: bool


@dataclass(frozen=True, slots=True)
class Loss:
    """A record that says that the device lost its store: before the session, or in it at `elapsed_ms`."""

    session: bytes
    sequence: int
    received_ms: int
    elapsed_ms: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """The numbers of one device, each counted once, up to the highest that is known of each session and stream.

    `thinned` are those that a gap names and that did not come; `lost_with_store` are those, of the streams that may be
    thinned, that a lost store explains. `missing` begins with the alerts; sessions are in the device's own order.
    """

    thinned: Mapping[Reason, int]
    lost_with_store: int
    missing: Sequence[Missing]
    losses: Sequence[Loss]


def account(database: Database, device: devices.Device) -> Account:
    """Count the numbers of a device. Raises apsw.Error.

    A number is known when one as high or higher is held, or named by an opening or a gap.
    """
    held = _held(database, device)
    gaps = _gaps(database, device.id)
    highest = {numbered: numbers[-1][1] for numbered, numbers in held.items()}
    named = [((stream, session), numbers[-1][1]) for (stream, session, _), numbers in gaps.items()]
    for numbered, number in (*named, *_predecessors(database, device.id)):
        highest[numbered] = max(number, highest.get(numbered, 0))
    # A session that is known by name alone is older than all that was received of the others with its counter.
    arrived = dict.fromkeys((session for _, session in highest), 0) | evidence.arrivals(database, device.id)
    order = {session: rank for rank, session in enumerate(sessions.in_order(arrived))}
    losses = _losses(database, device.id)
    last_loss = max(losses, key=lambda loss: (order[loss.session], loss.elapsed_ms or 0), default=None)

    thinned = dict.fromkeys(Reason, 0)
    lost_with_store = 0
    missing = []
    for stream, session in sorted(highest, key=lambda numbered: (numbered[0], order[numbered[1]])):
        there = held.get((stream, session), [])
        rest = ranges.subtract([(1, highest[stream, session])], there)
        for reason in Reason:
            before, rest = rest, ranges.subtract(rest, gaps.get((stream, session, reason), []))
            thinned[reason] += ranges.count(before) - ranges.count(rest)
        lost_below = _lost_below(database, device.id, (stream, session), there, last_loss, order)
        for numbers in rest:
            lost = numbers[1] < lost_below
            if lost and stream not in records.CHAINED:
                lost_with_store += ranges.count([numbers])
            else:
                missing.append(Missing(stream, session, numbers, lost))
    return Account(thinned, lost_with_store, missing, losses)


def _held(database: Database, device: devices.Device) -> dict[_Numbered, list[Range]]:
    found = database.rows("SELECT stream, session, sequence FROM record WHERE device = ?", (device.id,))
    quarantined = database.rows(
        "SELECT stream, session, sequence, tagged FROM quarantine WHERE device = ? AND sequence IS NOT NULL",
        (device.id,),
    )
    # What was not signed by the device does not take the place of what was.
    found += [
        (stream, session, sequence)
        for stream, session, sequence, tagged in quarantined
        if intake.is_signed(tagged, device, session)
    ]
    numbers: dict[_Numbered, list[Range]] = {}
    for stream, session, sequence in found:
        numbers.setdefault((stream, session), []).append((sequence, sequence))
    return {numbered: ranges.union(each) for numbered, each in numbers.items()}


def _gaps(database: Database, device: bytes) -> dict[tuple[int, bytes, Reason], list[Range]]:
    named: dict[tuple[int, bytes, Reason], list[Range]] = {}
    for (tagged,) in database.rows(
        "SELECT tagged FROM record WHERE device = ? AND stream = ? AND kind = ?", (device, records.STATE, records.GAP)
    ):
        for gap in _read(tagged).gaps:
            named.setdefault((gap.stream, gap.session, gap.reason), []).extend(gap.numbers)
    return {key: ranges.union(numbers) for key, numbers in named.items()}


def _predecessors(database: Database, device: bytes) -> list[tuple[_Numbered, int]]:
    found = database.rows(
        "SELECT predecessor.stream, predecessor.session, predecessor.sequence FROM predecessor"
        " JOIN record ON record.row = record WHERE device = ? AND predecessor.session IS NOT NULL",
        (device,),
    )
    return [((stream, session), sequence) for stream, session, sequence in found]


def _losses(database: Database, device: bytes) -> list[Loss]:
    found = database.rows(
        "SELECT session, sequence, received_ms, tagged FROM record WHERE device = ? AND stream = ?"
        " AND (kind = ? OR row IN (SELECT record FROM predecessor WHERE session IS NULL)) ORDER BY row",
        (device, records.STATE, records.STORE_LOST),
    )
    losses = []
    for session, sequence, received_ms, tagged in found:
        record = _read(tagged)
        elapsed_ms = record.elapsed_ms if record.kind == records.STORE_LOST else None
        losses.append(Loss(session, sequence, received_ms, elapsed_ms))
    return losses


def _lost_below(
    database: Database,
    device: bytes,
    numbered: _Numbered,
    held: Sequence[Range],
    loss: Loss | None,
    order: Mapping[bytes, int],
) -> int:
    """Return the number below which what is not held can be older than the loss of the store."""
    stream, session = numbered
    if loss is None or order[session] > order[loss.session]:
        return 0
    if order[session] < order[loss.session]:
        return _ALL
    if loss.elapsed_ms is None:
        return 0

    def end_ms(numbers: Range) -> int:
        found = database.rows(
            "SELECT tagged FROM record WHERE device = ? AND session = ? AND stream = ? AND sequence <= ?"
            " ORDER BY sequence DESC LIMIT 1",
            (device, session, stream, numbers[1]),
        )
        return _read(found[0][0]).elapsed_ms if found else 0

    # Numbers and times grow together: what is missing before the first range that ends after the loss began before it.
    older = bisect.bisect_right(held, loss.elapsed_ms, key=end_ms)
    return held[older][0] if older < len(held) else _ALL


def _read(tagged: bytes) -> records.Record:
    return records.payload(cose.parse(tagged).payload)
