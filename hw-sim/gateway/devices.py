"""Devices, their bearers and their groups in the database: add, find, revoke."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from bondmate_sim.gateway import cose, enrolments, keys
from bondmate_sim.gateway.credentials import Credentials
from bondmate_sim.gateway.database import Database


class Standing(enum.Enum):
    """What the keys are that a kid stands for."""

    OFFERED = "offered"
    """An enrolment file's, for enrolling and nothing else."""
    FRESH = "fresh"
    """Agreed on, and no message verified under them yet: the first one makes them the device's."""
    OWN = "own"
    """The device's."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """One bearer of a device, found by its kid, with all that its OSCORE contexts are derived from."""

    kid: bytes
    name: str
    device: bytes
    channel_secret: bytes = field(repr=False)
    highest_counter: int | None
    standing: Standing = Standing.OWN


@dataclass(frozen=True, slots=True)
class Device:
    """What the gateway checks records of a device against."""

    id: bytes
    key: cose.VerifyingKey
    revoked: bool


def add(database: Database, made: Iterable[Credentials], now_ms: int, groups: Iterable[str] = ()) -> None:
    """Store the gateway's half of new credentials, all or none, and put the devices into groups.

    Raises apsw.Error, also when an id is taken.
    """
    names = set(groups)
    with database.transaction():
        for each in made:
            pem = keys.public_pem(each.signing_key.public_key())
            database.rows(
                "INSERT INTO device (id, public_key_pem, channel_secret, enrolled_ms) VALUES (?, ?, ?, ?)",
                (each.device, pem, each.channel_secret, now_ms),
            )
            for name, kid in each.kids.items():
                database.rows("INSERT INTO bearer (kid, device, name) VALUES (?, ?, ?)", (kid, each.device, name))
            _join(database, each.device, names)


def bearer(database: Database, kid: bytes) -> Bearer | None:
    """Return what `kid` names, or None: a device's bearer, one under fresh keys, or an enrolment."""
    for standing, sql in _BEARERS.items():
        found = database.rows(sql, (kid, enrolments.BEARER) if standing is Standing.OFFERED else (kid,))
        if found:
            named, name, device_id, secret, highest_counter = found[0]
            return Bearer(named, name, device_id, secret, highest_counter, standing)
    return None


_BEARERS = {
    Standing.OWN: "SELECT kid, name, device, channel_secret, highest_counter FROM bearer"
    " JOIN device ON device.id = device WHERE kid = ?",
    Standing.FRESH: "SELECT kid, name, device, channel_secret, NULL FROM fresh_bearer JOIN fresh USING (device)"
    " WHERE kid = ?",
    Standing.OFFERED: "SELECT kid, ?2, device, secret, NULL FROM enrolment WHERE kid = ?1",
}


def kid(database: Database, device_id: bytes, name: str) -> bytes | None:
    """Return the kid of a device's bearer, or None."""
    found = database.rows("SELECT kid FROM bearer WHERE device = ? AND name = ?", (device_id, name))
    return found[0][0] if found else None


def device(database: Database, device_id: bytes) -> Device:
    """Return an enrolled device."""
    ((pem, revoked_ms),) = database.rows("SELECT public_key_pem, revoked_ms FROM device WHERE id = ?", (device_id,))
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise TypeError(f"the key of device {device_id.hex()} is neither P-256 nor Ed25519")
    return Device(device_id, key, revoked_ms is not None)


def revoke(database: Database, device_id: bytes, now_ms: int) -> bool:
    """Revoke a device; once revoked it stays so. One that is not enrolled yet can no longer be.

    Return False when no such device is known. Raises apsw.Error.
    """
    with database.transaction():
        mark_revoked(database, device_id, now_ms)
        return enrolments.revoke(database, device_id, now_ms) or is_enrolled(database, device_id)


def mark_revoked(database: Database, device_id: bytes, now_ms: int) -> None:
    """Revoke a device that is enrolled; call it inside a transaction. Raises apsw.Error."""
    database.rows("UPDATE device SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL", (now_ms, device_id))


def forget_keys(database: Database, device_id: bytes) -> list[bytes]:
    """Erase a device's channel keys, with the sessions under them, and return the kids that are known no more.

    Call it inside a transaction. Raises apsw.Error.
    """
    kids = [
        kid
        for (kid,) in database.rows(
            "SELECT kid FROM bearer WHERE device = ?1 UNION ALL SELECT kid FROM fresh_bearer WHERE device = ?1",
            (device_id,),
        )
    ]
    for each in kids:
        database.rows("DELETE FROM session WHERE kid = ?", (each,))
    database.rows("DELETE FROM bearer WHERE device = ?", (device_id,))
    database.rows("DELETE FROM fresh WHERE device = ?", (device_id,))
    database.rows("UPDATE device SET channel_secret = zeroblob(32) WHERE id = ?", (device_id,))
    return kids


def is_enrolled(database: Database, device_id: bytes) -> bool:
    """Say whether a device is enrolled, revoked or not. Raises apsw.Error."""
    return bool(database.rows("SELECT 1 FROM device WHERE id = ?", (device_id,)))


def group(database: Database, device_id: bytes, names: Iterable[str]) -> bool:
    """Put a device into these groups and no others. Return False when no such device is enrolled. Raises apsw.Error."""
    with database.transaction():
        if not is_enrolled(database, device_id):
            return False
        database.rows("DELETE FROM member WHERE device = ?", (device_id,))
        _join(database, device_id, set(names))
        return True


def groups(database: Database, device_id: bytes) -> list[str]:
    """Return the names of the groups that a device is in. Raises apsw.Error."""
    return [name for (name,) in database.rows("SELECT name FROM member WHERE device = ? ORDER BY name", (device_id,))]


def members(database: Database, name: str) -> list[bytes]:
    """Return the devices of a group that are not revoked, the oldest first. Raises apsw.Error."""
    rows = database.rows(
        "SELECT id FROM device JOIN member ON member.device = id WHERE name = ? AND revoked_ms IS NULL"
        " ORDER BY enrolled_ms, id",
        (name,),
    )
    return [found for (found,) in rows]


def colleagues(database: Database, device_id: bytes) -> list[bytes]:
    """Return the other devices that share a group with one and are not revoked. Raises apsw.Error."""
    rows = database.rows(
        "SELECT DISTINCT other.device FROM member JOIN member AS other ON other.name = member.name"
        " JOIN device ON device.id = other.device AND revoked_ms IS NULL"
        " WHERE member.device = ?1 AND other.device <> ?1 ORDER BY other.device",
        (device_id,),
    )
    return [found for (found,) in rows]


def _join(database: Database, device_id: bytes, names: Iterable[str]) -> None:
    for name in names:
        database.rows("INSERT INTO member (device, name) VALUES (?, ?)", (device_id, name))
