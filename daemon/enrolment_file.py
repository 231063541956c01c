"""The file that makes a device one of a gateway's: read, and believed if the force signed it (docs/protocol.md, 9)."""

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from bondmate import network
from bondmate.cbor import decode
from bondmate.cose import PublicKey, algorithm_of, verify1
from bondmate.credentials import Address, ChannelKeys, address, channel_keys
from bondmate.errors import LocalError, RemoteError
from bondmate.records import DeviceId

BEARER = "enrol"
"""In the place of a bearer's name, in what its keys are derived with."""
_MAX_OCTETS = 8192
"""The longest that the CDDL allows has less than 4 KiB."""
_VERSION = 1
_AAD = cbor2.dumps(["bondmate enrolment 1"])
_MAX_ADDRESSES, _MAX_KEYS = 8, 4
_FINGERPRINT_OCTETS = 10


@dataclass(frozen=True, slots=True)
class GatewayPart:
    """The gateway, as the file has it."""

    id: bytes
    addresses: tuple[str, ...]
    keys: dict[bytes, PublicKey]
    """Those that sign, by key id."""
    dh: ec.EllipticCurvePublicKey
    """The one of EDHOC."""

    @property
    def places(self) -> tuple[Address, ...]:
        """The addresses, read."""
        return tuple(map(address, self.addresses))


@dataclass(frozen=True, slots=True)
class EnrolmentFile:
    """What a file says that the force signed."""

    device: DeviceId
    kid: bytes
    secret: bytes = field(repr=False)
    gateway: GatewayPart
    issued_s: int
    network: network.Network

    @property
    def channel(self) -> ChannelKeys:
        """The keys of the channel until the device has its own."""
        return channel_keys(BEARER, self.device, self.secret, kid=self.kid, gateway_id=self.gateway.id)


def load_force_key(path: Path) -> ec.EllipticCurvePublicKey:
    """The force's public key in the image, PEM. Raises LocalError."""
    try:
        key = load_pem_public_key(_start_of(path))
    except OSError as error:
        raise LocalError(f"the force's key {path}: {error.strerror}; the image has to bring it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LocalError(f"the force's key {path} is no public key in PEM; the image has to bring it") from error
    # by its curve: any key of the right form may stand in a file
    if not isinstance(getattr(key, "curve", None), ec.SECP256R1):
        raise LocalError(f"the force's key {path} is not of the curve P-256; the image has to bring another")
    return key  # type: ignore[return-value]  # just looked at


def load(path: Path, force_key: ec.EllipticCurvePublicKey) -> EnrolmentFile:
    """Read a file. Raises FileNotFoundError where there is none, else OSError, and RemoteError for what is refused."""
    data = _start_of(path)
    if len(data) > _MAX_OCTETS:
        raise RemoteError(f"it is larger than {_MAX_OCTETS} octets")
    return parse(data, force_key)


def parse(data: bytes, force_key: ec.EllipticCurvePublicKey) -> EnrolmentFile:
    """What a signed file says. Raises RemoteError."""
    try:
        item = decode(verify1(data, _AAD, {b"": force_key}))
    except RemoteError as error:
        raise RemoteError(f"it is not signed by this force ({error})") from error
    match item:
        case [int(version), *_] if version != _VERSION:
            raise RemoteError(f"its version is {version}, this daemon reads {_VERSION}")
        case [
            int(),
            bytes(device),
            bytes(kid),
            bytes(secret),
            [bytes(gateway), list(addresses), list(keys), [bytes(x), bytes(y)]],
            int(issued_s),
            networks,
            *_,
        ] if [len(octets) for octets in (device, kid, secret, gateway)] == [4, 4, 32, 1]:
            return EnrolmentFile(
                DeviceId(device),
                kid,
                secret,
                GatewayPart(gateway, _addresses(addresses), _keys(keys), point(x, y)),
                issued_s,
                network.decode(networks),
            )
        case _:
            raise RemoteError("its elements are not those of an enrolment file")


def point(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """A point of P-256. Raises RemoteError for what is none."""
    if (len(x), len(y)) != (32, 32):
        raise RemoteError("a key of EDHOC has two coordinates of 32 octets")
    try:
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()
    except ValueError:
        raise RemoteError("a key of EDHOC is no point of P-256") from None


def coordinates(key: ec.EllipticCurvePublicKey) -> list[bytes]:
    """x and y of a point of P-256, 32 octets each."""
    numbers = key.public_numbers()
    return [numbers.x.to_bytes(32), numbers.y.to_bytes(32)]


def public_der(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo, as it is signed and sent."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: PublicKey) -> str:
    """What a human compares: `ABCD-EFGH-IJKL-MNOP`, of 80 bits of the key's SHA-256."""
    text = base64.b32encode(hashlib.sha256(public_der(key)).digest()[:_FINGERPRINT_OCTETS]).decode("ascii")
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _addresses(items: list[Any]) -> tuple[str, ...]:
    if not 1 <= len(items) <= _MAX_ADDRESSES or not all(isinstance(item, str) for item in items):
        raise RemoteError(f"a gateway has 1 to {_MAX_ADDRESSES} addresses")
    try:
        for item in items:
            address(item)
    except ValueError as error:
        raise RemoteError(str(error)) from None
    return tuple(items)


def _keys(items: list[Any]) -> dict[bytes, PublicKey]:
    if not 1 <= len(items) <= _MAX_KEYS:
        raise RemoteError(f"a gateway has 1 to {_MAX_KEYS} keys")
    return dict(map(_key, items))


def _key(item: Any) -> tuple[bytes, PublicKey]:
    match item:
        case [bytes(identity), bytes(der)] if 1 <= len(identity) <= 8:
            try:
                key = load_der_public_key(der)
            except (ValueError, UnsupportedAlgorithm):
                raise RemoteError("a key of the gateway is no SubjectPublicKeyInfo") from None
            algorithm_of(key)  # type: ignore[arg-type]  # any other type of key fails here
            return identity, key  # type: ignore[return-value]
        case _:
            raise RemoteError("a key of the gateway has an id of 1 to 8 octets, and a SubjectPublicKeyInfo")


def _start_of(path: Path) -> bytes:
    """No file, however large, fills the memory."""
    with path.open("rb") as file:
        return file.read(_MAX_OCTETS + 1)
