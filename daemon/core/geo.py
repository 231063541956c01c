"""Distances over ground. Pure."""

import math

from bondmate.records import Fix

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of WGS 84 (IUGG)."""


def distance_m(one: Fix, other: Fix) -> float:
    """The way over ground between two fixes, on a sphere: right within half a per cent."""
    north = math.sin(math.radians(other.lat - one.lat) / 2) ** 2
    east = math.sin(math.radians(other.lon - one.lon) / 2) ** 2
    chord = north + math.cos(math.radians(one.lat)) * math.cos(math.radians(other.lat)) * east
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))
