"""The mailboxes of devices: what is written for them, what they fetched, what became of it (docs/protocol.md).

It numbers, signs and keeps messages, and answers a device's question for them. Call all of it inside a transaction. Who
gets what message, and why, is decided elsewhere.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import bodies, cose, keys
from bondmate_sim.gateway.database import Database

VERSION = 1
DIGEST_OCTETS = 16
MAX_ANSWER_OCTETS = 1024
MAX_NUMBER = 2**32 - 1
MAX_TEXT_OCTETS, MAX_REPLY_OCTETS, MAX_BY_OCTETS = 480, 40, 64
MAX_REPLIES, MAX_DIGESTS = 4, 16


class Type(enum.IntEnum):
    """The types of messages."""

    MESSAGE = 1
    ALERT = 2
    ASSISTANCE = 3
    ACKNOWLEDGE = 4
    CLOSE = 5
    EXERCISE = 6
    UPDATE = 8
    WIPE = 9
    REKEY = 11


class MessageError(Exception):
    """A message cannot be written; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point on WGS 84 in degrees, and metres around it."""

    lat: float
    lon: float
    radius_m: int

    def encoded(self) -> list[int]:
        """Return it as it stands in a message."""
        return [round(self.lat * 1e7), round(self.lon * 1e7), self.radius_m]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a message shall say: its type and body, who caused it, and until when it counts (UTC in s since 1970)."""

    type: Type
    body: list[Any]
    by: str
    urgent: bool = False
    expires_s: int | None = None
    about: bytes | None = None
    """The digest (SHA-256) of the call because of which it is written; the device is not told."""


def texts(text: str, replies: Sequence[str]) -> list[Any]:
    """Return the beginning of the bodies that have a text. Raises MessageError when it does not fit."""
    _within(text, "the text", MAX_TEXT_OCTETS)
    if len(replies) > MAX_REPLIES:
        raise MessageError(f"a message has at most {MAX_REPLIES} quick replies, not {len(replies)}")
    for reply in replies:
        _within(reply, "a quick reply", MAX_REPLY_OCTETS)
    return [text, list(replies)]


def write(database: Database, device: bytes, draft: Draft, key: ec.EllipticCurvePrivateKey, now_ms: int) -> int:
    """Number, sign and keep a message, and return its number. Raises MessageError, apsw.Error."""
    _within(draft.by, "the name of who sends it", MAX_BY_OCTETS)
    number = newest(database, device) + 1
    if number > MAX_NUMBER:
        raise MessageError("the device's numbers are used up")
    payload = [
        *(VERSION, number, int(draft.type), now_ms // 1000),
        *(draft.expires_s, int(draft.urgent), draft.by, draft.body),
    ]
    database.rows(
        "INSERT INTO message (device, number, type, urgent, written_ms, expires_ms, about, tagged)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(device, number, draft.type, draft.urgent, now_ms),
            *(None if draft.expires_s is None else draft.expires_s * 1000, draft.about),
            _signed(device, payload, key),
        ),
    )
    return number


def newest(database: Database, device: bytes) -> int:
    """Return the highest number that is taken: by a message, or by one that the device has and this database lost."""
    ((written,),) = database.rows("SELECT max(number) FROM message WHERE device = ?", (device,))
    return max(written or 0, _mailbox(database, device)[1])


