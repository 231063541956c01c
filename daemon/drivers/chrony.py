"""Tells chrony the time, as samples of a SOCK reference clock: chrony.conf(5), refclock, and chrony's refclock_sock.c.

It sets no clock: what a sample is worth is for chrony to say. A socket that is not there, or not read, costs nothing.
"""

import logging
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

_SAMPLE = struct.Struct("@lldiiii")
"""struct sock_sample: a timeval (two longs), a double, pulse, leap, padding, magic, as this machine lays them out."""
_MAGIC = 0x534F434B
_NO_PULSE, _NO_LEAP, _PADDING = 0, 0, 0


def sample(system_ns: int, utc_ms: int) -> bytes:
    """One sample: when the system's clock said `system_ns` since 1970, it was `utc_ms`."""
    seconds, rest_ns = divmod(system_ns, 1_000_000_000)
    offset_s = (utc_ms * 1_000_000 - system_ns) / 1e9
    return _SAMPLE.pack(seconds, rest_ns // 1000, offset_s, _NO_PULSE, _NO_LEAP, _PADDING, _MAGIC)


class ChronySocket:
    """Sends to chronyd's datagram socket at a path, whenever there is one."""

    def __init__(self, path: Path, system_ns: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._system_ns = system_ns
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._said = ""
        """What was last said of a socket that does not work."""

    def tell(self, utc_ms: int) -> None:
        """This is the time now, in milliseconds since 1970. Neither waits nor raises."""
        try:
            # by its path each time: chronyd makes the socket anew at each of its starts
            self._socket.sendto(sample(self._system_ns(), utc_ms), str(self._path))
        except OSError as error:
            if (text := str(error)) != self._said:
                log.warning("chrony is not told the time at %s: %s", self._path, text)
            self._said = text
        else:
            self._said = ""

    def close(self) -> None:
        """Tell no more."""
        self._socket.close()
