"""What a device says: identities, kinds, fixes and signed records, as values.

Knows nothing of bytes (see wire), signatures (see cose) or storage.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from typing import Any, Self

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stream(IntEnum):
    """The streams of records (docs/protocol.md, section 3); ALERT and STATE are gapless and chained."""

    ALERT = 0
    STATE = 1
    POSITION = 2
    PRESENCE = 3
    HEALTH = 4
    REPORT = 5

    @property
    def label(self) -> str:
        """The name used in record ids, configuration and JSON."""
        return self.name.lower()


CHAINED = (Stream.ALERT, Stream.STATE)


class Kind(IntEnum):
    """The kinds of records; the upper four bits are the stream."""

    PANIC = 1
    ASSISTANCE = 2
    MEDICAL = 3
    CHECK_IN_MISSED = 4
    MAN_DOWN = 5
    TAMPER = 6
    EXERCISE = 7
    ESCALATION = 8
    CANCELLATION = 9
    CHECK_IN = 10
    OPENING = 16
    ANCHOR = 17
    STORE_LOST = 18
    GAP = 19
    MESSAGE_STATE = 20
    POSITION = 32
    POSITIONS_BEFORE = 33
    PRESENCE = 48
    HEALTH = 64
    ACCEPTANCE = 80

    @property
    def stream(self) -> Stream:
        """The stream in which records of this kind are numbered."""
        return Stream(self >> 4)

    @property
    def label(self) -> str:
        """The name used in JSON."""
        return self.name.lower().replace("_", "-")


OFFICERS_KINDS = frozenset({Kind.PANIC, Kind.ASSISTANCE, Kind.MEDICAL})
"""Kinds that an officer may choose between; an exercise or an open alert makes another of them."""
ALERT_KINDS = OFFICERS_KINDS | {
    Kind.CHECK_IN_MISSED,
    Kind.MAN_DOWN,
    Kind.TAMPER,
    Kind.EXERCISE,
    Kind.ESCALATION,
}
"""Calls: kinds that raise an alert, or raise it again (docs/protocol.md, section 3)."""


class How(IntEnum):
    """How an alert was taken back (docs/protocol.md, section 3, cancellation)."""

    TOOL = 0
    PIN = 1
    GESTURE = 2
    DURESS = 3


@dataclass(frozen=True, slots=True)
class DeviceId:
    """Four octets that never change, shown as `BM-7f3a09c1`."""

    octets: bytes

    def __post_init__(self) -> None:
        if len(self.octets) != 4:
            raise ValueError(f"a device id has 4 octets, not {len(self.octets)}")

    def __str__(self) -> str:
        return f"BM-{self.octets.hex()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `BM-` and 8 hexadecimal digits; ValueError for anything else."""
        match = re.fullmatch("BM-([0-9a-fA-F]{8})", text)
        if match is None:
            raise ValueError(f"a device id looks like BM-7f3a09c1, not {text!r}")
        return cls(bytes.fromhex(match[1]))


@dataclass(frozen=True, slots=True)
class SessionId:
    """Six octets: a 16-bit start counter and 32 random bits; also the OSCORE ID Context."""

    octets: bytes

    def __post_init__(self) -> None:
        if len(self.octets) != 6:
            raise ValueError(f"a session id has 6 octets, not {len(self.octets)}")

    def __str__(self) -> str:
        return f"{self.octets[:2].hex()}-{self.octets[2:].hex()}"

    @property
    def counter(self) -> int:
        """The start counter, 0 to 65535."""
        return int.from_bytes(self.octets[:2])


@dataclass(frozen=True, slots=True)
class RecordId:
    """The identity of a record: (device, session, stream, sequence)."""

    device: DeviceId
    session: SessionId
    stream: Stream
    sequence: int

    def __str__(self) -> str:
        return f"{self.device}/{self.session}/{self.stream.label}/{self.sequence}"


