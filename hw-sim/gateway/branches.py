"""Where a device's life goes more than one way: sessions that continue one and the same session.

Every session has a state record, its opening, which names the last state record that the device's store knew. So of a
device with one card that keeps what it is told, each session is continued by one other at most. It reads, and writes
nothing; why there are two, only a human can find out.
"""

from dataclasses import dataclass

from bondmate_sim.gateway import records
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.evidence import Origin


@dataclass(frozen=True, slots=True)
class Branch:
    """The session that is continued more than once, by which sessions, in the order of arrival.

    `sequence` is that of the last state record that all of them know: an image may be older than its session's end.
    """

    session: bytes
    sequence: int
    followers: tuple[bytes, ...]


def branches(database: Database, device: bytes) -> list[Branch]:
    """Return the branches of a device, in the order of arrival. Raises apsw.Error."""
    found: dict[bytes, dict[bytes, int]] = {}
    for session, sequence, follower in database.rows(
        "SELECT predecessor.session, min(predecessor.sequence), opening.session"
        " FROM predecessor JOIN record AS opening ON opening.row = predecessor.record"
        " WHERE opening.device = ? AND opening.sequence = 1"
        " AND predecessor.stream = ? AND predecessor.session IS NOT NULL"
        " GROUP BY predecessor.session, opening.session ORDER BY min(opening.row)",
        (device, records.STATE),
    ):
        found.setdefault(session, {})[follower] = sequence
    return [Branch(session, min(each.values()), tuple(each)) for session, each in found.items() if len(each) > 1]


def only_other(database: Database, opening: Origin, session: bytes) -> bytes | None:
    """Return the one session that, before this opening came, was all that continued `session`; else None.

    So a branch is told once, and not again at every start of a card that keeps nothing. Raises apsw.Error.
    """
    # Two are enough to know: what it costs does not grow with the sessions.
    others = database.rows(
        "SELECT DISTINCT opening.session FROM predecessor JOIN record AS opening ON opening.row = predecessor.record"
        " WHERE predecessor.session = ? AND predecessor.stream = ?"
        " AND opening.device = ? AND opening.sequence = 1 AND opening.digest <> ? LIMIT 2",
        (session, records.STATE, opening.device, opening.digest),
    )
    return others[0][0] if len(others) == 1 and others[0][0] != opening.session else None
