"""Records as rows of the table `record`, and rows as records. Knows nothing of connections' lives; see outbox."""

import logging
import math
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

import apsw

from bondmate.records import (
    CHAINED,
    ClockSource,
    DeviceId,
    Duty,
    Felt,
    Head,
    History,
    Kind,
    Moment,
    RecordId,
    SessionId,
    SignedRecord,
    StoredRecord,
    Stream,
    UtcTime,
)
from bondmate.wire import DIGEST_OCTETS, digest

log = logging.getLogger(__name__)

COLUMNS = """
    position, CAST(session AS BLOB), CAST(stream AS INTEGER), CAST(sequence AS INTEGER), CAST(kind AS INTEGER),
    CAST(data AS BLOB), CAST(digest AS BLOB), CAST(made_at_ms AS INTEGER), CAST(made_at_source AS INTEGER),
    CAST(made_at_uncertainty_ms AS INTEGER), CAST(stored_lifetime_s AS REAL), CAST(stored_at_ms AS INTEGER),
    receipt IS NOT NULL, CAST(delivered_lifetime_s AS REAL), CAST(delivered_at_ms AS INTEGER), CAST(felt AS INTEGER)
"""
"""What `readable` reads. One bit of the file says of a value that it is text; apsw raises where that is no UTF-8."""

CHANGED = "its digest is not that of its octets: the disk has changed it"

SESSION_OCTETS = 6

CHAINED_STREAMS = ", ".join(str(int(stream)) for stream in CHAINED)
"""For SQL."""


def insert(connection: apsw.Connection, record: SignedRecord, moment: Moment) -> bool:
    """Insert a record; False where it was there already, and stays as it is."""
    made = record.made_at
    connection.execute(
        "INSERT INTO record (session, stream, sequence, kind, data, digest,"
        " made_at_ms, made_at_source, made_at_uncertainty_ms, stored_lifetime_s, stored_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        (
            record.id.session.octets,
            int(record.id.stream),
            record.id.sequence,
            int(record.kind),
            record.data,
            record.digest,
            made and made.unix_ms,
            made and int(made.source),
            made and made.uncertainty_ms,
            moment.lifetime_s,
            moment.utc_ms,
        ),
    )
    return connection.changes() == 1


def advance_head(connection: apsw.Connection, record: SignedRecord) -> None:
    """Make a record of a chained stream the head, unless the head came behind it in the same session."""
    if record.id.stream in CHAINED:
        connection.execute(
            "INSERT INTO head (stream, session, sequence, digest) VALUES (?, ?, ?, ?) ON CONFLICT (stream) DO UPDATE"
            " SET session = excluded.session, sequence = excluded.sequence, digest = excluded.digest"
            " WHERE session IS NOT excluded.session OR sequence < excluded.sequence",
            (int(record.id.stream), record.id.session.octets, record.id.sequence, record.digest),
        )


def set_heads(connection: apsw.Connection, history: History) -> None:
    """Put the heads as given; that one was lost never hides one that is there."""
    for stream, head in history.heads.items():
        if head is None:
            connection.execute("INSERT INTO head (stream) VALUES (?) ON CONFLICT DO NOTHING", (int(stream),))
        else:
            values = (int(stream), head.session.octets, head.sequence, head.digest)
            connection.execute(
                "INSERT OR REPLACE INTO head (stream, session, sequence, digest) VALUES (?, ?, ?, ?)", values
            )


def history(connection: apsw.Connection) -> History:
    """Where the chains ended; a head that cannot be read is lost."""
    rows: list[Any] = connection.execute(
        "SELECT stream, CAST(session AS BLOB), CAST(sequence AS INTEGER), CAST(digest AS BLOB) FROM head"  # noqa: S608 - a constant
        f" WHERE stream IN ({CHAINED_STREAMS})"
    ).fetchall()
    return History({Stream(stream): _head(*values) for stream, *values in rows})


def _head(session: bytes | None, sequence: int | None, digest_: bytes | None) -> Head | None:
    if session is None:
        return None
    if (
        len(session) == SESSION_OCTETS
        and sequence is not None
        and digest_ is not None
        and len(digest_) == DIGEST_OCTETS
    ):
        return Head(SessionId(session), sequence, digest_)
    log.critical("the head of a chain is lost, for it cannot be read: %r, %r, %r", session, sequence, digest_)
    return None


