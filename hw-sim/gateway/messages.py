"""The mailboxes of devices: what is written for them, what they fetched, what became of it (docs/protocol.md).

It numbers, signs and keeps messages, and answers a device's question for them. Call all of it inside a transaction. Who
gets what message, and why, is decided elsewhere.
"""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
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


def answer_revoked(database: Database, device: bytes, cursor: int) -> bytes:
    """Answer a device that was revoked: whoever holds it reads nothing that it does not have. Raises apsw.Error."""
    _remember(database, device, fetched=cursor, served=max(cursor, _mailbox(database, device)[1]))
    return cbor2.dumps([])


def report(database: Database, device: bytes, states: Iterable[bodies.MessageState], now_ms: int) -> None:
    """Keep what a device says became of messages that it may have from here; a repeat changes nothing.

    Raises apsw.Error.
    """
    _, served = _mailbox(database, device)
    for each in states:
        if each.number <= served:
            database.rows(
                "INSERT INTO message_state (device, number, state, answer, received_ms) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (device, each.number, each.state, each.answer, now_ms),
            )


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a device did not fetch: up to which number, and the urgent messages, by number, with when they were written.

    Those alone are named that did not expire, and because of which no SMS was sent.
    """

    device: bytes
    newest: int
    urgent: tuple[tuple[int, int], ...] = field(default=())


def waiting(database: Database, now_ms: int) -> Iterator[Waiting]:
    """Yield each device that is not revoked and has messages to fetch. Raises apsw.Error."""
    urgent: dict[bytes, list[tuple[int, int]]] = {}
    for device, number, written_ms in database.rows(
        "SELECT device, number, written_ms FROM pending WHERE urgent AND woken_ms IS NULL"
        " AND (expires_ms IS NULL OR expires_ms > ?) ORDER BY number",
        (now_ms,),
    ):
        urgent.setdefault(device, []).append((number, written_ms))
    for device, last in database.rows("SELECT device, max(number) FROM pending GROUP BY device"):
        yield Waiting(device, last, tuple(urgent.get(device, ())))


def woken(database: Database, device: bytes, numbers: Iterable[int], now_ms: int) -> None:
    """Note that an SMS goes out because of messages, so that none follows. Raises apsw.Error."""
    for number in numbers:
        database.rows(
            "UPDATE message SET woken_ms = ? WHERE device = ? AND number = ? AND woken_ms IS NULL",
            (now_ms, device, number),
        )


def sms_number(database: Database, device: bytes) -> str | None:
    """Return the number that the device's last verified SMS came from. Raises apsw.Error."""
    found = database.rows("SELECT sms_number FROM mailbox WHERE device = ?", (device,))
    return found[0][0] if found else None


def came_by_sms(database: Database, device: bytes, number: str) -> None:
    """Remember where a verified SMS of a device came from. Raises apsw.Error."""
    database.rows(
        "INSERT INTO mailbox (device, sms_number) VALUES (?, ?)"
        " ON CONFLICT (device) DO UPDATE SET sms_number = excluded.sms_number",
        (device, number),
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
        payload = content(tagged)
        payload[1] = number + by
        database.rows(
            "UPDATE message SET number = ?, tagged = ? WHERE device = ? AND number = ?",
            (number + by, _signed(device, payload, key), device, number),
        )


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
