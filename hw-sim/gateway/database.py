"""The gateway's SQLite database: opening it, its schema, and its transactions.

The tables' contents belong to the modules that read and write them. Writes happen inside `transaction` alone.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from bondmate_sim.gateway import files

SCHEMA_VERSION = 4
_FILE_NAME = "gateway.db"

_BUSY_TIMEOUT_MS = 1000
"""A writer waits this long for another: far above any transaction here, and below a device's first retransmission."""

_FULL = 2

_SCHEMA_1 = """
CREATE TABLE device (
  id BLOB PRIMARY KEY CHECK (length(id) = 4),
  public_key_pem TEXT NOT NULL,
  channel_secret BLOB NOT NULL CHECK (length(channel_secret) = 32),
  enrolled_ms INTEGER NOT NULL,
  revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE bearer (
  kid BLOB PRIMARY KEY CHECK (length(kid) = 4),
  device BLOB NOT NULL REFERENCES device (id),
  name TEXT NOT NULL,
  highest_counter INTEGER,               -- the highest start counter that verified (RFC 1982)
  UNIQUE (device, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (                   -- never deleted: a session that was closed must not open again
  kid BLOB NOT NULL REFERENCES bearer (kid),
  id BLOB NOT NULL CHECK (length(id) = 6),
  open INTEGER NOT NULL,
  touched INTEGER NOT NULL,              -- grows with every verified message of the kid
  seen_ms INTEGER NOT NULL,
  window_index INTEGER NOT NULL,
  window_bits BLOB NOT NULL,             -- 64 bits, the lowest is the number window_index
  sender_reserved INTEGER NOT NULL,      -- own sender numbers below this one may have been used
  PRIMARY KEY (kid, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_open ON session (kid, touched) WHERE open;

CREATE TABLE record (                    -- verified; more than one under one identity is a fork
  row INTEGER PRIMARY KEY,
  device BLOB NOT NULL REFERENCES device (id),
  session BLOB NOT NULL,
  stream INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  digest BLOB NOT NULL,                  -- SHA-256, whole
  kind INTEGER NOT NULL,
  previous BLOB,
  chain TEXT NOT NULL,
  verdict INTEGER NOT NULL,              -- as the first receipt said it
  bearer TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  tagged BLOB NOT NULL,
  UNIQUE (device, session, stream, sequence, digest)
) STRICT;

CREATE TABLE predecessor (               -- what the openings say; all null behind stream: the store was lost
  record INTEGER NOT NULL REFERENCES record (row),
  stream INTEGER NOT NULL,
  session BLOB,
  sequence INTEGER,
  digest BLOB
) STRICT;
CREATE INDEX predecessor_record ON predecessor (record);
CREATE INDEX predecessor_named ON predecessor (session, stream, sequence);

CREATE TABLE quarantine (                -- from an authentic device, not understood or not verified
  row INTEGER PRIMARY KEY,
  device BLOB NOT NULL REFERENCES device (id),
  session BLOB NOT NULL,
  stream INTEGER,
  sequence INTEGER,
  digest BLOB NOT NULL,
  why TEXT NOT NULL,
  bearer TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  tagged BLOB NOT NULL,
  UNIQUE (device, session, digest)
) STRICT;

CREATE TABLE attempt (                   -- by revoked devices
  row INTEGER PRIMARY KEY,
  device BLOB NOT NULL REFERENCES device (id),
  session BLOB NOT NULL,
  digest BLOB NOT NULL,
  bearer TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  tagged BLOB NOT NULL,
  UNIQUE (device, session, digest)
) STRICT;
"""

