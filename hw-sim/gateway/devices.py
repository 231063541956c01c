"""Enrolled devices and their bearers in the database: add, find, revoke."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from bondmate_sim.gateway import cose, keys
from bondmate_sim.gateway.credentials import Credentials
from bondmate_sim.gateway.database import Database


@dataclass(frozen=True, slots=True)
class Bearer:
    """One bearer of a device, found by its kid, with all that its OSCORE contexts are derived from."""

    kid: bytes
    name: str
    device: bytes
    channel_secret: bytes = field(repr=False)
    highest_counter: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """What the gateway checks records of a device against."""

    id: bytes
    key: cose.VerifyingKey
    revoked: bool


def add(database: Database, made: Iterable[Credentials], now_ms: int) -> None:
    """Store the gateway's half of new credentials, all or none. Raises apsw.Error, also when an id is taken."""
    with database.transaction():
        for each in made:
            pem = keys.public_pem(each.signing_key.public_key())
            database.rows(
                "INSERT INTO device (id, public_key_pem, channel_secret, enrolled_ms) VALUES (?, ?, ?, ?)",
                (each.device, pem, each.channel_secret, now_ms),
            )
            for name, kid in each.kids.items():
                database.rows("INSERT INTO bearer (kid, device, name) VALUES (?, ?, ?)", (kid, each.device, name))


def bearer(database: Database, kid: bytes) -> Bearer | None:
    """Return the bearer that `kid` names, or None."""
    found = database.rows(
        "SELECT kid, name, device, channel_secret, highest_counter FROM bearer JOIN device ON device.id = device"
        " WHERE kid = ?",
        (kid,),
    )
    return Bearer(*found[0]) if found else None


def device(database: Database, device_id: bytes) -> Device:
    """Return an enrolled device."""
    ((pem, revoked_ms),) = database.rows("SELECT public_key_pem, revoked_ms FROM device WHERE id = ?", (device_id,))
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise TypeError(f"the key of device {device_id.hex()} is neither P-256 nor Ed25519")
    return Device(device_id, key, revoked_ms is not None)


def revoke(database: Database, device_id: bytes, now_ms: int) -> bool:
    """Revoke a device; once revoked it stays so. Return False when no such device is enrolled. Raises apsw.Error."""
    with database.transaction():
        database.rows("UPDATE device SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL", (now_ms, device_id))
        return bool(database.rows("SELECT 1 FROM device WHERE id = ?", (device_id,)))
