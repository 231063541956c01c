"""A record as evidence: whether a device's key signed these octets, and what they say, with names for numbers.

For `bondmatectl verify`. Needs no daemon; what is signed, and how, is docs/protocol.md, section 3.
"""

import struct
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bondmate import cose, wire
from bondmate.cbor import decode
from bondmate.errors import LocalError, RemoteError
from bondmate.records import (
    ClockSource,
    DeviceId,
    How,
    Kind,
    Reason,
    RecordId,
    SessionId,
    Stream,
    utc_text,
)

_MAX_OCTETS = 64 * 1024
_ALGORITHMS = {cose.ES256: "ES256", cose.EDDSA: "EdDSA"}
_ACTIONS = {1: "begin", 2: "extend", 3: "end"}
_STATES = {1: "taken", 2: "read", 3: "answered", 4: "without effect"}


def verify(file: Path, key_file: Path, aad_hex: str | None) -> dict[str, Any]:
    """As in `bondmatectl verify --json`. LocalError where a file cannot be read, or is no key."""
    message, aad = _message(file), _hex(aad_hex or "", "--aad")
    key = _key(key_file)
    answer: dict[str, Any] = {
        "valid": False,
        "alg": _ALGORITHMS[cose.algorithm_of(key)],
        "record": _told(message, aad),
        "why_not": None,
    }
    try:
        cose.verify1(message, aad, {b"": key})
        _refuse_other_half(message)
    except RemoteError as error:
        return answer | {"why_not": str(error)}
    return answer | {"valid": True}


def _refuse_other_half(message: bytes) -> None:
    """With n - s an ES256 signature verifies too; a record with that one counts as not verifying."""
    protected, _, _, signature = decode(message).value
    if decode(protected).get(1) == cose.ES256 and int.from_bytes(signature[32:]) > cose.P256_ORDER // 2:
        raise RemoteError("the signature is the other one of two that verify: somebody made it of the device's")


def _message(file: Path) -> bytes:
    """The octets of the file, or those that it has as hexadecimal text."""
    octets = _content(file)
    if octets[:1] == b"\xd2":
        return octets
    try:
        return bytes.fromhex(octets.decode("ascii"))
    except ValueError:
        return octets


def _key(file: Path) -> cose.PublicKey:
    try:
        key = load_pem_public_key(_content(file))
        cose.algorithm_of(key)  # type: ignore[arg-type]  # any other type of key fails here
    except (ValueError, UnsupportedAlgorithm, RemoteError) as error:
        raise LocalError(f"{file} is no public key in PEM, P-256 or Ed25519") from error
    return key  # type: ignore[return-value]


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            octets = opened.read(_MAX_OCTETS + 1)
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from error
    if len(octets) > _MAX_OCTETS:
        raise LocalError(f"{file} has more than {_MAX_OCTETS} octets: it is no record")
    return octets


def _hex(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise LocalError(f"{name} is not hexadecimal") from None


def _told(message: bytes, aad: bytes) -> dict[str, Any] | None:
    """What the record says; None where it cannot be read."""
    try:
        match decode(decode(message).value[2]):
            case [1, int(kind), int(sequence), previous, int(elapsed_ms), clock, fix, *body]:
                pass
            case _:
                return None
        stream = Stream(kind >> 4)
        return {
            **_identity(aad, stream, sequence),
            "kind": _kind(kind),
            "stream": stream.label,
            "sequence": sequence,
            "previous": _plain(previous),
            "elapsed_ms": elapsed_ms,
            "clock": _clock(clock),
            "fix": None if fix is None else wire.unpack_fix(fix, 0.0).to_json(0.0),
            "body": _body(kind, body[0]) if body else None,
        }
    except (RemoteError, ValueError, TypeError, AttributeError, LookupError, struct.error, OverflowError):
        return None


def _identity(aad: bytes, stream: Stream, sequence: int) -> dict[str, Any]:
    """Device and session stand in what is signed beside the payload."""
    try:
        match decode(aad):
            case ["bondmate record 1", bytes(device), bytes(session)]:
                identity = RecordId(DeviceId(device), SessionId(session), stream, sequence)
                return {"id": str(identity), "device": str(identity.device), "session": str(identity.session)}
            case _:
                pass
    except (RemoteError, ValueError):
        pass
    return {"id": None, "device": None, "session": None}


def _clock(packed: bytes | None) -> dict[str, Any] | None:
    if packed is None:
        return None
    seconds, fraction, quality = struct.unpack(">IBB", packed)
    exponent = quality & 0x3F
    return {
        "time": utc_text(seconds * 1000 + fraction * 1000 // 256),
        "source": ClockSource(quality >> 6).label,
        "uncertainty_ms": None if exponent == 0x3F else 2**exponent,
    }


def _kind(number: int) -> str:
    return Kind(number).label if number in {int(kind) for kind in Kind} else f"kind {number}"


def _body(kind: int, body: Any) -> Any:
    """With names where a number has one; what is not as specified stays as it is."""
    match kind, body:
        case Kind.CANCELLATION, bytes(octets) if len(octets) in (8, 9):
            how = How(octets[8]).name.lower() if len(octets) == 9 and octets[8] in {int(how) for how in How} else None
            return {"digest": octets[:8].hex(), "how": how}
        case Kind.CHECK_IN, [int(action), int(seconds), *note]:
            return {"action": _ACTIONS.get(action), "seconds": seconds, "note": note[0] if note else None}
        case Kind.MESSAGE_STATE, [*entries]:
            return [
                {"number": number, "state": _STATES.get(state), "answer": answer[0] if answer else None}
                for number, state, *answer in entries
            ]
        case Kind.ACCEPTANCE, [str(software), [*checks]]:
            named = [dict(zip(("check", "ok", "text"), each, strict=False)) for each in checks]
            return {"software": software, "checks": named}
        case Kind.OPENING, [*entries]:
            return [_head(*entry) for entry in entries]
        case Kind.GAP, [*entries]:
            return [
                {
                    "stream": Stream(stream).label,
                    "session": str(SessionId(session)),
                    "reason": Reason(reason).name.lower(),
                    "numbers": numbers,
                }
                for stream, session, reason, numbers in entries
            ]
        case Kind.POSITIONS_BEFORE, [*fixes]:
            return [wire.unpack_fix(fix, 0.0).to_json(0.0) for fix in fixes]
        case _:
            return _plain(body)


def _head(stream: int, session: bytes | None, *rest: Any) -> dict[str, Any]:
    sequence, digest = rest or (None, None)
    return {
        "stream": Stream(stream).label,
        "session": None if session is None else str(SessionId(session)),
        "sequence": sequence,
        "digest": _plain(digest),
    }


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(each) for each in value]
        case None | str() | bool() | int() | float():
            return value
        case _:
            return str(value)