_SCHEMA_2 = """
CREATE TABLE member (                    -- the groups that devices are in
  device BLOB NOT NULL REFERENCES device (id),
  name TEXT NOT NULL,
  PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_name ON member (name);

CREATE TABLE mailbox (                   -- of a device that asked for messages, or sent an SMS
  device BLOB PRIMARY KEY REFERENCES device (id),
  fetched INTEGER NOT NULL DEFAULT 0,    -- the cursor that it asked with last: what it has
  served INTEGER NOT NULL DEFAULT 0,     -- the highest number that an answer to it had: it may have it
  sms_number TEXT                        -- where its last verified SMS came from
) STRICT, WITHOUT ROWID;

CREATE TABLE message (                   -- signed; numbers are gapless for each device
  device BLOB NOT NULL REFERENCES device (id),
  number INTEGER NOT NULL,
  type INTEGER NOT NULL,
  urgent INTEGER NOT NULL,
  written_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  about BLOB,                            -- the digest of the call because of which it was written
  woken_ms INTEGER,                      -- when an SMS was sent because of it: one at most
  tagged BLOB NOT NULL,
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_about ON message (about) WHERE about IS NOT NULL;

CREATE VIEW pending AS                   -- what devices that are not revoked did not fetch
  -- By CROSS JOIN, which keeps the order: a device with nothing new costs one look, whatever it got before.
  SELECT message.* FROM device LEFT JOIN mailbox ON mailbox.device = device.id CROSS JOIN message
  WHERE device.revoked_ms IS NULL AND message.device = device.id
  AND message.number > coalesce(mailbox.fetched, 0);

CREATE TABLE message_state (             -- as the device reported them
  device BLOB NOT NULL REFERENCES device (id),
  number INTEGER NOT NULL,
  state INTEGER NOT NULL,
  answer TEXT,
  received_ms INTEGER NOT NULL,
  PRIMARY KEY (device, number, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE handling (                  -- what people did about calls: a row for each call that they saw
  row INTEGER PRIMARY KEY,
  device BLOB NOT NULL REFERENCES device (id),
  digest BLOB NOT NULL,                  -- SHA-256 of the record, whole
  closed INTEGER NOT NULL,               -- 0 acknowledged, 1 closed
  by TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  seen INTEGER NOT NULL                  -- the newest row of record then
) STRICT;
CREATE INDEX handling_device ON handling (device);

CREATE TABLE exercise (                  -- as they were ordered
  device BLOB NOT NULL REFERENCES device (id),
  version INTEGER NOT NULL,
  from_ms INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (device, version)
) STRICT, WITHOUT ROWID;

-- Partial, so that only queries that repeat the condition use it: SQLite would take it where the identity's is better.
CREATE INDEX record_arrived ON record (device, stream) WHERE stream IN (0, 2, 3);
"""

_SCHEMA_3 = """
-- As it was, but without the reference to bearer: the kid may be that of an enrolment.
CREATE TABLE old_session AS SELECT * FROM session;
DROP TABLE session;
CREATE TABLE session (                   -- not deleted while its kid is known: one that was closed must not open again
  kid BLOB NOT NULL,
  id BLOB NOT NULL CHECK (length(id) = 6),
  open INTEGER NOT NULL,
  touched INTEGER NOT NULL,              -- grows with every verified message of the kid
  seen_ms INTEGER NOT NULL,
  window_index INTEGER NOT NULL,
  window_bits BLOB NOT NULL,             -- 64 bits, the lowest is the number window_index
  sender_reserved INTEGER NOT NULL,      -- own sender numbers below this one may have been used
  PRIMARY KEY (kid, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_open ON session (kid, touched) WHERE open;
INSERT INTO session SELECT * FROM old_session;
DROP TABLE old_session;

CREATE TABLE enrolment (                 -- a file that was made for a device; the row stays when it is enrolled
  device BLOB PRIMARY KEY CHECK (length(device) = 4),
  kid BLOB UNIQUE CHECK (length(kid) = 4),          -- with secret: null, erased, once the device uses keys of its own
  secret BLOB CHECK (length(secret) = 32),
  issued_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  approval INTEGER NOT NULL,             -- whether a human has to approve the key
  public_key BLOB,                       -- the key that was taken under the secret (DER), the only one ever
  dh_x BLOB CHECK (length(dh_x) = 32),
  dh_y BLOB CHECK (length(dh_y) = 32),
  software TEXT,
  taken_ms INTEGER,
  approved_by TEXT,
  approved_ms INTEGER,
  withdrawn_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment_member (          -- the groups that it will be in
  device BLOB NOT NULL REFERENCES enrolment (device),
  name TEXT NOT NULL,
  PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE fresh (                     -- channel keys that were agreed on, until the first message under them
  device BLOB PRIMARY KEY CHECK (length(device) = 4),
  channel_secret BLOB NOT NULL CHECK (length(channel_secret) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE fresh_bearer (
  kid BLOB PRIMARY KEY CHECK (length(kid) = 4),
  device BLOB NOT NULL REFERENCES fresh (device) ON DELETE CASCADE,
  name TEXT NOT NULL,
  UNIQUE (device, name)
) STRICT, WITHOUT ROWID;

CREATE VIEW kid_taken AS
  SELECT kid, device FROM bearer UNION ALL SELECT kid, device FROM fresh_bearer
  UNION ALL SELECT kid, device FROM enrolment WHERE kid IS NOT NULL;

CREATE TRIGGER bearer_kid BEFORE INSERT ON bearer
  WHEN EXISTS (SELECT 1 FROM kid_taken WHERE kid = NEW.kid AND device <> NEW.device)
  BEGIN SELECT raise(ABORT, 'the kid is taken by a device that is being enrolled'); END;
"""

