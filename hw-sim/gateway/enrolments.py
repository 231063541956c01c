"""Devices on their way to being enrolled, in the database: offered, taken by a key, approved, withdrawn.

It decides what a device that asks is told (docs/protocol.md, section 9). It reads and writes no octets of the wire. The
keys that a device has afterwards are in `rekeying`.
"""

import enum
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bondmate_sim.gateway import credentials, keys, records
from bondmate_sim.gateway.database import Database

BEARER = "enrol"
"""In place of a bearer's name, where OSCORE keys are derived from a file's secret."""

_SECRET_OCTETS = 32


class EnrolmentError(Exception):
    """What a human asked for cannot be done; the text says why, and what to do."""


class Verdict(enum.IntEnum):
    """What a device that asks is told; the numbers are the wire's."""

    TAKEN = 0
    WAITING = 1
    OTHER_KEY = 2
    OVER = 3


class State(enum.StrEnum):
    """How far a device is."""

    OFFERED = "offered"
    """Its file is made, and no key was taken under it."""
    EXPIRED = "expired"
    """As offered, but too late."""
    WAITING = "waiting"
    """A human has to approve its key."""
    TAKEN = "taken"
    """Its key is taken; it uses no channel keys of its own yet."""
    WITHDRAWN = "withdrawn"
    """Its file is not to be used any more."""
    ENROLLED = "enrolled"


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys that a device made for itself: SubjectPublicKeyInfo in DER, and x and y of its DH key."""

    signing: bytes
    dh: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a new enrolment file is made of: the device's id, its kid and secret until it is enrolled."""

    device: bytes
    kid: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A device for which a file was made. Times are UTC in ms; `open` is False once the one-time secret is erased."""

    device: bytes
    issued_ms: int
    expires_ms: int
    approval: bool
    keys: Keys | None
    software: str | None
    approved_by: str | None
    withdrawn_ms: int | None
    open: bool

    def state(self, now_ms: int) -> State:
        """Return how far the device is."""
        if not self.open:
            return State.ENROLLED
        if self.withdrawn_ms is not None:
            return State.WITHDRAWN
        if self.keys is None:
            return State.OFFERED if now_ms < self.expires_ms else State.EXPIRED
        return State.WAITING if self.approval and self.approved_by is None else State.TAKEN


def offer(
    database: Database,
    count: int,
    now_ms: int,
    expires_ms: int,
    groups: Iterable[str] = (),
    *,
    approval: bool = False,
) -> list[Offer]:
    """Note new devices for which files are made, all or none. Raises apsw.Error."""
    names = set(groups)
    with database.transaction():
        made = [_new(database) for _ in range(count)]
        for each in made:
            database.rows(
                "INSERT INTO enrolment (device, kid, secret, issued_ms, expires_ms, approval)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (each.device, each.kid, each.secret, now_ms, expires_ms, int(approval)),
            )
            for name in names:
                database.rows("INSERT INTO enrolment_member (device, name) VALUES (?, ?)", (each.device, name))
    return made


def _new(database: Database) -> Offer:
    device = kid = b""
    while not device or database.rows(
        "SELECT 1 FROM device WHERE id = ?1 UNION ALL SELECT 1 FROM enrolment WHERE device = ?1", (device,)
    ):
        device = secrets.token_bytes(credentials.DEVICE_OCTETS)
    while not kid or database.rows("SELECT 1 FROM kid_taken WHERE kid = ?", (kid,)):
        kid = secrets.token_bytes(credentials.KID_OCTETS)
    return Offer(device, kid, secrets.token_bytes(_SECRET_OCTETS))


def ask(database: Database, device: bytes, asked: Keys, software: str, now_ms: int) -> Verdict:
    """Take a device's keys, if they are the first under its secret, and say what becomes of it.

    The caller verified that they belong together, under the one-time secret, and calls it inside a transaction. A key
    that was the first is told the same again, also when the file has expired meanwhile. Raises apsw.Error.
    """
    found = _present(database, device)
    if found.withdrawn_ms is not None:
        return Verdict.OVER
    if found.keys is None:
        if now_ms >= found.expires_ms:
            return Verdict.OVER
        database.rows(
            "UPDATE enrolment SET public_key = ?, dh_x = ?, dh_y = ?, software = ?, taken_ms = ? WHERE device = ?",
            (asked.signing, *asked.dh, software, now_ms, device),
        )
        found = _present(database, device)
    if found.keys != asked:
        return Verdict.OTHER_KEY
    return Verdict.WAITING if found.state(now_ms) is State.WAITING else Verdict.TAKEN


def approve(database: Database, device: bytes, fingerprint: str, by: str, now_ms: int) -> None:
    """Approve the key that was taken for a device, of which a human read `fingerprint` at the device.

    Repeating it changes nothing. Raises EnrolmentError, apsw.Error.
    """
    name = records.device_text(device)
    with database.transaction():
        found = _present_or_error(database, device)
        if found.keys is None:
            raise EnrolmentError(f"{name} has not asked yet: start it, and read the fingerprint that it shows")
        known = keys.fingerprint(found.keys.signing)
        if not hmac.compare_digest(known.encode(), fingerprint.encode()):
            raise EnrolmentError(
                f"the key that came for {name} has the fingerprint {known}, not {fingerprint}: nothing is approved. If"
                f" the device shows {fingerprint}, somebody else used its file: 'bondmate-gateway withdraw {name}', and"
                " make another"
            )
        database.rows(
            "UPDATE enrolment SET approved_by = ?, approved_ms = ? WHERE device = ? AND approved_ms IS NULL",
            (by, now_ms, device),
        )


def withdraw(database: Database, device: bytes, now_ms: int) -> None:
    """Let a device's file not be used any more. Repeating it changes nothing. Raises EnrolmentError, apsw.Error.

    Channel keys that it agreed on and did not use yet are deleted.
    """
    with database.transaction():
        found = find(database, device)
        if found is not None and not found.open:
            name = records.device_text(device)
            raise EnrolmentError(
                f"{name} is enrolled: its file opens nothing any more; 'bondmate-gateway revoke {name}'"
            )
        if found is None:
            raise _unknown(device)
        _withdraw(database, device, now_ms)


def revoke(database: Database, device: bytes, now_ms: int) -> bool:
    """Withdraw a device's file if it is not enrolled; call it inside a transaction. Return whether there is one."""
    found = find(database, device)
    if found is not None and found.open:
        _withdraw(database, device, now_ms)
    return found is not None