class ClockSource(IntEnum):
    """Where UTC came from."""

    GNSS = 1
    NETWORK = 2
    SYSTEM = 3

    @property
    def label(self) -> str:
        """The name used in JSON."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class UtcTime:
    """UTC in milliseconds since 1970, where it came from, and how far off it may be (None: unknown)."""

    unix_ms: int
    source: ClockSource
    uncertainty_ms: int | None = None


class Suspicion(Enum):
    """Why a fix may be false; the value is its bit in the packed flags."""

    JUMP = 1
    TIME_BACKWARDS = 2
    FROZEN = 3
    EQUAL_SIGNAL = 4
    ANTENNA_OPEN = 5
    MADE_UP = 7

    @property
    def label(self) -> str:
        """The name used in JSON."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One position of a GNSS receiver: WGS 84 degrees, metres above mean sea level, metres a second.

    `geoid_m` is how far mean sea level is above the ellipsoid there, `accuracy_m` one standard deviation, horizontally.
    `taken_s` is the monotonic clock when its epoch was complete: ages come from it, never from UTC. It is -inf where
    nobody knows how old the fix is.
    """

    taken_s: float
    lat: float
    lon: float
    mode: int
    time: datetime | None = None
    alt_m: float | None = None
    geoid_m: float | None = None
    speed_mps: float | None = None
    track_deg: float | None = None
    hdop: float | None = None
    accuracy_m: float | None = None
    satellites: int | None = None
    suspect: tuple[Suspicion, ...] = ()

    def age_s(self, now: float) -> float:
        """Seconds since the fix was taken, by the monotonic clock."""
        return max(0.0, now - self.taken_s)

    def to_json(self, now: float) -> dict[str, Any]:
        """The same object everywhere; what is unknown is null."""
        return {
            "time": None if self.time is None else utc_text(round(self.time.timestamp() * 1000)),
            "lat": round(self.lat, 9),
            "lon": round(self.lon, 9),
            "alt_m": _rounded(self.alt_m, 3),
            "geoid_m": _rounded(self.geoid_m, 3),
            "speed_mps": _rounded(self.speed_mps, 3),
            "track_deg": _rounded(self.track_deg, 2),
            "mode": self.mode,
            "hdop": self.hdop,
            "accuracy_m": _rounded(self.accuracy_m, 2),
            "satellites": self.satellites,
            "age_s": None if self.taken_s == -math.inf else round(self.age_s(now), 3),
            "source": "gnss",
            "suspect": [suspicion.label for suspicion in self.suspect],
        }


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A record as it is kept and sent: the tagged COSE_Sign1 in `data`, made once.

    `digest` is the first 16 octets of its SHA-256. `made_at` is UTC when it was made, if that was known.
    """

    id: RecordId
    kind: Kind
    data: bytes = field(repr=False)
    digest: bytes
    made_at: UtcTime | None


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened at this device.

    `lifetime_s` only grows, across sessions and whatever happens to UTC (core/lifetime): ages are counted in it.
    `utc_ms` is UTC, for people; None where it was unknown.
    """

    lifetime_s: float
    utc_ms: int | None


class Felt(IntEnum):
    """What the palm has felt of an alert, to the pattern's end."""

    NOTHING = 0
    STORED = 1
    DELIVERED = 2
    ACKNOWLEDGED = 3


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the outbox has it; `place` counts the commits. `delivered` is None without a verified receipt."""

    record: SignedRecord
    place: int
    stored: Moment
    delivered: Moment | None
    felt: Felt


@dataclass(frozen=True, slots=True)
class EarlierAlert:
    """The newest alert in the outbox, whether a cancellation came behind it, and the last position that did.

    `acknowledged` and `closed`: when a dispatcher's message that names it was stored.
    """

    alert: StoredRecord
    cancelled: bool
    position: StoredRecord | None
    acknowledged: Moment | None = None
    closed: Moment | None = None
    duress: bool = False
    """Whether the newest cancellation behind it was made under duress."""
    acknowledged_by: str | None = None
    closed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Duty:
    """A shift: when it was begun, and in which session."""

    began: Moment
    session: SessionId


class Reason(IntEnum):
    """Why a record of a stream without a chain will not be sent (docs/protocol.md, section 3, gap)."""

    SUPERSEDED = 1
    EXPIRED = 2


@dataclass(frozen=True, slots=True)
class Surplus:
    """A record that is not worth its place any more; a gap record names it."""

    record: SignedRecord
    reason: Reason


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a stream, as its successor needs it."""

    session: SessionId
    sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class History:
    """The last record of each chained stream, from whatever session.

    None stands for a head that was lost with the store that knew it; a stream that never had a record is not in it.
    """

    heads: Mapping[Stream, Head | None]

    @classmethod
    def lost(cls) -> Self:
        """Nothing is known: the records say so."""
        return cls(dict.fromkeys(CHAINED))


class Opened(Enum):
    """What opening the outbox came to."""

    ALREADY = "already open"
    AS_IT_WAS = "opened"
    REPLACED = "a damaged file was set aside and a fresh one made"


def unix_ms(time: UtcTime | None) -> int | None:
    """The milliseconds of a time that may be unknown."""
    return None if time is None else time.unix_ms


def utc_text(unix_ms: int | None) -> str | None:
    """RFC 3339 UTC with milliseconds, or None for an unknown time."""
    if unix_ms is None:
        return None
    when = EPOCH + timedelta(milliseconds=unix_ms)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
