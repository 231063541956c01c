"""A file over HTTP in ranges (RFC 9110, section 14): it goes on where it broke off, and is no longer than announced."""

import hashlib
import http.client
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from bondmate.updater.order import Order

SILENCE_S = 30.0
"""So long a server may say nothing."""
LOOK_S = 2.0
"""How often it is asked whether to go on: a press stops it that soon."""
SPARE_OCTETS = 64 << 20
"""So much of the partition stays free: records have their place on it too."""

_CHUNK_OCTETS = 64 << 10
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


class BrokenOffError(Exception):
    """Nothing or not all came: what is here is kept, and gone on from."""


class NoWayError(BrokenOffError):
    """The server could not be reached: the device is somewhere else, and it is no fault of the update's."""


class StoppedError(Exception):
    """It is to come later, said whoever was asked: what is here is kept, and gone on from."""


class HopelessError(Exception):
    """It will not come, however often it is asked for."""


def fetch(order: Order, part: Path, go_on: Callable[[], bool]) -> None:
    """Have the whole of what was ordered in the file `part`, of which some may be there already.

    `go_on` is asked every LOOK_S. Raises BrokenOffError, StoppedError, HopelessError, OSError of the disk.
    """
    have = part.stat().st_size if part.exists() else 0
    if have > order.octets:
        part.unlink()
        have = 0
    if have < order.octets:
        _room(part.parent, order.octets - have)
        _go_on_from(order, part, have, go_on)
    if (found := _sha256(part)) != order.sha256:
        part.unlink()
        raise HopelessError(f"the SHA-256 of what came is {found[:16]}…, ordered was {order.sha256[:16]}…")


def _room(folder: Path, octets: int) -> None:
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize - SPARE_OCTETS
    if free < octets:
        raise HopelessError(f"no room: {octets >> 20} MiB are to come, and {max(free, 0) >> 20} MiB may be used")


def _go_on_from(order: Order, part: Path, have: int, go_on: Callable[[], bool]) -> None:
    """Fetch what is missing behind `have` octets."""
    connection = _connect(order.url)
    try:
        place = urlsplit(order.url)
        headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity", "User-Agent": "bondmate-updater"}
        try:
            connection.request("GET", f"{place.path or '/'}{place.query and '?'}{place.query}", headers=headers)
            response = connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            raise _broken_off(order, error) from error
        have = _begins_at(order, response, have)
        with part.open("r+b" if have else "wb") as file:
            file.truncate(have)
            file.seek(have)
            try:
                _copy(order, response, file.write, order.octets - have, go_on)
            finally:
                file.flush()
                os.fsync(file.fileno())
    finally:
        connection.close()


def _broken_off(order: Order, error: Exception) -> BrokenOffError:
    return BrokenOffError(f"{order.url}: {str(error) or type(error).__name__}")


def _connect(url: str) -> http.client.HTTPConnection:
    """Raises NoWayError, HopelessError."""
    try:
        place = urlsplit(url)
        host, port = place.hostname, place.port
    except ValueError as error:
        raise HopelessError(f"{url} is no URL: {error}") from error
    if host is None or place.scheme not in {"http", "https"} or not (url.isascii() and url.isprintable()) or " " in url:
        raise HopelessError(f"{url!r} is no http:// or https:// URL")
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    # without a port it would look for one behind the last colon of an IPv6 address
    connection = kind(host, port or kind.default_port, timeout=SILENCE_S)
    try:
        connection.connect()
    except ValueError as error:  # no name that could be looked up: a label is empty or too long
        raise HopelessError(f"{url} names no host: {error}") from error
    except OSError as error:  # no such name, no such host, no certificate that counts (ssl.SSLError)
        connection.close()
        raise NoWayError(f"{url}: {error}") from error
    return connection


def _begins_at(order: Order, response: http.client.HTTPResponse, have: int) -> int:
    """From which octet on the answer is. Raises BrokenOffError, HopelessError for an answer that is not to be used."""
    match response.status:
        case http.client.PARTIAL_CONTENT:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != have:
                raise HopelessError(f"{order.url}: asked for octets from {have} on, and others came")
            length = match[3]
        case http.client.OK:  # a server without ranges begins anew
            have, length = 0, response.headers.get("Content-Length", "")
        case status if status >= 500 or status in {http.client.REQUEST_TIMEOUT, http.client.TOO_MANY_REQUESTS}:
            raise BrokenOffError(f"{order.url}: {status} {response.reason[:60]}")
        case status:
            raise HopelessError(f"{order.url}: {status} {response.reason[:60]}")
    if length != str(order.octets):
        raise HopelessError(f"{order.url}: {length or 'not told how many'} octets, ordered were {order.octets}")
    return have


def _copy(
    order: Order,
    response: http.client.HTTPResponse,
    write: Callable[[bytes], object],
    octets: int,
    go_on: Callable[[], bool],
) -> None:
    looked_s = time.monotonic()
    while octets:
        try:
            chunk = response.read1(min(_CHUNK_OCTETS, octets))
        except (http.client.HTTPException, OSError) as error:
            raise _broken_off(order, error) from error
        if not chunk:
            raise BrokenOffError(f"{order.url}: it broke off, {octets} octets before its end")
        write(chunk)
        octets -= len(chunk)
        if octets and time.monotonic() - looked_s >= LOOK_S:
            looked_s = time.monotonic()
            if not go_on():
                raise StoppedError


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
