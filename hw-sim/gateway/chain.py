"""Whether a record continues the chain of its stream (docs/protocol.md, sections 3 and 4).

It answers from the records that are held, so the answer can change when another record arrives; `touched_by` says whose
answer to ask again. It keeps nothing and decides no verdict.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from bondmate_sim.gateway import receipts, records
from bondmate_sim.gateway.database import Database

_PREVIOUS_OCTETS = 4


class Chain(enum.StrEnum):
    """The state of one record's link to the record before it."""

    WHOLE = "whole"
    WAITING = "waiting"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Place:
    """A record's identity."""

    device: bytes
    session: bytes
    stream: int
    sequence: int


def check(database: Database, place: Place, previous: bytes | None) -> Chain:
    """Judge the link of a record by what it names as `previous`. Raises apsw.Error."""
    if place.sequence > 1:
        before = _digests(database, place.device, place.session, place.stream, place.sequence - 1)
        if not before:
            # A record of another stream may have been thinned away, so that nothing is missing.
            return Chain.WAITING if place.stream in records.CHAINED else Chain.WHOLE
        return Chain.WHOLE if previous in {digest[:_PREVIOUS_OCTETS] for digest in before} else Chain.BROKEN
    if place.stream not in records.CHAINED:
        return Chain.WHOLE
    openings = _openings(database, place.device, place.session)
    if not openings:
        first_ever = previous is None and not _began_in_earlier_session(database, place)
        return Chain.WHOLE if first_ever else Chain.WAITING
    found = {_follows(database, place, opening, previous) for opening in openings}
    # With a forked opening, the record belongs to one of the two.
    return next(state for state in (Chain.WHOLE, Chain.WAITING, Chain.BROKEN) if state in found)


def touched_by(database: Database, row: int, place: Place, kind: int) -> Iterator[tuple[int, Place, bytes | None]]:
    """Yield row, place and `previous` of every other record whose link the arrival of this one can settle."""
    # One SELECT for each way to be touched: joined by OR, they would scan all records of the device.
    found = database.rows(
        "SELECT row, session, stream, sequence, previous FROM record"
        " WHERE device = :device AND session = :session AND stream = :stream AND sequence = :sequence + 1"
        " UNION SELECT row, session, stream, sequence, previous FROM record"
        " WHERE :opening AND device = :device AND session = :session AND stream IN (:alert, :state) AND sequence = 1"
        " AND row <> :row"
        " UNION SELECT row, session, stream, sequence, previous FROM record"
        " WHERE device = :device AND stream = :stream AND sequence = 1 AND row <> :row AND session IN ("
        "  SELECT opening.session FROM predecessor JOIN record AS opening ON opening.row = predecessor.record"
        "  WHERE opening.device = :device AND predecessor.session = :session AND predecessor.stream = :stream"
        "  AND predecessor.sequence = :sequence)",
        {
            "device": place.device,
            "row": row,
            "session": place.session,
            "stream": place.stream,
            "sequence": place.sequence,
            "opening": kind == records.OPENING,
            "alert": records.ALERT,
            "state": records.STATE,
        },
    )
    for other, session, stream, sequence, previous in found:
        yield other, Place(place.device, session, stream, sequence), previous


def _follows(database: Database, place: Place, opening: int, previous: bytes | None) -> Chain:
    entries = database.rows(
        "SELECT session, sequence, digest FROM predecessor WHERE record = ? AND stream = ?", (opening, place.stream)
    )
    if not entries:
        # A device that knows of no record of which we hold some has lost its store, and its counter with it.
        known = previous is not None or _began_in_earlier_session(database, place)
        return Chain.BROKEN if known else Chain.WHOLE
    session, sequence, digest = entries[0]
    if session is None:
        return Chain.WHOLE if previous == b"" else Chain.BROKEN
    if previous != digest[:_PREVIOUS_OCTETS]:
        return Chain.BROKEN
    held = _digests(database, place.device, session, place.stream, sequence)
    if not held:
        return Chain.WAITING
    return Chain.WHOLE if digest in {each[: receipts.DIGEST_OCTETS] for each in held} else Chain.BROKEN


def _digests(database: Database, device: bytes, session: bytes, stream: int, sequence: int) -> list[bytes]:
    found = database.rows(
        "SELECT digest FROM record WHERE device = ? AND session = ? AND stream = ? AND sequence = ?",
        (device, session, stream, sequence),
    )
    return [digest for (digest,) in found]


def _openings(database: Database, device: bytes, session: bytes) -> list[int]:
    found = database.rows(
        "SELECT row FROM record WHERE device = ? AND session = ? AND stream = ? AND sequence = 1 AND kind = ?",
        (device, session, records.STATE, records.OPENING),
    )
    return [row for (row,) in found]


def _began_in_earlier_session(database: Database, place: Place) -> bool:
    """Whether the stream's first record ever was held, from another session, before anything of this one was.

    Only that one contradicts: other records of the stream may be later ones that arrived before it.
    """
    found = database.rows(
        "SELECT 1 FROM record WHERE device = :device AND stream = :stream AND session <> :session AND sequence = 1"
        " AND previous IS NULL AND row <"
        " coalesce((SELECT min(row) FROM record WHERE device = :device AND session = :session), 1 << 62) LIMIT 1",
        {"device": place.device, "stream": place.stream, "session": place.session},
    )
    return bool(found)