def keep_clock(connection: apsw.Connection, moment: Moment) -> None:
    """Keep the moment of a write: the lifetime never goes back, and the last known UTC moves on with it."""
    connection.execute(
        "INSERT INTO clock (id, lifetime_s, utc_ms) VALUES (0, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET lifetime_s = max(lifetime_s, excluded.lifetime_s), utc_ms = coalesce(excluded.utc_ms,"
        " utc_ms + CAST(max(0, excluded.lifetime_s - lifetime_s) * 1000 AS INTEGER))",
        (moment.lifetime_s, moment.utc_ms),
    )


def clock(connection: apsw.Connection) -> Moment | None:
    """The moment of the last write; None also where it cannot be read."""
    row: Any = connection.execute("SELECT CAST(lifetime_s AS REAL), CAST(utc_ms AS INTEGER) FROM clock").fetchone()
    if row is None or row[0] is None or not 0 <= row[0] < math.inf:
        return None
    return Moment(*row)


def duty(connection: apsw.Connection) -> Duty | None:
    """The shift that was kept; None also where it cannot be read."""
    row: Any = connection.execute(
        "SELECT CAST(session AS BLOB), CAST(began_lifetime_s AS REAL), CAST(began_at_ms AS INTEGER) FROM duty"
    ).fetchone()
    if row is None:
        return None
    session, began_s, began_ms = row
    # one bit of the file makes a number of no number, which SQLite reads as NULL
    if session is None or len(session) != SESSION_OCTETS or began_s is None or not 0 <= began_s < math.inf:
        log.error("the shift that was kept cannot be read: %r", row)
        return None
    return Duty(Moment(began_s, began_ms), SessionId(session))


def keep_duty(connection: apsw.Connection, duty: Duty | None) -> None:
    """Keep a shift, or that there is none."""
    if duty is None:
        connection.execute("DELETE FROM duty")
        return
    began = duty.began
    connection.execute(
        "INSERT OR REPLACE INTO duty (id, session, began_lifetime_s, began_at_ms) VALUES (0, ?, ?, ?)",
        (duty.session.octets, began.lifetime_s, began.utc_ms),
    )


def readable(
    device: DeviceId, rows: Iterable[tuple[Any, ...]], changed: MutableMapping[bytes, int]
) -> Iterator[StoredRecord]:
    """Without the rows that this daemon cannot read: they must not stop the others.

    A newer daemon may have written one, or the disk has changed it: what comes out is what went in, by its digest. But
    an alert comes out as it is, for a human to look at; its digest is that of its octets, and `changed` has its place.
    """
    for row in rows:
        place, data, digest_ = row[0], row[5], row[6]
        try:
            stored = _stored(device, row)
            if stored.record.digest != digest_:
                if stored.record.id.stream is not Stream.ALERT:
                    raise ValueError(CHANGED)  # noqa: TRY301 - as what cannot be read
                log.error("%s is sent as it is now: %s", stored.record.id, CHANGED)
                changed[digest(data)] = place
            yield stored
        except (TypeError, ValueError) as error:
            log.error("a record stays in the outbox, for it cannot be read (%s): %s", error, row[:5])  # noqa: TRY400 - no bug of ours


def changed(connection: apsw.Connection, streams: Iterable[Stream]) -> list[int]:
    """The places of records of these streams that wait, and can never be sent: the disk has changed them."""
    found: list[Any] = []
    for stream in streams:
        found += connection.execute(
            "SELECT position, CAST(data AS BLOB), CAST(digest AS BLOB) FROM record INDEXED BY record_pending"
            " WHERE receipt IS NULL AND stream = ?",
            (int(stream),),
        )
    return [place for place, data, digest_ in found if data is None or digest(data) != digest_]


def _stored(device: DeviceId, row: tuple[Any, ...]) -> StoredRecord:
    place, session, stream, sequence, kind, data, _, made_ms, source, uncertainty_ms, *fate = row
    made_at = None if made_ms is None else UtcTime(made_ms, ClockSource(source), uncertainty_ms)
    identity = RecordId(device, SessionId(session), Stream(stream), int(sequence))
    stored_s, stored_ms, delivered, delivered_s, delivered_ms, felt = fate
    return StoredRecord(
        record=SignedRecord(identity, Kind(kind), data, digest(data), made_at),
        place=place,
        stored=Moment(float(stored_s), stored_ms),
        delivered=Moment(float(delivered_s), delivered_ms) if delivered else None,
        felt=Felt(felt),
    )
