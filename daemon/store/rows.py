"""Records as rows of the table `record`, and rows as records. Knows nothing of connections' lives; see outbox."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import apsw

from bondmate.records import (
    CHAINED,
    ClockSource,
    DeviceId,
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
from bondmate.wire import digest

log = logging.getLogger(__name__)

COLUMNS = (
    "position, session, stream, sequence, kind, data, digest, made_at_ms, made_at_source, made_at_uncertainty_ms,"
    " stored_lifetime_s, stored_at_ms, receipt IS NOT NULL, delivered_lifetime_s, delivered_at_ms, felt"
)
"""What `stored` reads."""

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
            "INSERT INTO head VALUES (?, ?, ?, ?) ON CONFLICT (stream) DO UPDATE"
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
            connection.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?)", values)


def history(connection: apsw.Connection) -> History:
    """Where the chains ended; a head that cannot be read is lost."""
    rows: list[Any] = connection.execute(
        f"SELECT stream, session, sequence, digest FROM head WHERE stream IN ({CHAINED_STREAMS})"  # noqa: S608 - a constant
    ).fetchall()
    return History({Stream(stream): _head(*values) for stream, *values in rows})


def _head(session: bytes | None, sequence: int, digest_: bytes) -> Head | None:
    try:
        return None if session is None else Head(SessionId(session), sequence, digest_)
    except ValueError as error:
        log.critical("the head of a chain is lost, for it cannot be read: %s", error)
        return None


def keep_clock(connection: apsw.Connection, moment: Moment) -> None:
    """Keep the moment of a write: the lifetime never goes back, and the last known UTC moves on with it."""
    connection.execute(
        "INSERT INTO clock VALUES (0, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET lifetime_s = max(lifetime_s, excluded.lifetime_s), utc_ms = coalesce(excluded.utc_ms,"
        " utc_ms + CAST(max(0, excluded.lifetime_s - lifetime_s) * 1000 AS INTEGER))",
        (moment.lifetime_s, moment.utc_ms),
    )


def clock(connection: apsw.Connection) -> Moment | None:
    """The moment of the last write."""
    row: Any = connection.execute("SELECT lifetime_s, utc_ms FROM clock").fetchone()
    return None if row is None else Moment(*row)


def readable(device: DeviceId, rows: Iterable[tuple[Any, ...]]) -> Iterator[StoredRecord]:
    """Without the rows that this daemon cannot read: they must not stop the others.

    A newer daemon may have written one, or the disk has changed it: what comes out is what went in, by its digest.
    """
    for row in rows:
        try:
            yield _stored(device, row)
        except (TypeError, ValueError) as error:
            log.error("a record stays in the outbox, for it cannot be read (%s): %s", error, row[:5])  # noqa: TRY400 - no bug of ours


def _stored(device: DeviceId, row: tuple[Any, ...]) -> StoredRecord:
    place, session, stream, sequence, kind, data, digest_, made_ms, source, uncertainty_ms, *fate = row
    if digest(data) != digest_:
        raise ValueError("its digest is not that of its octets: the disk has changed it")
    made_at = None if made_ms is None else UtcTime(made_ms, ClockSource(source), uncertainty_ms)
    identity = RecordId(device, SessionId(session), Stream(stream), sequence)
    stored_s, stored_ms, delivered, delivered_s, delivered_ms, felt = fate
    return StoredRecord(
        record=SignedRecord(identity, Kind(kind), data, digest_, made_at),
        place=place,
        stored=Moment(stored_s, stored_ms),
        delivered=Moment(delivered_s, delivered_ms) if delivered else None,
        felt=Felt(felt),
    )
