"""The credentials of a device, read once from a directory that is never written (docs/protocol.md, section 1)."""

import contextlib
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
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
class ExchangeKeys:
    """What the channel's keys are changed with: the device's EDHOC key, and whom it exchanges them with."""

    own: ec.EllipticCurvePrivateKey = field(repr=False)
    gateway_id: bytes
    gateway: ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this device is, and whom it believes."""

    device: DeviceId
    signer: Signer = field(repr=False)
    bearers: dict[str, ChannelKeys]
    gateway_keys: dict[bytes, PublicKey]
    addresses: tuple[Address, ...]
    exchange: ExchangeKeys | None = None
    """None: the device was not enrolled by an enrolment file (docs/protocol.md, section 9)."""
    made_s: int | None = None
    """UTC when the channel's keys were made, in seconds since 1970, where it was known."""
    order: int = 0
    """The number of the last message of type rekey that they answer."""


class NoCredentialsError(ConfigurationError):
    """There is no file: the device was never enrolled, or was wiped. Any other error is of a device that was."""


def load(directory: Path) -> Credentials:
    """Read `credentials.json`; ConfigurationError says what is missing or wrong with it."""
    path = directory / CREDENTIALS_FILE
    try:
        if path.stat().st_size > _MAX_OCTETS:
            raise ConfigurationError([f"{path}: larger than {_MAX_OCTETS} octets: not an enrolment file"])
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NoCredentialsError(
            [f"{path}: {error.strerror}: put the device's enrolment file there (bondmate-gateway enrol makes it)"]
        ) from error
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}: see who may read it, and if its disk works"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"{path}: not JSON: {error}"]) from error
    try:
        return _read(document)
    except _RefusedError as error:
        raise ConfigurationError([f"{path}: not a usable enrolment file ({error}): enrol the device anew"]) from error


def channel_keys(name: str, device: DeviceId, secret: bytes, *, kid: bytes, gateway_id: bytes) -> ChannelKeys:
    """The keys of the bearer called `name` (docs/protocol.md, section 1), from a secret of 32 octets."""
    return ChannelKeys(
        kid=kid,
        gateway_id=gateway_id,
        master_secret=_derive(secret, device, f"bondmate 1 oscore {name} secret", 16),
        master_salt=_derive(secret, device, f"bondmate 1 oscore {name} salt", 8),
    )


def address(text: str) -> Address:
    """A gateway's address, `coap://HOST` or `coap://HOST:PORT`. Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    port = 0 if match is None else int(match[2] or _COAP_PORT)
    if match is None or not 1 <= port <= 65535:
        raise _RefusedError(f"address {text!r} is not coap://HOST or coap://HOST:PORT")
    return Address(match[1].strip("[]"), port)


def exposed(directory: Path) -> str | None:
    """What is wrong with the file's mode, in words; None when only its owner can read it, or it cannot be looked at."""
    path = directory / CREDENTIALS_FILE
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    return f"{path} can be read by others (mode {mode:04o})" if mode & (stat.S_IRWXG | stat.S_IRWXO) else None


class _RefusedError(ValueError):
    """A reason that quotes no secret."""


@contextlib.contextmanager
def _reading(member: str) -> Iterator[None]:
    """Whatever is wrong in the block is wrong with this member. Never its content: a parser's message may quote it."""
    try:
        yield
    except KeyError as error:
        raise _RefusedError(f"{member}: {error.args[0]} is missing") from None
    except (_RefusedError, BondMateError) as error:
        raise _RefusedError(f"{member}: {error}") from None
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise _RefusedError(f"{member} cannot be read: {type(error).__name__}") from None


def _read(document: Any) -> Credentials:
    with _reading("the file"):
        version, gateways = document["version"], document["gateways"]
        if version != _VERSION:
            raise _RefusedError(f"version {version!r}, this daemon reads {_VERSION}")
        if not isinstance(gateways, list) or not gateways:
            raise _RefusedError("no gateway")
    with _reading("device"):
        device = DeviceId.parse(document["device"])
    with _reading("signing_key"):
        key = load_pem_private_key(document["signing_key"].encode("ascii"), password=None)
        signer = KeySigner(key)  # type: ignore[arg-type]  # KeySigner refuses what it cannot use
    with _reading("gateways[0]"):
        gateway = gateways[0]
        gateway_id = _octets(gateway["id"], 1)
        addresses = tuple(address(text) for text in gateway["addresses"])
        if not addresses:
            raise _RefusedError("no address")
    with _reading("gateways[0].keys"):
        keys = dict(_gateway_key(entry) for entry in gateway["keys"])
        if not keys:
            raise _RefusedError("no key: no receipt could be believed")
    with _reading("channel_secret"):
        secret = _octets(document["channel_secret"], 32)
    with _reading("bearers"):
        bearers = {
            name: channel_keys(name, device, secret, kid=_octets(entry["kid"], 4), gateway_id=gateway_id)
            for name, entry in document["bearers"].items()
        }
        if "ip" not in bearers:
            raise _RefusedError("ip is missing")
    made_s, order = document.get("keys_made_s"), document.get("keys_order", 0)
    return Credentials(
        device,
        signer,
        bearers,
        keys,
        addresses,
        _exchange_keys(document, gateway_id),
        made_s if isinstance(made_s, int) else None,
        order if isinstance(order, int) else 0,
    )


def _exchange_keys(document: Any, gateway_id: bytes) -> ExchangeKeys | None:
    """None where they are not there, or cannot be used: an alert needs none of it."""
    try:
        own = load_pem_private_key(document["dh_key"].encode("ascii"), password=None)
        gateway = load_pem_public_key(document["gateways"][0]["dh"].encode("ascii"))
    except (KeyError, ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return None
    if not isinstance(own, ec.EllipticCurvePrivateKey) or not isinstance(gateway, ec.EllipticCurvePublicKey):
        return None
    return ExchangeKeys(own, gateway_id, gateway)


def _gateway_key(entry: dict[str, str]) -> tuple[bytes, PublicKey]:
    identity = bytes.fromhex(entry["id"])
    if not 1 <= len(identity) <= 8:
        raise _RefusedError(f"a key id has 1 to 8 octets, not {len(identity)}")
    key = load_pem_public_key(entry["public_key"].encode("ascii"))
    algorithm_of(key)  # type: ignore[arg-type]  # any other type of key fails here
    return identity, key  # type: ignore[return-value]


def _octets(text: str, length: int) -> bytes:
    octets = bytes.fromhex(text)
    if len(octets) != length:
        raise _RefusedError(f"{len(octets)} octets instead of {length}")
    return octets


def _derive(secret: bytes, device: DeviceId, label: str, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=device.octets, info=label.encode("ascii")).derive(secret)
