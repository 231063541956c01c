"""What an enrolment leaves on the disk, each step durable before the next one (docs/protocol.md, section 9).

    network.json, pending.json   before the first attempt: every attempt is made with the same keys
    credentials.json             when the keys that last are known: from here on the device is enrolled
    (nothing)                    when the gateway has heard them: the file and pending.json are erased

So whenever the power goes, the device is enrolled or can be. All of this blocks.
"""

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bondmate import network
from bondmate.core.lifetime import EARLIEST_UTC_MS
from bondmate.cose import PublicKey
from bondmate.credentials import CREDENTIALS_FILE
from bondmate.durable import replace_file, sync_directory
from bondmate.enrolment_file import EnrolmentFile

PENDING_FILE = "pending.json"
_VERSION = 1
_MAX_OCTETS = 8192
_ZEROS = bytes(1 << 16)


class FreshKeys(Protocol):
    """What came of the key exchange."""

    @property
    def channel_secret(self) -> bytes:
        """32 octets."""

    @property
    def kids(self) -> dict[str, bytes]:
        """4 octets for each bearer."""


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """What the device makes itself and never gives away."""

    signing: ec.EllipticCurvePrivateKey = field(repr=False)
    dh: ec.EllipticCurvePrivateKey = field(repr=False)


def prepare(directory: Path, file: EnrolmentFile) -> OwnKeys:
    """Keep the file's networks, and have keys for this file: made once, durable before anybody is told. OSError."""
    network.keep(file.network, directory)
    path = directory / PENDING_FILE
    known = _pending(path, file)
    if known is not None:
        return known
    keys = OwnKeys(ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()))
    document = {
        "version": _VERSION,
        "kid": file.kid.hex(),
        "signing_key": _private(keys.signing),
        "dh_key": _private(keys.dh),
    }
    replace_file(path, json.dumps(document, indent=1).encode())
    return keys


def commit(directory: Path, file: EnrolmentFile, keys: OwnKeys, fresh: FreshKeys) -> None:
    """Write `credentials.json`: with it, and not before, the device is enrolled. OSError."""
    document = {
        "version": 1,
        "device": str(file.device),
        "signing_key": _private(keys.signing),
        "dh_key": _private(keys.dh),
        **_channel(fresh, 0),
        "gateways": [
            {
                "id": file.gateway.id.hex(),
                "addresses": list(file.gateway.addresses),
                "keys": [{"id": each.hex(), "public_key": _public(key)} for each, key in file.gateway.keys.items()],
                "dh": _public(file.gateway.dh),
            }
        ],
    }
    replace_file(directory / CREDENTIALS_FILE, json.dumps(document, indent=1).encode())


def rekey(directory: Path, fresh: FreshKeys, order: int) -> None:
    """Put other keys of the channel into `credentials.json`, as the answer to the order of that number. OSError.

    From the next start on the device uses them; the file is the old one or the new one, whenever the power goes.
    """
    path = directory / CREDENTIALS_FILE
    document = json.loads(path.read_bytes())
    replace_file(path, json.dumps(document | _channel(fresh, order), indent=1).encode())


def _channel(fresh: FreshKeys, order: int) -> dict[str, Any]:
    """What of `credentials.json` changes with the keys; a clock that was never set says nothing of when."""
    now_s = int(time.time())
    return {
        "channel_secret": fresh.channel_secret.hex(),
        "bearers": {bearer: {"kid": kid.hex()} for bearer, kid in fresh.kids.items()},
        "keys_made_s": now_s if now_s * 1000 >= EARLIEST_UTC_MS else None,
        "keys_order": order,
    }


def is_pending(directory: Path) -> bool:
    """Whether the gateway may not have heard the keys that last yet. False where that cannot be looked at."""
    try:
        return (directory / PENDING_FILE).exists()
    except OSError:
        return False


def forget(directory: Path, file: Path | None) -> None:
    """Erase what an enrolled device has no use for, the pending keys last. OSError; nothing depends on it."""
    if file is not None:
        erase(file)
    erase(directory / PENDING_FILE)


def erase(path: Path, *, most: int | None = _MAX_OCTETS) -> None:
    """Overwrite a file, no more of it than `most` octets, and remove it, where there is one. OSError.

    On flash that is no more than a courtesy: nothing that is erased here is worth anything by then.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    with contextlib.closing(os.fdopen(descriptor, "wb", buffering=0)) as written:
        left = os.fstat(descriptor).st_size
        left = left if most is None else min(left, most)
        while left:
            left -= written.write(_ZEROS[:left]) or 0
        os.fsync(descriptor)
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def _pending(path: Path, file: EnrolmentFile) -> OwnKeys | None:
    """The keys that were made for this file; None for no file, another one, or one that cannot be read."""
    try:
        with path.open("rb") as kept:
            said = json.loads(kept.read(_MAX_OCTETS))
        if said["version"] != _VERSION or said["kid"] != file.kid.hex():
            return None
        return OwnKeys(_loaded(said["signing_key"]), _loaded(said["dh_key"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _loaded(text: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(text.encode("ascii"), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError
    return key


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _public(key: PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
