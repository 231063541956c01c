"""Distances and directions over ground. Pure."""

import math
from typing import Protocol

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of WGS 84 (IUGG)."""


class Point(Protocol):
    """A place in WGS 84 degrees: a fix, for instance."""

    @property
    def lat(self) -> float:
        """Latitude."""

    @property
    def lon(self) -> float:
        """Longitude."""


def distance_m(one: Point, other: Point) -> float:
    """The way over ground between two points, on a sphere: right within half a per cent."""
    north = math.sin(math.radians(other.lat - one.lat) / 2) ** 2
    east = math.sin(math.radians(other.lon - one.lon) / 2) ** 2
    chord = north + math.cos(math.radians(one.lat)) * math.cos(math.radians(other.lat)) * east
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))


def bearing_deg(one: Point, other: Point) -> float:
    """The direction in which a great circle leaves `one` for `other`, clockwise from north, 0 up to 360."""
    lat, to_lat = math.radians(one.lat), math.radians(other.lat)
    east = math.radians(other.lon - one.lon)
    x = math.sin(east) * math.cos(to_lat)
    y = math.cos(lat) * math.sin(to_lat) - math.sin(lat) * math.cos(to_lat) * math.cos(east)
    degrees = math.degrees(math.atan2(x, y)) % 360
    return 0.0 if degrees == 360 else degrees
