"""Mailbox messages of the gateway: verified before anything is believed (docs/protocol.md, section 8)."""

import re
from typing import Any

from bondmate import wire
from bondmate.cbor import decode
from bondmate.cose import PublicKey, payload1, verify1
from bondmate.errors import RemoteError
from bondmate.mail import (
    Acknowledge,
    Area,
    AreaAlert,
    Assistance,
    Close,
    Content,
    ExerciseOrder,
    Message,
    MessageType,
    RekeyOrder,
    Text,
    Unknown,
    UpdateOrder,
    WipeOrder,
)
from bondmate.records import DeviceId

VERSION = 1
MAX_MESSAGE_OCTETS = 1024
MAX_ANSWER_OCTETS = 1200
"""Of the answer to a fetch: as many messages as 1,024 octets hold, and what is around them."""

_TEXT_OCTETS, _REPLY_OCTETS, _BY_OCTETS = 480, 40, 64
_MAX_REPLIES, _MAX_DIGESTS, _MAX_EXERCISE_S = 4, 16, 14_400
_SOFTWARE_OCTETS, _BUNDLE_OCTETS, _SHA256_OCTETS = 64, 1 << 30, 32
_URL = re.compile(r"https?://[!-~]{1,193}")
_URL_OCTETS = 200
_KNOWN = frozenset(MessageType)
_U8, _U32 = 0xFF, 0xFFFFFFFF
_DEGREES = 10**7
"""A degree in the units of an area."""


def split(answer: bytes) -> tuple[bytes, ...]:
    """The messages in the answer to a fetch, in its order; RemoteError for anything else."""
    if len(answer) > MAX_ANSWER_OCTETS:
        raise RemoteError(f"{len(answer)} octets of mailbox messages, where {MAX_ANSWER_OCTETS} are allowed")
    found = decode(answer)
    if not isinstance(found, list) or not all(isinstance(each, bytes) for each in found):
        raise RemoteError("no array of mailbox messages")
    return tuple(found)


def verify(data: bytes, device: DeviceId, keys: dict[bytes, PublicKey]) -> Message:
    """The message in `data`; RemoteError when no key of `keys` signed it for this device, or it is malformed."""
    if len(data) > MAX_MESSAGE_OCTETS:
        raise RemoteError(f"a message of {len(data)} octets, where {MAX_MESSAGE_OCTETS} are allowed")
    return _decode(verify1(data, wire.message_aad(device), keys), data)


def read(data: bytes) -> Message:
    """What a message says that was verified before it was kept. RemoteError for what is none."""
    return _decode(payload1(data), data)


def _decode(payload: bytes, data: bytes) -> Message:
    match decode(payload):
        case [version, *_] if _number(version, _U32) != VERSION:
            raise RemoteError(f"a message of version {version}: this device reads version {VERSION}")
        case [_, number, type_, time_s, expires_s, urgency, by, *rest]:
            type_ = _number(type_, _U8)
            return Message(
                number=_number(number, _U32, low=1),
                type=type_,
                time_s=_number(time_s, _U32),
                expires_s=None if expires_s is None else _number(expires_s, _U32),
                urgent=bool(_number(urgency, 1)),
                by=_text(by, _BY_OCTETS),
                content=_content(type_, rest),
                data=data,
            )
        case _:
            raise RemoteError("a message whose payload is not message-payload (docs/bondmate.cddl)")


def _content(type_: int, rest: list[Any]) -> Content:
    """What stands behind a body's own elements is of a later version, and ignored."""
    match type_, rest[0] if rest else None:
        case MessageType.MESSAGE, [text, replies, *_]:
            return Text(_text(text, _TEXT_OCTETS), _replies(replies))
        case MessageType.ALERT, [text, replies, area, *_]:
            return AreaAlert(_text(text, _TEXT_OCTETS), _replies(replies), None if area is None else _area(area))
        case MessageType.ASSISTANCE, [text, replies, place, kind, *_]:
            return Assistance(_text(text, _TEXT_OCTETS), _replies(replies), place=_area(place), kind=_number(kind, _U8))
        case MessageType.ACKNOWLEDGE, [digests, *_]:
            return Acknowledge(_digests(digests))
        case MessageType.CLOSE, [digests, *_]:
            return Close(_digests(digests))
        case MessageType.EXERCISE, [version, seconds, *_]:
            return ExerciseOrder(_number(version, _U32), _number(seconds, _MAX_EXERCISE_S))
        case MessageType.UPDATE, [software, url, octets, sha256, when, *_]:
            return UpdateOrder(
                _text(software, _SOFTWARE_OCTETS),
                _url(url),
                _number(octets, _BUNDLE_OCTETS, low=1),
                _sha256(sha256),
                at_once=bool(_number(when, 1)),
            )
        case MessageType.WIPE, [*_]:
            return WipeOrder()
        case MessageType.REKEY, [*_]:
            return RekeyOrder()
        case _ if type_ in _KNOWN:
            raise RemoteError(f"a message of type {type_} whose body is not message-body (docs/bondmate.cddl)")
        case _:
            return Unknown()


def _number(value: Any, high: int, *, low: int = 0) -> int:
    # True is an int in Python, and none in CBOR
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RemoteError(f"a message with {value!r:.40} where a number from {low} to {high} belongs")
    return value


def _text(value: Any, octets: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value.encode("utf-8", "replace")) <= octets:
        raise RemoteError(f"a message without the text of 1 to {octets} octets that belongs into it")
    return value


def _url(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _URL_OCTETS or _URL.fullmatch(value) is None:
        raise RemoteError(f"a message without the http:// or https:// URL of up to {_URL_OCTETS} octets it needs")
    return value


def _sha256(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != _SHA256_OCTETS:
        raise RemoteError(f"a message without the digest of {_SHA256_OCTETS} octets that belongs into it")
    return value


def _replies(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MAX_REPLIES:
        raise RemoteError(f"a message without the list of up to {_MAX_REPLIES} replies that belongs into it")
    return tuple(_text(each, _REPLY_OCTETS) for each in value)


def _area(value: Any) -> Area:
    match value:
        case [lat, lon, metres]:
            return Area(_angle(lat, 90), _angle(lon, 180), _number(metres, _U32))
        case _:
            raise RemoteError("a message whose area is not [lat, lon, metres]")


def _angle(value: Any, degrees: int) -> float:
    limit = degrees * _DEGREES
    return _number(value, limit, low=-limit) / _DEGREES


def _digests(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_DIGESTS:
        raise RemoteError(f"a message without 1 to {_MAX_DIGESTS} digests")
    if not all(isinstance(each, bytes) and len(each) == wire.DIGEST_OCTETS for each in value):
        raise RemoteError(f"a message with a digest that has not {wire.DIGEST_OCTETS} octets")
    return tuple(value)
