"""The queries of the outbox that must not read all of a large table: each by an index, which a test looks at."""

from bondmate.records import ALERT_KINDS, Kind, Stream
from bondmate.store import rows

LAST_PLACE = 2**63 - 1

ERASED_AT_ONCE = 100
"""Records in one transaction of `upkeep`: an alert that comes then waits for no more than that."""

_ALERT = f"stream = {int(Stream.ALERT)} AND kind IN ({', '.join(str(int(kind)) for kind in sorted(ALERT_KINDS))})"

NEWEST_ALERT = (
    f"SELECT position, session, sequence FROM record WHERE {_ALERT} AND session ="  # noqa: S608 - constants
    f" (SELECT session FROM record INDEXED BY record_stream WHERE {_ALERT} ORDER BY position DESC LIMIT 1)"
    " ORDER BY sequence DESC LIMIT 1"
)
"""Of the last session that has one. Within a session the numbers tell the order: one that was sent from memory while
the store failed is committed behind what came after it."""

NO_ALERT = (LAST_PLACE, b"", 0)
"""In place of the newest alert, where there is none."""

_BEHIND = "((session = ?2 AND sequence >= ?3) OR (session <> ?2 AND position > ?1))"
"""The newest alert, at ?1 and with the identity ?2, ?3, and what is behind it in its stream."""

NEWEST_POSITION = (
    f"SELECT position FROM record INDEXED BY record_stream WHERE stream = {int(Stream.POSITION)}"  # noqa: S608 - a constant
    f" AND kind = {int(Kind.POSITION)} AND position > ? ORDER BY position DESC LIMIT 1"
)
"""Behind a place."""

CANCELLED = (
    f"SELECT EXISTS (SELECT 1 FROM record WHERE session = ?2 AND stream = {int(Stream.ALERT)} AND sequence > ?3"  # noqa: S608 - constants
    f" AND kind = {int(Kind.CANCELLATION)}) OR EXISTS (SELECT 1 FROM record INDEXED BY record_stream"
    f" WHERE stream = {int(Stream.ALERT)} AND position > ?1 AND session <> ?2 AND kind = {int(Kind.CANCELLATION)})"
)
"""The newest alert."""

LAST_CANCELLATION = (
    f"SELECT position FROM record INDEXED BY record_stream WHERE stream = {int(Stream.ALERT)}"  # noqa: S608 - constants
    f" AND kind = {int(Kind.CANCELLATION)} AND {_BEHIND} ORDER BY position DESC LIMIT 1"
)
"""Of the newest alert."""

PENDING = (
    f"SELECT {rows.COLUMNS} FROM record INDEXED BY record_pending"  # noqa: S608 - constants
    " WHERE receipt IS NULL AND stream = ? AND position < ? ORDER BY position DESC"
)

WAITING = "SELECT stream, count(*) FROM record INDEXED BY record_pending WHERE receipt IS NULL GROUP BY stream"

ERASABLE = (
    "SELECT position FROM record INDEXED BY record_delivered WHERE receipt IS NOT NULL AND delivered_lifetime_s < ?4"  # noqa: S608 - constants
    f" AND NOT (stream = {int(Stream.ALERT)} AND {_BEHIND}) AND position IS NOT ?5 LIMIT {ERASED_AT_ONCE}"
)
"""The newest alert stays with what is behind it in its stream; so does the last position behind it, at ?5."""

NEEDED_YET = (
    f"SELECT EXISTS (SELECT 1 FROM record INDEXED BY record_stream WHERE stream = {int(Stream.ALERT)}"  # noqa: S608 - a constant
    f" AND (NOT {_BEHIND} OR receipt IS NULL OR delivered_lifetime_s >= ?4))"
)
"""Whether the newest alert has to stay though it is over: an older one that is there must not pass for the newest,
and it must not pass for open when what closed it was erased before it."""

ERASABLE_POSITIONS = (
    "SELECT position FROM record INDEXED BY record_stream WHERE receipt IS NOT NULL AND position IS NOT ?1"  # noqa: S608 - constants
    f" AND stream IN ({int(Stream.POSITION)}, {int(Stream.PRESENCE)}) LIMIT {ERASED_AT_ONCE}"
)
"""But for the last position of an open alert, at ?1."""
