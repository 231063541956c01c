"""The packed elements of a record, clock and fix, as values with units (docs/protocol.md, section 3).

Every field is checked against its range. It does not know where in a record the elements stand.
"""

import struct
from dataclasses import dataclass

from bondmate_sim.gateway.cbor import MalformedError

_CLOCK = struct.Struct(">IBB")
_FIX = struct.Struct(">iiBBB")
_LONG = struct.Struct(">3sHHBB")

_SOURCES = {1: "gnss", 2: "network", 3: "system"}
_SUSPECT = {1: "jump", 2: "time_backwards", 3: "frozen", 4: "equal_signal", 5: "antenna_open", 7: "made_up"}


@dataclass(frozen=True, slots=True)
class Clock:
    """UTC as the device knew it: milliseconds since 1970, the source, and the uncertainty or None when unknown."""

    utc_ms: int
    source: str
    uncertainty_ms: int | None


@dataclass(frozen=True, slots=True)
class Fix:
    """A position on WGS 84. None means that the device did not send it or did not know it.

    `age_s` counts back from the record's time; with `age_open` the fix is that old or older.
    """

    lat: float
    lon: float
    accuracy_m: float | None
    age_s: float
    age_open: bool
    three_dimensional: bool
    coarse: bool
    suspect: tuple[str, ...]
    alt_m: float | None = None
    speed_mps: float | None = None
    track_deg: float | None = None
    hdop: float | None = None
    satellites: int | None = None


def clock(data: bytes) -> Clock:
    """Read a clock of 6 octets. Raises MalformedError."""
    if len(data) != _CLOCK.size:
        raise MalformedError(f"a clock has 6 octets, not {len(data)}")
    seconds, fraction, quality = _CLOCK.unpack(data)
    source = _SOURCES.get(quality >> 6)
    if source is None:
        raise MalformedError("the clock names no source")
    exponent = quality & 0x3F
    return Clock(seconds * 1000 + (fraction * 1000 + 128) // 256, source, None if exponent == 63 else 1 << exponent)


def fix(data: bytes) -> Fix:
    """Read a fix of 11 octets or of 20. Raises MalformedError."""
    if len(data) not in (_FIX.size, _FIX.size + _LONG.size):
        raise MalformedError(f"a fix has 11 or 20 octets, not {len(data)}")
    lat, lon, accuracy, age, flags = _FIX.unpack_from(data)
    if abs(lat) > 900_000_000 or abs(lon) > 1_800_000_000:
        raise MalformedError("the fix lies outside the globe")
    if 127 < accuracy < 255:
        raise MalformedError(f"accuracy code {accuracy} is not defined")
    alt_m, speed_mps, track_deg, hdop, satellites = _long(data[_FIX.size :])
    return Fix(
        lat=lat / 1e7,
        lon=lon / 1e7,
        accuracy_m=None if accuracy == 255 else _accuracy_m(accuracy),
        age_s=_age_s(age),
        age_open=age == 255,
        three_dimensional=bool(flags & 1),
        coarse=bool(flags & 0x40),
        suspect=tuple(word for bit, word in _SUSPECT.items() if flags >> bit & 1),
        alt_m=alt_m,
        speed_mps=speed_mps,
        track_deg=track_deg,
        hdop=hdop,
        satellites=satellites,
    )


def _long(data: bytes) -> tuple[float | None, float | None, float | None, float | None, int | None]:
    if not data:
        return None, None, None, None, None
    altitude, speed, track, hdop, satellites = _LONG.unpack(data)
    if 36_000 <= track < 0xFFFF:
        raise MalformedError(f"track {track} is beyond 359.99 degrees")
    return (
        None if altitude == b"\x80\x00\x00" else int.from_bytes(altitude, "big", signed=True) / 10,
        None if speed == 0xFFFF else speed / 100,
        None if track == 0xFFFF else track / 100,
        None if hdop == 255 else hdop / 10,
        None if satellites == 255 else satellites,
    )


def _accuracy_m(code: int) -> float:
    """3GPP TS 23.032, section 6.1."""
    return float(10 * (1.1**code - 1))


def _age_s(code: int) -> float:
    """RFC 5497, section 5, with C = 1/1024 s."""
    if code == 0:
        return 0.0
    return float((1 + code % 8 / 8) * 2 ** (code // 8) / 1024)
