"""Mailbox messages as a gateway writes them, by the gateway's own COSE, from the specification alone."""

from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate.cose import PublicKey
from bondmate.records import DeviceId
from bondmate_sim.gateway import cose as gateway_cose

DEVICE = DeviceId(bytes.fromhex("7f3a09c1"))
OTHER_DEVICE = DeviceId(bytes.fromhex("7f3a09c2"))
GATEWAY = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
KEYS: dict[bytes, PublicKey] = {b"\x01": GATEWAY.public_key()}
NOW_S = 1_900_000_000
DIGEST, OTHER = bytes(range(16)), bytes(range(16, 32))

TEXT, ALERT, ASSISTANCE, ACKNOWLEDGE, CLOSE, EXERCISE = range(1, 7)
UPDATE, WIPE, REKEY = 8, 9, 11
BUNDLE: list[Any] = ["bondmate 0.9.0", "http://192.0.2.7:8080/bondmate-0.9.0.raucb", 228_000_000, bytes(range(32)), 0]
BODIES: dict[int, Any] = {
    TEXT: ["Come to the station.", ["On my way", "Cannot"]],
    ALERT: ["A child is missing.", [], [387222520, -91393370, 400]],
    ASSISTANCE: ["A colleague called.", ["On my way"], [387222520, -91393370, 25], 1],
    ACKNOWLEDGE: [[DIGEST]],
    CLOSE: [[DIGEST, OTHER]],
    EXERCISE: [3, 600],
    UPDATE: BUNDLE,
    WIPE: [],
    REKEY: [],
}


def payload(number: Any, type_: Any, body: Any = None, **changed: Any) -> list[Any]:
    """message-payload; `changed` are elements by name."""
    if body is None and isinstance(type_, int):
        body = BODIES.get(type_)
    elements = {"version": 1, "number": number, "type": type_, "time_s": NOW_S, "expires_s": None, "urgency": 0}
    elements |= {"by": "M. Costa", "body": body}
    return list((elements | changed).values())


def signed(
    content: Any,
    *,
    device: DeviceId = DEVICE,
    key: ec.EllipticCurvePrivateKey = GATEWAY,
    key_id: bytes = b"\x01",
    label: str = "bondmate message 1",
) -> bytes:
    """A tagged COSE_Sign1 over a payload."""
    octets = content if isinstance(content, bytes) else cbor2.dumps(content, canonical=True)
    return gateway_cose.sign(octets, gateway_cose.external_aad(label, device.octets), key, key_id)


def message(number: int, type_: int, body: Any = None, **changed: Any) -> bytes:
    """A message that a device has to take."""
    return signed(payload(number, type_, body, **changed))