def is_taken(database: Database, device: bytes, now_ms: int) -> bool:
    """Say whether a device that was offered may agree on channel keys. Raises apsw.Error."""
    return _present(database, device).state(now_ms) is State.TAKEN


def find(database: Database, device: bytes) -> Enrolment | None:
    """Return what is known of a device for which a file was made, or None. Raises apsw.Error."""
    found = database.rows(f"{_SELECT} WHERE device = ?", (device,))
    return _enrolment(found[0]) if found else None


def under_way(database: Database) -> list[Enrolment]:
    """Return the devices that are not enrolled yet, the oldest first. Raises apsw.Error."""
    return [_enrolment(row) for row in database.rows(f"{_SELECT} WHERE secret IS NOT NULL ORDER BY issued_ms, device")]


def groups(database: Database, device: bytes) -> list[str]:
    """Return the groups that a device will be in. Raises apsw.Error."""
    rows = database.rows("SELECT name FROM enrolment_member WHERE device = ? ORDER BY name", (device,))
    return [name for (name,) in rows]


_SELECT = (
    "SELECT device, issued_ms, expires_ms, approval, public_key, dh_x, dh_y, software, approved_by, withdrawn_ms,"
    " secret IS NOT NULL FROM enrolment"
)


def _enrolment(row: Sequence[Any]) -> Enrolment:
    device, issued_ms, expires_ms, approval, signing, dh_x, dh_y, software, approved_by, withdrawn_ms, is_open = row
    taken = None if signing is None else Keys(signing, (dh_x, dh_y))
    return Enrolment(
        device, issued_ms, expires_ms, bool(approval), taken, software, approved_by, withdrawn_ms, bool(is_open)
    )


def _present(database: Database, device: bytes) -> Enrolment:
    found = find(database, device)
    if found is None:
        raise LookupError(f"no file was made for {records.device_text(device)}")
    return found


def _present_or_error(database: Database, device: bytes) -> Enrolment:
    name, found = records.device_text(device), find(database, device)
    if found is None:
        raise _unknown(device)
    if not found.open:
        raise EnrolmentError(f"{name} is enrolled already")
    if found.withdrawn_ms is not None:
        raise EnrolmentError(f"the file of {name} was withdrawn; make another: 'bondmate-gateway enrol'")
    if not found.approval:
        raise EnrolmentError(f"{name} needs no approval: its file was made without --approve")
    return found


def _withdraw(database: Database, device: bytes, now_ms: int) -> None:
    database.rows("DELETE FROM fresh WHERE device = ?", (device,))
    database.rows("UPDATE enrolment SET withdrawn_ms = ? WHERE device = ? AND withdrawn_ms IS NULL", (now_ms, device))


def _unknown(device: bytes) -> EnrolmentError:
    return EnrolmentError(
        f"no enrolment file was made here for {records.device_text(device)}; 'bondmate-gateway devices' lists all"
    )