_SCHEMA_4 = """
CREATE VIEW message_ended AS             -- of which the device said what came of it in the end
  SELECT device, number FROM message_state WHERE state IN (4, 5, 6);

DROP VIEW pending;
CREATE VIEW pending AS                   -- what devices did not fetch; of a revoked one, wipes alone
  -- By CROSS JOIN, which keeps the order: a device with nothing new costs one look, whatever it got before.
  SELECT message.* FROM device LEFT JOIN mailbox ON mailbox.device = device.id CROSS JOIN message
  WHERE message.device = device.id AND message.number > coalesce(mailbox.fetched, 0)
  AND (device.revoked_ms IS NULL OR message.type = 9)
  AND NOT EXISTS (SELECT 1 FROM message_ended AS ended
    WHERE ended.device = message.device AND ended.number = message.number);

CREATE VIEW updatable AS                 -- devices that are neither revoked nor to be wiped
  SELECT id FROM device WHERE revoked_ms IS NULL AND NOT EXISTS (
    SELECT 1 FROM message WHERE message.device = device.id AND type = 9 AND NOT EXISTS (
      SELECT 1 FROM message_ended AS ended WHERE ended.device = message.device AND ended.number = message.number));

CREATE TABLE bundle (                    -- whose file is in the directory bundles
  version TEXT PRIMARY KEY,
  octets INTEGER NOT NULL,
  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
  added_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rollout (
  id INTEGER PRIMARY KEY,
  version TEXT NOT NULL,
  octets INTEGER NOT NULL,               -- of its bundle, as it was when the rollout began
  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
  at_once INTEGER NOT NULL,
  batch INTEGER NOT NULL,                -- so many devices at a time
  tolerated_percent INTEGER NOT NULL,
  overdue_ms INTEGER NOT NULL,
  by TEXT NOT NULL,
  started_ms INTEGER NOT NULL,
  stopped_ms INTEGER,
  why TEXT,                              -- why it was stopped
  ended_ms INTEGER                       -- when nothing was left to be told or heard in time
) STRICT;

CREATE TABLE rollout_device (
  rollout INTEGER NOT NULL REFERENCES rollout (id),
  place INTEGER NOT NULL,                -- in which order they get it
  device BLOB NOT NULL REFERENCES device (id),
  number INTEGER,                        -- of the message that told it
  sent_ms INTEGER,
  pardoned INTEGER NOT NULL DEFAULT 0,   -- it had failed when somebody let the rollout go on
  PRIMARY KEY (rollout, place),
  UNIQUE (rollout, device),
  FOREIGN KEY (device, number) REFERENCES message (device, number) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX rollout_message ON rollout_device (device, number);
"""

_STEPS = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3, _SCHEMA_4)
"""What leads from each version to the next; all that is there stays."""


class DatabaseError(Exception):
    """The database is not there or not usable; the text says what to do."""


class Database:
    """One connection to the database, for one thread. Raises apsw.Error where SQLite fails."""

    def __init__(self, data_dir: Path, *, create: bool) -> None:
        """Open the database of `data_dir`. Raises DatabaseError, apsw.Error, OSError.

        With `create`, directory (0700) and database (0600) are made when they are missing.
        """
        path = data_dir / _FILE_NAME
        if create:
            files.make_directory(data_dir)
            # SQLite would create it readable to all; its side files take the mode of this one.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            files.sync_directory(data_dir)
        elif not path.exists():
            raise DatabaseError(f"no gateway database at {path}: give the gateway's --data, or enrol a device first")
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with files.locked(data_dir):
                self._prepare(path)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, path: Path) -> None:
        # Under the lock, because SQLite does not wait for another that changes a new database to WAL at the same time.
        self._connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        self._connection.pragma("foreign_keys", True)
        # Keys that are deleted are gone from the file, too.
        self._connection.pragma("secure_delete", True)
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", _FULL)
        if (self._connection.pragma("journal_mode"), self._connection.pragma("synchronous")) != ("wal", _FULL):
            raise DatabaseError(f"{path} cannot be written durably (WAL and synchronous=FULL): move it to a local disk")
        found = self._connection.pragma("user_version")
        if found < SCHEMA_VERSION:
            with self.transaction():
                for step in _STEPS[found:]:
                    self._connection.execute(step)
                self._connection.pragma("user_version", SCHEMA_VERSION)
        elif found != SCHEMA_VERSION:
            raise DatabaseError(
                f"{path} has schema version {found}, this gateway knows {SCHEMA_VERSION}: use the gateway that wrote it"
            )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block writes, durably, or nothing of it. Raises apsw.Error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            # After a failed COMMIT, SQLite may have rolled back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let every read in the block see the same state. Raises apsw.Error."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def changes(self) -> object:
        """Return what differs from the last time if anything was written since, here or by another process.

        It costs as good as nothing, so that it can be asked several times a second. Raises apsw.Error.
        """
        return self._connection.pragma("data_version"), self._connection.total_changes()

    def erase(self) -> bool:
        """Let nothing deleted stand in the write-ahead log any more; False when a reader still needs that.

        Call it outside a transaction. What is left then goes with the next call, or when the last connection closes.
        Raises apsw.Error.
        """
        ((busy, _, _),) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return not busy

    def rows(self, sql: str, bindings: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows. Raises apsw.Error."""
        return list(self._connection.execute(sql, bindings))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
