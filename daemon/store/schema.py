"""The tables of the outbox, version by version. Says nothing of what is done with them; see database and rows.

**Forwards and back by one.** An update that is fallen back from must not cost an alert: software of the version before
opens what this one has migrated, as it is, and this one opens what that has written. So from version 5 on a migration
only adds: tables, indexes, and columns that have a default or may be NULL; what is there keeps its name, its type and
its meaning, until the software that still needs it is two versions old. The statements in this package name their
columns, so one that does not know a column leaves it at its default. A migration that takes something away sets the
file's `oldest_reader` to the oldest version whose software can do without it, and that is at least one behind its own.
"""

MIGRATIONS = (
    """
    CREATE TABLE record (
        session   BLOB NOT NULL CHECK (length(session) = 6),
        stream    INTEGER NOT NULL,
        sequence  INTEGER NOT NULL,
        kind      INTEGER NOT NULL,
        data      BLOB NOT NULL,
        digest    BLOB NOT NULL CHECK (length(digest) = 16),
        made_at_ms      INTEGER,
        made_at_source  INTEGER,
        made_at_uncertainty_ms INTEGER,
        stored_at_ms    INTEGER,
        delivered_at_ms INTEGER,
        receipt   BLOB,
        position  INTEGER PRIMARY KEY AUTOINCREMENT,
        UNIQUE (session, stream, sequence)
    ) STRICT;
    CREATE UNIQUE INDEX record_digest ON record (digest);
    CREATE INDEX record_pending ON record (position) WHERE receipt IS NULL;
    CREATE INDEX record_stream ON record (stream, position);
    CREATE TABLE head (
        stream    INTEGER PRIMARY KEY,
        session   BLOB NOT NULL,
        sequence  INTEGER NOT NULL,
        digest    BLOB NOT NULL
    ) STRICT;
    """,
    # ages count from a lifetime of 0 for what is there, and the palm has felt what it says: an update shakes nobody
    """
    ALTER TABLE record ADD COLUMN stored_lifetime_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE record ADD COLUMN delivered_lifetime_s REAL;
    ALTER TABLE record ADD COLUMN felt INTEGER NOT NULL DEFAULT 0;
    UPDATE record SET delivered_lifetime_s = 0 WHERE receipt IS NOT NULL;
    UPDATE record SET felt = iif(receipt IS NULL, 1, 2) WHERE stream = 0;
    DROP INDEX record_pending;
    CREATE INDEX record_pending ON record (stream, position) WHERE receipt IS NULL;
    CREATE INDEX record_delivered ON record (delivered_lifetime_s) WHERE receipt IS NOT NULL;
    ALTER TABLE head RENAME TO head_1;
    CREATE TABLE head (
        stream    INTEGER PRIMARY KEY,
        session   BLOB,
        sequence  INTEGER,
        digest    BLOB,
        CHECK ((session IS NULL) = (sequence IS NULL) AND (session IS NULL) = (digest IS NULL))
    ) STRICT;
    INSERT INTO head SELECT stream, session, sequence, digest FROM head_1;
    DROP TABLE head_1;
    CREATE TABLE clock (
        id         INTEGER PRIMARY KEY CHECK (id = 0),
        lifetime_s REAL NOT NULL,
        utc_ms     INTEGER
    ) STRICT;
    CREATE TABLE salvage (
        damaged    INTEGER PRIMARY KEY,
        stream     INTEGER NOT NULL DEFAULT -1,
        position   INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    """,
    """
    CREATE TABLE duty (
        id         INTEGER PRIMARY KEY CHECK (id = 0),
        session    BLOB NOT NULL CHECK (length(session) = 6),
        began_lifetime_s REAL NOT NULL,
        began_at_ms      INTEGER
    ) STRICT;
    """,
    """
    CREATE TABLE mark (
        digest     BLOB NOT NULL CHECK (length(digest) = 16),
        what       INTEGER NOT NULL,
        lifetime_s REAL NOT NULL,
        at_ms      INTEGER,
        operator   TEXT NOT NULL,
        PRIMARY KEY (digest, what)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE mailbox (
        id         INTEGER PRIMARY KEY CHECK (id = 0),
        cursor     INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE message (
        number     INTEGER PRIMARY KEY,
        type       INTEGER NOT NULL,
        data       BLOB NOT NULL,
        digest     BLOB NOT NULL CHECK (length(digest) = 16),
        expires_s  INTEGER,
        taken_lifetime_s REAL NOT NULL,
        taken_at_ms      INTEGER,
        state      INTEGER NOT NULL,
        answer     TEXT,
        felt       INTEGER NOT NULL,
        told       INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE small (
        name       TEXT PRIMARY KEY,
        value      BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE format (
        id         INTEGER PRIMARY KEY CHECK (id = 0),
        oldest_reader INTEGER NOT NULL
    ) STRICT;
    INSERT INTO format (id, oldest_reader) VALUES (0, 5);
    """,
)
"""Each entry brings the schema from version i to i + 1; `user_version` says how many were applied.

A head of NULLs is one that was lost; a stream that never had a record has no row. A row of `salvage` says that a
damaged file, by its number, is still to be taken up, but for what was taken: lower streams, and positions up to there.
Off duty, `duty` has no row. A mark is on a call, by its digest: 1 acknowledged, 2 closed. Of a message, `told` is the
last state that a record was made of; `small` has whatever parts of the device keep under a name. `format` has the
oldest version whose software may use the file; it stays where it is, whatever else changes.
"""
