"""What a device is given at enrolment, and the OSCORE keys that follow from it (docs/protocol.md, section 1).

It makes credentials and writes the enrolment file. It keeps nothing at the gateway.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bondmate_sim.gateway import files, keys, records

BEARERS = ("ip", "lte", "sms")
DEVICE_OCTETS = 4
KID_OCTETS = 4
_SECRET_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Credentials:
    """One new device: its id, its signing key, its channel secret (32 octets) and a kid (4 octets) for each bearer."""

    device: bytes
    signing_key: ec.EllipticCurvePrivateKey = field(repr=False)
    channel_secret: bytes = field(repr=False)
    kids: dict[str, bytes]


def generate() -> Credentials:
    """Return the credentials of a new device; all of it is random."""
    return Credentials(
        device=secrets.token_bytes(DEVICE_OCTETS),
        signing_key=ec.generate_private_key(ec.SECP256R1()),
        channel_secret=secrets.token_bytes(_SECRET_OCTETS),
        kids={bearer: secrets.token_bytes(KID_OCTETS) for bearer in BEARERS},
    )


def master_keys(channel_secret: bytes, device: bytes, bearer: str) -> tuple[bytes, bytes]:
    """Return OSCORE Master Secret (16 octets) and Master Salt (8 octets) of one bearer (HKDF-SHA-256, RFC 5869)."""

    def derive(length: int, what: str) -> bytes:
        info = f"bondmate 1 oscore {bearer} {what}".encode("ascii")
        return HKDF(algorithm=SHA256(), length=length, salt=device, info=info).derive(channel_secret)

    return derive(16, "secret"), derive(8, "salt")


def write(
    credentials: Credentials, directory: Path, addresses: Sequence[str], gateway_key: ec.EllipticCurvePublicKey
) -> Path:
    """Write the enrolment file of one device, mode 0600, and return its path. Raises OSError."""
    text = records.device_text(credentials.device)
    document = {
        "version": 1,
        "device": text,
        "signing_key": keys.private_pem(credentials.signing_key).decode(),
        "channel_secret": credentials.channel_secret.hex(),
        "bearers": {bearer: {"kid": kid.hex()} for bearer, kid in credentials.kids.items()},
        "gateways": [
            {
                "id": keys.GATEWAY_ID.hex(),
                "addresses": list(addresses),
                "keys": [{"id": keys.KEY_ID.hex(), "public_key": keys.public_pem(gateway_key)}],
            }
        ],
    }
    path = directory / f"{text}.json"
    files.create_secret(path, json.dumps(document, indent=1).encode() + b"\n")
    return path
