"""What the daemon tells the updater, read once: every value from outside is checked and bounded."""

import re
from dataclasses import dataclass
from typing import Any

MAX_OCTETS = 1 << 30
MAX_URL = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")


class UnfitError(Exception):
    """The daemon said something that makes no sense to this updater."""


@dataclass(frozen=True, slots=True)
class Order:
    """An update that is wanted: message `number` of the gateway. `sha256` is in hexadecimal."""

    number: int
    software: str
    url: str
    octets: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is to do, what may be done now, and how the device is."""

    order: Order | None
    may_fetch: bool
    may_install: bool
    may_restart: bool
    why_not: str | None
    """What the first of them that may not be waits for."""
    alert_open: bool | None
    """An alert is open, or a call has no receipt: nothing at all is done to the device. None: nobody knows yet."""
    unwell: str | None
    """Why the device is not as it should be; None: it is armed, has its store, and reaches its gateway."""
    reached: bool
    """The gateway has been reached since the daemon's start."""


def read(said: Any) -> Situation:
    """Return what the daemon said to GET /update. Raises UnfitError."""
    match said:
        case {
            "wanted": wanted,
            "may": {"fetch": bool(fetch), "install": bool(install), "restart": bool(restart)},
            "why_not": str() | None as why_not,
            "alert_open": bool() | None as alert_open,
            "unwell": str() | None as unwell,
            "reached": bool(reached),
        }:
            order = None if wanted is None else _order(wanted)
            return Situation(order, fetch, install, restart, why_not, alert_open, unwell, reached)
        case _:
            raise UnfitError(f"the daemon says {said!r:.200} of updates")


def _order(wanted: Any) -> Order:
    match wanted:
        case {
            "number": int(number),
            "software": str(software),
            "url": str(url),
            "octets": int(octets),
            "sha256": str(sha256),
        } if 1 <= octets <= MAX_OCTETS and len(url) <= MAX_URL and _DIGEST.fullmatch(sha256):
            return Order(number, software, url, octets, sha256)
        case _:
            raise UnfitError(f"the daemon wants {wanted!r:.400} installed")
