"""The credentials of a device, read once from a directory that is never written (docs/protocol.md, section 1)."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from bondmate.cose import KeySigner, PublicKey, Signer, algorithm_of
from bondmate.errors import BondMateError, ConfigurationError
from bondmate.records import DeviceId

CREDENTIALS_FILE = "credentials.json"
_VERSION = 1
_MAX_OCTETS = 64 * 1024
_ADDRESS = re.compile(r"coap://(\[[0-9a-fA-F:.]+\]|[^\[\]:/]+)(?::([0-9]{1,5}))?")
_COAP_PORT = 5683


@dataclass(frozen=True, slots=True)
class ChannelKeys:
    """What one bearer's OSCORE contexts are derived from (RFC 8613, section 3.2)."""

    kid: bytes
    gateway_id: bytes
    master_secret: bytes = field(repr=False)
    master_salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway listens for CoAP over UDP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this device is, and whom it believes."""

    device: DeviceId
    signer: Signer = field(repr=False)
    bearers: dict[str, ChannelKeys]
    gateway_keys: dict[bytes, PublicKey]
    addresses: tuple[Address, ...]


def load(directory: Path) -> Credentials:
    """Read `credentials.json`; ConfigurationError says what is missing or wrong with it."""
    path = directory / CREDENTIALS_FILE
    try:
        if path.stat().st_size > _MAX_OCTETS:
            raise ConfigurationError([f"{path}: larger than {_MAX_OCTETS} octets: not an enrolment file"])
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: {error.strerror}: put the device's enrolment file there (bondmate-gateway enrol makes it)"]
        ) from error
    except ValueError as error:
        raise ConfigurationError([f"{path}: not JSON: {error}"]) from error
    try:
        return _read(document)
    except KeyError as error:
        raise ConfigurationError([f"{path}: {error.args[0]} is missing: enrol the device anew"]) from error
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm, BondMateError) as error:
        # never the content: the file holds secrets, and a parser's message may quote them
        reason = str(error) if isinstance(error, _RefusedError | BondMateError) else type(error).__name__
        raise ConfigurationError([f"{path}: not a usable enrolment file ({reason}): enrol the device anew"]) from error


class _RefusedError(ValueError):
    """A reason that quotes no secret."""


def _read(document: dict[str, Any]) -> Credentials:
    if document["version"] != _VERSION:
        raise _RefusedError(f"version {document['version']!r}, this daemon reads {_VERSION}")
    device = DeviceId.parse(document["device"])
    [gateway] = document["gateways"][:1] or [{}]
    gateway_id = _octets(gateway["id"], 1, "gateways[0].id")
    secret = _octets(document["channel_secret"], 32, "channel_secret")
    key = load_pem_private_key(document["signing_key"].encode("ascii"), password=None)
    keys: dict[bytes, PublicKey] = {}
    for entry in gateway["keys"]:
        public = load_pem_public_key(entry["public_key"].encode("ascii"))
        algorithm_of(public)  # type: ignore[arg-type]  # any other type of key fails here
        keys[bytes.fromhex(entry["id"])] = public  # type: ignore[assignment]
    return Credentials(
        device=device,
        signer=KeySigner(key),  # type: ignore[arg-type]  # KeySigner refuses what it cannot use
        bearers={
            name: ChannelKeys(
                kid=_octets(entry["kid"], 4, f"bearers.{name}.kid"),
                gateway_id=gateway_id,
                master_secret=_derive(secret, device, f"bondmate 1 oscore {name} secret", 16),
                master_salt=_derive(secret, device, f"bondmate 1 oscore {name} salt", 8),
            )
            for name, entry in document["bearers"].items()
        },
        gateway_keys=keys,
        addresses=tuple(_address(text) for text in gateway["addresses"]),
    )


def _octets(text: str, length: int, name: str) -> bytes:
    octets = bytes.fromhex(text)
    if len(octets) != length:
        raise _RefusedError(f"{name} has {len(octets)} octets instead of {length}")
    return octets


def _derive(secret: bytes, device: DeviceId, label: str, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=device.octets, info=label.encode("ascii")).derive(secret)


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise _RefusedError(f"address {text!r} is not coap://HOST or coap://HOST:PORT")
    return Address(match[1].strip("[]"), int(match[2] or _COAP_PORT))