def fetched(database: Database, device: bytes) -> int:
    """Return the number of the last message that the device said it has."""
    return _mailbox(database, device)[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """The payload that answers a device, and by how much messages that it never saw were moved behind its cursor."""

    payload: bytes
    moved: int


def answer(database: Database, device: bytes, cursor: int, key: ec.EllipticCurvePrivateKey) -> Answer:
    """Answer a device that has all messages up to `cursor`, and remember that it has. Raises apsw.Error.

    A cursor beyond all that was ever answered says that this database was restored. What it holds beyond its own last
    answer, the device cannot have: it is numbered anew behind the cursor, so that none of it is lost.
    """
    _, served = _mailbox(database, device)
    moved = max(0, cursor - served)
    if moved:
        _move(database, device, served, moved, key)
    chosen: list[bytes] = []
    last = max(cursor, served)
    for number, tagged in database.rows(
        "SELECT number, tagged FROM message WHERE device = ? AND number > ? ORDER BY number LIMIT 16", (device, cursor)
    ):
        if chosen and len(cbor2.dumps([*chosen, tagged])) > MAX_ANSWER_OCTETS:
            break
        chosen.append(tagged)
        last = max(last, number)
    _remember(database, device, fetched=cursor, served=last)
    return Answer(cbor2.dumps(chosen), moved)


def answer_revoked(database: Database, device: bytes, cursor: int, key: ec.EllipticCurvePrivateKey) -> Answer:
    """Answer a device that was revoked: whoever holds it reads nothing that it does not have, but that it is wiped.

    It takes no message behind a gap, so that a wipe gets the number behind its cursor, before all that it shall not
    have any more. Raises apsw.Error.
    """
    _, served = _mailbox(database, device)
    moved = max(0, cursor - served)
    if moved:
        _move(database, device, served, moved, key)
    wipe = under_way(database, device, Type.WIPE)
    chosen = []
    if wipe is not None and wipe > cursor:
        if wipe != cursor + 1:
            _bring_forward(database, device, wipe, cursor + 1, key)
        chosen = [_tagged(database, device, cursor + 1)]
    _remember(database, device, fetched=cursor, served=max(served, cursor + len(chosen)))
    return Answer(cbor2.dumps(chosen), moved)


def under_way(database: Database, device: bytes, kind: Type, now_ms: int = 0) -> int | None:
    """Return the number of the newest message of a type of which the device did not say what came of it, or None.

    One that expired by `now_ms` is none. Raises apsw.Error.
    """
    ((number,),) = database.rows(
        "SELECT max(number) FROM message WHERE device = ?1 AND type = ?2 AND (expires_ms IS NULL OR expires_ms > ?3)"
        " AND NOT EXISTS (SELECT 1 FROM message_ended AS ended"
        "  WHERE ended.device = message.device AND ended.number = message.number)",
        (device, kind, now_ms),
    )
    return None if number is None else int(number)


def carried_out_ms(database: Database, device: bytes, kind: Type) -> int | None:
    """Return when a device first said that it carried out a message of a type (UTC in ms), or None."""
    ((at_ms,),) = database.rows(
        "SELECT min(received_ms) FROM message JOIN message_state USING (device, number)"
        " WHERE device = ? AND type = ? AND state = ?",
        (device, kind, bodies.State.CARRIED_OUT),
    )
    return None if at_ms is None else int(at_ms)


def report(
    database: Database, device: bytes, states: Iterable[bodies.MessageState], now_ms: int, *, wipes_only: bool = False
) -> None:
    """Keep what a device says became of messages that it may have from here; a repeat changes nothing.

    With `wipes_only`, as of a revoked device, of nothing else. Raises apsw.Error.
    """
    _, served = _mailbox(database, device)
    for each in states:
        if each.number <= served:
            database.rows(
                "INSERT INTO message_state (device, number, state, answer, received_ms)"
                " SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT ?6"
                " OR EXISTS (SELECT 1 FROM message WHERE device = ?1 AND number = ?2 AND type = ?7)"
                " ON CONFLICT DO NOTHING",
                (device, each.number, each.state, each.text, now_ms, wipes_only, Type.WIPE),
            )


def content(tagged: bytes) -> list[Any]:
    """Return the payload of a message that was written here, as its elements."""
    elements: list[Any] = cbor2.loads(cose.parse(tagged).payload)
    return elements


def _mailbox(database: Database, device: bytes) -> tuple[int, int]:
    found = database.rows("SELECT fetched, served FROM mailbox WHERE device = ?", (device,))
    return found[0] if found else (0, 0)


def _remember(database: Database, device: bytes, *, fetched: int, served: int) -> None:
    database.rows(
        "INSERT INTO mailbox (device, fetched, served) VALUES (?, ?, ?)"
        " ON CONFLICT (device) DO UPDATE SET fetched = excluded.fetched, served = excluded.served",
        (device, fetched, served),
    )


def _move(database: Database, device: bytes, behind: int, by: int, key: ec.EllipticCurvePrivateKey) -> None:
    rows = database.rows(
        "SELECT number, tagged FROM message WHERE device = ? AND number > ? ORDER BY number DESC", (device, behind)
    )
    # The last first, so that each new number is free.
    for number, tagged in rows:
        _renumber(database, device, number, number + by, _numbered(device, tagged, number + by, key))


def _bring_forward(database: Database, device: bytes, number: int, to: int, key: ec.EllipticCurvePrivateKey) -> None:
    """Give a message a lower number, and each that stood from there on the next one, with what became of it."""
    tagged = _tagged(database, device, number)
    _renumber(database, device, number, 0, tagged)
    between = database.rows(
        "SELECT number, tagged FROM message WHERE device = ? AND number >= ? AND number < ? ORDER BY number DESC",
        (device, to, number),
    )
    for other, its in between:
        _renumber(database, device, other, other + 1, _numbered(device, its, other + 1, key))
    _renumber(database, device, 0, to, _numbered(device, tagged, to, key))


def _renumber(database: Database, device: bytes, number: int, new: int, tagged: bytes) -> None:
    database.rows(
        "UPDATE message SET number = ?, tagged = ? WHERE device = ? AND number = ?", (new, tagged, device, number)
    )
    database.rows("UPDATE message_state SET number = ? WHERE device = ? AND number = ?", (new, device, number))


def _numbered(device: bytes, tagged: bytes, number: int, key: ec.EllipticCurvePrivateKey) -> bytes:
    payload = content(tagged)
    payload[1] = number
    return _signed(device, payload, key)


def _tagged(database: Database, device: bytes, number: int) -> bytes:
    ((tagged,),) = database.rows("SELECT tagged FROM message WHERE device = ? AND number = ?", (device, number))
    return bytes(tagged)


def _signed(device: bytes, payload: list[Any], key: ec.EllipticCurvePrivateKey) -> bytes:
    encoded = cbor2.dumps(payload, canonical=True)
    return cose.sign(encoded, cose.external_aad("bondmate message 1", device), key, keys.KEY_ID)


def _within(text: str, what: str, most: int) -> None:
    try:
        octets = len(text.encode())
    except UnicodeEncodeError as error:
        raise MessageError(f"{what} is no Unicode: {text!a}") from error
    if not 1 <= octets <= most:
        raise MessageError(f"{what} has 1 to {most} octets in UTF-8, not {octets}")
