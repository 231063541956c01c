"""What devices sent, in the database: records, quarantine, attempts of revoked devices.

Everything is kept as the octets of the tagged COSE_Sign1, once, and never changed; only a record's chain state follows
what arrives later. Call all of it inside a transaction.
"""

from dataclasses import dataclass

from bondmate_sim.gateway import cose, records, sessions
from bondmate_sim.gateway.chain import Chain, Place, check, touched_by
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Verdict

_ATTEMPTS_KEPT = 64
"""Of a revoked device, the newest attempts: enough to show that it is used, and a bound on what it can fill."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record came from and when: digest (SHA-256) and octets of the tagged COSE_Sign1, bearer, UTC in ms."""

    device: bytes
    session: bytes
    digest: bytes
    tagged: bytes
    bearer: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """What became of a record that is held; `broken` are other records whose link turned out broken by its arrival."""

    verdict: Verdict
    repeated: bool
    forked: bool
    chain: Chain
    broken: tuple[Place, ...] = ()


def hold(database: Database, origin: Origin, record: records.Record) -> Held:
    """Keep a verified record; the same octets again change nothing and get the same verdict. Raises apsw.Error."""
    place = Place(origin.device, origin.session, record.stream, record.sequence)
    others = 0
    for digest, verdict, state in database.rows(
        "SELECT digest, verdict, chain FROM record WHERE device = ? AND session = ? AND stream = ? AND sequence = ?",
        (place.device, place.session, place.stream, place.sequence),
    ):
        if digest == origin.digest:
            return Held(Verdict(verdict), repeated=True, forked=False, chain=Chain(state))
        others += 1
    ((row,),) = database.rows(
        "INSERT INTO record (device, session, stream, sequence, digest, kind, previous, chain, verdict, bearer,"
        " received_ms, tagged) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row",
        (
            *(place.device, place.session, place.stream, place.sequence),
            *(origin.digest, record.kind, record.previous, Chain.WAITING, Verdict.HELD),
            *(origin.bearer, origin.now_ms, origin.tagged),
        ),
    )
    for each in record.predecessors:
        database.rows(
            "INSERT INTO predecessor (record, stream, session, sequence, digest) VALUES (?, ?, ?, ?, ?)",
            (row, each.stream, each.session, each.sequence, each.digest),
        )
    state = check(database, place, record.previous)
    verdict = Verdict.UNREADABLE if state is Chain.BROKEN else Verdict.HELD
    database.rows("UPDATE record SET chain = ?, verdict = ? WHERE row = ?", (state, verdict, row))
    return Held(
        verdict, repeated=False, forked=others > 0, chain=state, broken=_settle(database, row, place, record.kind)
    )


def is_held(database: Database, origin: Origin) -> bool:
    """Say whether the very octets of a record are held. Raises apsw.Error."""
    return bool(
        database.rows(
            "SELECT 1 FROM record WHERE device = ? AND session = ? AND digest = ?",
            (origin.device, origin.session, origin.digest),
        )
    )


def arrivals(database: Database, device: bytes) -> dict[bytes, int]:
    """Return the sessions of which records are held, each with a number that grows with its first arrival."""
    return dict(database.rows("SELECT session, min(row) FROM record WHERE device = ? GROUP BY session", (device,)))


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest record of a kind in the device's own order, and when it was received (UTC in ms)."""

    session: bytes
    record: records.Record
    received_ms: int


def newest(database: Database, device: bytes, stream: int, kind: int) -> Newest | None:
    """Return the newest record of a kind, in the device's own order of its sessions. Raises apsw.Error."""
    highest = dict(
        database.rows(
            "SELECT session, max(sequence) FROM record WHERE device = ? AND stream = ? AND kind = ? GROUP BY session",
            (device, stream, kind),
        )
    )
    if not highest:
        return None
    arrived = arrivals(database, device)
    session = sessions.in_order({each: arrived[each] for each in highest})[-1]
    received_ms, tagged = database.rows(
        "SELECT received_ms, tagged FROM record WHERE device = ? AND session = ? AND stream = ? AND sequence = ?"
        " ORDER BY row",
        (device, session, stream, highest[session]),
    )[0]
    return Newest(session, records.payload(cose.parse(tagged).payload), received_ms)


def quarantine(database: Database, origin: Origin, why: records.UnreadableError) -> bool:
    """Keep what is not understood; return whether it was there before. Raises apsw.Error."""
    inserted = database.rows(
        "INSERT INTO quarantine (device, session, stream, sequence, digest, why, bearer, received_ms, tagged)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING row",
        (
            *(origin.device, origin.session, why.stream, why.sequence, origin.digest, why.why),
            *(origin.bearer, origin.now_ms, origin.tagged),
        ),
    )
    return not inserted


def attempt(database: Database, origin: Origin) -> None:
    """List what a revoked device sent; only the newest attempts stay. Raises apsw.Error."""
    database.rows(
        "INSERT OR IGNORE INTO attempt (device, session, digest, bearer, received_ms, tagged)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (origin.device, origin.session, origin.digest, origin.bearer, origin.now_ms, origin.tagged),
    )
    database.rows(
        "DELETE FROM attempt WHERE device = ?1 AND row NOT IN"
        " (SELECT row FROM attempt WHERE device = ?1 ORDER BY row DESC LIMIT ?2)",
        (origin.device, _ATTEMPTS_KEPT),
    )


def _settle(database: Database, row: int, place: Place, kind: int) -> tuple[Place, ...]:
    broken = []
    for other, other_place, previous in touched_by(database, row, place, kind):
        state = check(database, other_place, previous)
        changed = database.rows(
            "UPDATE record SET chain = ?1 WHERE row = ?2 AND chain <> ?1 RETURNING row", (state, other)
        )
        if changed and state is Chain.BROKEN:
            broken.append(other_place)
    return tuple(broken)
