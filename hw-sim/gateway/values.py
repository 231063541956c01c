"""What single words of `bondmate-gateway`'s command line mean.

All of it raises argparse.ArgumentTypeError, with words for whoever typed it.
"""

import argparse
import re
import urllib.parse

from bondmate_sim.gateway import bundles, exercises, network
from bondmate_sim.gateway.messages import Place

MAX_DAYS = 366
MAX_MINUTES = exercises.MAX_S // 60
MAX_BATCH = 1000

_ADDRESS = re.compile(r"coap://(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")
"""A device takes no file with any other (docs/protocol.md, section 1)."""

_MAX_DEVICES = 1000
_MAX_SMPP_USER = 15
"""SMPP 3.4, section 4.1.5: a C-octet string of at most 16 octets, with its end."""

_MAX_GROUP = 64
_MAX_RADIUS_M = 2**32 - 1
_MAX_URL = 120
"""A bundle's URL has at most 200 octets (docs/protocol.md, section 10); its name takes up to 70 of them."""


def host_port(value: str) -> tuple[str, int]:
    """Read HOST:PORT."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def sms(value: str) -> tuple[str | None, str, int]:
    """Read an SMS provider: its user, if it has one, host and port."""
    kind, _, place = value.partition(":")
    user, at, address = place.rpartition("@")
    if kind == "centre" and not at:
        return None, *host_port(address)
    if kind == "smpp" and user.isascii() and user.isprintable() and 1 <= len(user) <= _MAX_SMPP_USER:
        return user, *host_port(address)
    raise argparse.ArgumentTypeError(
        f"{value!r} is neither centre:HOST:PORT nor smpp:NAME@HOST:PORT with a NAME of 1 to {_MAX_SMPP_USER} characters"
    )


def number(value: str) -> str:
    """Read a telephone number with its country code."""
    if not re.fullmatch(network.NUMBER, value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number with its country code, as +4915550001")
    return value


def address(value: str) -> str:
    """Read an address that devices find the gateway at."""
    found = _ADDRESS.fullmatch(value)
    if found is None or not 1 <= int(found[1]) <= 0xFFFF:
        raise argparse.ArgumentTypeError(
            f"{value!r} is not coap://HOST:PORT, with a HOST of letters, digits, '.', '-' and '_', or an IPv6 address"
            " in brackets, and a PORT from 1 to 65535"
        )
    return value


def count(value: str) -> int:
    """Read how many devices."""
    return whole(value, _MAX_DEVICES)


def days(value: str) -> int:
    """Read a number of days."""
    return whole(value, MAX_DAYS)


def fingerprint(value: str) -> str:
    """Read a key's fingerprint."""
    if not re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", value, re.ASCII):
        raise argparse.ArgumentTypeError(f"{value!r} is no fingerprint: four groups of four, as ABCD-EFGH-IJKL-MNOP")
    return value


def minutes(value: str) -> int:
    """Read how long an exercise is."""
    return whole(value, MAX_MINUTES)


def whole(value: str, most: int, least: int = 1) -> int:
    """Read a whole number from `least` to `most`."""
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from {least} to {most}")
    return int(value)


def device_id(value: str) -> bytes:
    """Read a device's id."""
    found = re.fullmatch(r"BM-([0-9a-f]{8})", value)
    if found is None:
        raise argparse.ArgumentTypeError(f"{value!r} is not a device id such as BM-7f3a09c1")
    return bytes.fromhex(found[1])


def group(value: str) -> str:
    """Read the name of a group."""
    if not value.isprintable() or re.search(r"[\s,]", value) or not 1 <= len(value) <= _MAX_GROUP:
        raise argparse.ArgumentTypeError(
            f"{value!r} is no name of a group: 1 to {_MAX_GROUP} printable characters without a space or comma"
        )
    return value


def area(value: str) -> Place:
    """Read an area."""
    number = r"(-?[0-9]{1,3}(?:\.[0-9]{1,9})?)"
    parts = re.fullmatch(rf"{number},{number},([0-9]{{1,10}})", value, re.ASCII)
    if parts is not None:
        lat, lon, radius_m = float(parts[1]), float(parts[2]), int(parts[3])
        if abs(lat) <= 90 and abs(lon) <= 180 and 1 <= radius_m <= _MAX_RADIUS_M:
            return Place(lat, lon, radius_m)
    raise argparse.ArgumentTypeError(f"{value!r} is not LAT,LON,RADIUS_M, as 38.7223,-9.1393,500")


def batch(value: str) -> int:
    """Read how many devices are updated at a time."""
    return whole(value, MAX_BATCH)


def percent(value: str) -> int:
    """Read how many of a hundred, and at least one."""
    return whole(value, 100)


def tolerated(value: str) -> int:
    """Read how many of a hundred may fail."""
    return whole(value, 100, least=0)


def rollout(value: str) -> int:
    """Read the number of a rollout."""
    return whole(value, 2**31)


def version(value: str) -> str:
    """Read a version that a bundle can have."""
    if not bundles.is_version(value):
        raise argparse.ArgumentTypeError(
            f"{value!r} is no version: 1 to 64 letters, digits, '.', '_', '+', '~' and '-', not beginning with a sign"
        )
    return value


def base_url(value: str) -> str:
    """Read where devices find bundles: http or https, a host, perhaps a path."""
    try:
        found = urllib.parse.urlsplit(value)
        plain = found.scheme in {"http", "https"} and bool(found.hostname) and (found.port is None or found.port > 0)
    except ValueError:
        plain, found = False, None
    if not plain or found is None or not re.fullmatch(r"[!-~]+", value) or {*value} & {"?", "#", "@"}:
        raise argparse.ArgumentTypeError(f"{value!r} is no URL such as https://gateway.example/bundles")
    if len(value) > _MAX_URL:
        raise argparse.ArgumentTypeError(f"the URL has more than {_MAX_URL} octets: devices take no bundle from there")
    return value.rstrip("/")
