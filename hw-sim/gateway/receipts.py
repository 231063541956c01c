"""Receipts: what the gateway signs for the device (docs/protocol.md, section 4).

It writes and signs. It does not decide a verdict.
"""

import enum
from dataclasses import dataclass

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import cose

VERSION = 1
DIGEST_OCTETS = 16
REASON_REVOKED = 1


class Verdict(enum.IntEnum):
    """What became of a record."""

    HELD = 0
    UNREADABLE = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One record in a receipt; `digest` is the full SHA-256, None stands for what could not be read."""

    session: bytes
    stream: int | None
    sequence: int | None
    digest: bytes
    verdict: Verdict
    reason: int | None = None


def receipt(device: bytes, entry: Entry, time_s: int, key: ec.EllipticCurvePrivateKey, key_id: bytes) -> bytes:
    """Return a signed receipt for one record; `time_s` is UTC in seconds since 1970."""
    record: list[int | bytes | None] = [
        entry.session,
        entry.stream,
        entry.sequence,
        entry.digest[:DIGEST_OCTETS],
        int(entry.verdict),
    ]
    if entry.reason is not None:
        record.append(entry.reason)
    payload = cbor2.dumps([VERSION, time_s, [record]], canonical=True)
    return cose.sign(payload, cose.external_aad("bondmate receipt 1", device), key, key_id)
