"""A walker's receiver: positions along a route, spoken as NMEA 0183 sentences. Pure: time comes in, octets come out.

The sky is always good: nine satellites, a three-dimensional fix. It does not model errors of reception.
"""

import datetime
import itertools
import math
from dataclasses import dataclass

WALK_MPS = 1.4
"""The usual pace of a pedestrian (Bohannon, 1997)."""
EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of WGS 84 (IUGG)."""
KNOT_MPS = 0.514444
ALTITUDE_M = 12.3
GEOID_M = 53.4
"""Height of the geoid over the ellipsoid near Lisbon."""
SATELLITES = (2, 5, 7, 13, 15, 20, 24, 28, 30)
PDOP, HDOP, VDOP = 1.6, 0.9, 1.3
ERRORS_M = (2.4, 1.9, 3.1)
"""One standard deviation in latitude, longitude and altitude, for GST."""


@dataclass(frozen=True, slots=True)
class Point:
    """Degrees, WGS 84, north and east positive."""

    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Motion:
    """Where the walker is, and how it moves."""

    point: Point
    speed_mps: float
    track_deg: float


def parse_point(text: str) -> Point:
    """`38.7223,-9.1393`. Raises ValueError with what is wrong."""
    lat, separator, lon = text.partition(",")
    if not separator:
        raise ValueError(f"{text!r} is not LAT,LON in degrees")
    point = Point(float(lat), float(lon))
    if not (abs(point.lat) <= 89 and abs(point.lon) <= 180):
        raise ValueError(f"{text!r}: latitude must be within 89 degrees, longitude within 180")
    return point


def walk(route: tuple[Point, ...], elapsed_s: float) -> Motion:
    """The walker after so long: along the route, back again, and so on. One point alone is a standing walker."""
    there_and_back = route + route[-2::-1]
    legs = [(here, there, _metres(here, there)) for here, there in itertools.pairwise(there_and_back)]
    round_m = sum(length for _, _, length in legs)
    if round_m == 0:
        return Motion(route[0], 0.0, 0.0)
    left_m = elapsed_s * WALK_MPS % round_m
    for here, there, length in legs:
        if left_m < length:
            part = left_m / length
            point = Point(here.lat + (there.lat - here.lat) * part, here.lon + (there.lon - here.lon) * part)
            return Motion(point, WALK_MPS, _bearing_deg(here, there))
        left_m -= length
    return Motion(route[0], WALK_MPS, _bearing_deg(*there_and_back[:2]))


def speak(motion: Motion, now: datetime.datetime) -> bytes:
    """One epoch: GGA, RMC, GSA, GST and VTG, each ending with CR LF. `now` must be UTC."""
    clock = f"{now:%H%M%S}.{now.microsecond // 10_000:02d}"
    where = f"{_degrees(motion.point.lat, 2, 'NS')},{_degrees(motion.point.lon, 3, 'EW')}"
    knots, track = motion.speed_mps / KNOT_MPS, motion.track_deg
    used = ",".join(f"{number:02d}" for number in SATELLITES) + "," * (12 - len(SATELLITES))
    lat_m, lon_m, alt_m = ERRORS_M
    return b"".join(
        _sentence(body)
        for body in (
            f"GPGGA,{clock},{where},1,{len(SATELLITES):02d},{HDOP},{ALTITUDE_M},M,{GEOID_M},M,,",
            f"GPRMC,{clock},A,{where},{knots:.2f},{track:.1f},{now:%d%m%y},,,A",
            f"GPGSA,A,3,{used},{PDOP},{HDOP},{VDOP}",
            f"GPGST,{clock},1.2,{lat_m},{lon_m},0.0,{lat_m},{lon_m},{alt_m}",
            f"GPVTG,{track:.1f},T,,M,{knots:.2f},N,{motion.speed_mps * 3.6:.2f},K,A",
        )
    )


def _sentence(body: str) -> bytes:
    checksum = 0
    for octet in body.encode():
        checksum ^= octet
    return f"${body}*{checksum:02X}\r\n".encode()


def _degrees(value: float, width: int, hemispheres: str) -> str:
    """ddmm.mmmmm,N. Rounded as one integer, so that 59.999999 minutes become the next degree and never 60."""
    units = round(abs(value) * 60 * 100_000)
    degrees, rest = divmod(units, 60 * 100_000)
    minutes, fraction = divmod(rest, 100_000)
    return f"{degrees:0{width}d}{minutes:02d}.{fraction:05d},{hemispheres[value < 0]}"


def _metres(here: Point, there: Point) -> float:
    """Length of a leg, on a plane: within a millimetre a metre for the length of a walk."""
    north = math.radians(there.lat - here.lat)
    east = math.radians(there.lon - here.lon) * math.cos(math.radians((here.lat + there.lat) / 2))
    return EARTH_RADIUS_M * math.hypot(north, east)


def _bearing_deg(here: Point, there: Point) -> float:
    east = (there.lon - here.lon) * math.cos(math.radians((here.lat + there.lat) / 2))
    return math.degrees(math.atan2(east, there.lat - here.lat)) % 360
