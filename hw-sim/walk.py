"""A walker's receiver: positions along a route, spoken as NMEA 0183 sentences. Pure: time comes in, octets come out.

The fix is always good and three-dimensional, whichever systems are switched on. It does not model errors of reception.
"""

import datetime
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bondmate_sim import nmea
from bondmate_sim.programme import MAJOR, TALKER, Edition, Programme, Sentence
from bondmate_sim.sky import Sighting, System, look

WALK_MPS = 1.4
"""The usual pace of a pedestrian (Bohannon, 1997)."""
EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of WGS 84 (IUGG)."""
KNOT_MPS = 0.514444
ALTITUDE_M = 12.3
GEOID_M = 53.4
"""Height of the geoid over the ellipsoid near Lisbon."""
PDOP, HDOP, VDOP = 1.6, 0.9, 1.3
ERRORS_M = (2.4, 1.9, 3.1)
"""One standard deviation in latitude, longitude and altitude, for GST."""
GSA_PLACES = 12
GSV_PLACES = 4
SYSTEM_IDS = {System.GPS: "1", System.GLONASS: "2", System.GALILEO: "3", System.BEIDOU: "4"}
SIGNAL_IDS = {System.GPS: "1", System.GLONASS: "1", System.GALILEO: "7", System.BEIDOU: "3"}
"""NMEA 4.11: L1 C/A, G1 C/A, E1 and B1C."""


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


def speak(motion: Motion, now: datetime.datetime, programme: Programme = TALKER, epoch: int = 0) -> bytes:
    """One epoch of a programme: the sentences that are its turn, each ending with CR LF. `now` must be UTC."""
    seen = [sighting for sighting in look(now) if sighting.satellite.system in programme.systems]
    spoken = [sighting for sighting in seen if sighting.satellite.system in programme.edition.offsets]
    majors = [system for system in MAJOR if system in programme.systems]
    systems = [system for system in majors if system in programme.edition.offsets]
    talker = programme.edition.talkers[majors[0]] if len(majors) == 1 else "GN"
    bodies: dict[Sentence, Iterator[str]] = {
        **_of_the_fix(talker, motion, now, programme, seen),
        "GSA": _gsa(talker, systems, spoken, programme.edition),
        "GSV": _gsv(systems, spoken, programme.edition),
    }
    order: tuple[Sentence, ...] = ("GGA", "RMC", "GNS", "GSA", "GSV", "GST", "VTG", "GLL", "ZDA")
    return b"".join(
        nmea.frame(body) for sentence in order if programme.says(sentence, epoch) for body in bodies[sentence]
    )


def _of_the_fix(
    talker: str, motion: Motion, now: datetime.datetime, programme: Programme, seen: Sequence[Sighting]
) -> dict[Sentence, Iterator[str]]:
    """The sentences of one body each."""
    clock = f"{now:%H%M%S}.{now.microsecond // 10_000:02d}"
    where = f"{_degrees(motion.point.lat, 2, 'NS')},{_degrees(motion.point.lon, 3, 'EW')}"
    knots, track = motion.speed_mps / KNOT_MPS, motion.track_deg
    used = sum(sighting.satellite.part == "used" for sighting in seen)
    modes = "".join("A" if system in programme.systems else "N" for system in MAJOR)
    lat_m, lon_m, alt_m = ERRORS_M
    v411 = programme.edition.v411
    bodies: dict[Sentence, str] = {
        "GGA": f"GGA,{clock},{where},1,{used:02d},{HDOP},{ALTITUDE_M},M,{GEOID_M},M,,",
        "RMC": f"RMC,{clock},A,{where},{knots:.2f},{track:.1f},{now:%d%m%y},,,A" + ",V" * v411,
        "GNS": f"GNS,{clock},{where},{modes if v411 else modes[:2]},{used:02d},{HDOP},{ALTITUDE_M},{GEOID_M},,"
        + ",V" * v411,
        "GST": f"GST,{clock},1.2,{lat_m},{lon_m},0.0,{lat_m},{lon_m},{alt_m}",
        "VTG": f"VTG,{track:.1f},T,,M,{knots:.2f},N,{motion.speed_mps * 3.6:.2f},K,A",
        "GLL": f"GLL,{where},{clock},A,A",
        "ZDA": f"ZDA,{clock},{now:%d,%m,%Y},00,00",
    }
    return {sentence: iter([talker + body]) for sentence, body in bodies.items()}


def _gsa(main_talker: str, systems: Sequence[System], spoken: Sequence[Sighting], edition: Edition) -> Iterator[str]:
    """One sentence a system, also for one of which nothing is used."""
    for system in systems:
        used = [f"{_number(one, edition):02d}" for one in _of(system, spoken) if one.satellite.part == "used"]
        places = ",".join(used[:GSA_PLACES] + [""] * (GSA_PLACES - len(used)))
        talker = edition.talkers[system] if edition.gsa_by_system else main_talker
        identifier = f",{SYSTEM_IDS[system]}" if edition.v411 else ""
        yield f"{talker}GSA,A,3,{places},{PDOP},{HDOP},{VDOP}{identifier}"


def _gsv(systems: Sequence[System], spoken: Sequence[Sighting], edition: Edition) -> Iterator[str]:
    """Four satellites a sentence, each system under its own talker."""
    for system in systems:
        seen = _of(system, spoken)
        count = math.ceil(len(seen) / GSV_PLACES)
        signal = f",{SIGNAL_IDS[system]}" if edition.v411 else ""
        for number in range(count):
            blocks = "".join(
                f",{_number(one, edition):02d},{one.elevation_deg:02d},{one.azimuth_deg:03d},"
                + ("" if one.cn0_dbhz is None else f"{one.cn0_dbhz:02d}")
                for one in seen[number * GSV_PLACES : (number + 1) * GSV_PLACES]
            )
            yield f"{edition.talkers[system]}GSV,{count},{number + 1},{len(seen):02d}{blocks}{signal}"


def _of(system: System, spoken: Sequence[Sighting]) -> list[Sighting]:
    """What is said under that system: SBAS is heard on GPS's frequency, and reported with it."""
    together = (System.GPS, System.SBAS) if system is System.GPS else (system,)
    return [sighting for sighting in spoken if sighting.satellite.system in together]


def _number(sighting: Sighting, edition: Edition) -> int:
    return sighting.satellite.number + edition.offsets[sighting.satellite.system]


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
