"""The other end of sd_notify(3): a datagram socket that a service tells READY=1 and STATUS=, as it would tell systemd.

It only writes down; it restarts nothing and keeps no watchdog.
"""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

MAX_MESSAGE_OCTETS = 4_096
MAX_MESSAGES = 100_000


@dataclass(frozen=True, slots=True)
class Notice:
    """One assignment of a message, such as READY and 1, with the time at which it came (CLOCK_MONOTONIC)."""

    t_ns: int
    name: str
    value: str


class NotifySocket:
    """A bound socket with a thread that empties it: a full queue would block the service that notifies."""

    def __init__(self, path: Path) -> None:
        """Bind to `path`, which must not exist."""
        self.path = path
        self._notices: list[Notice] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._reader = threading.Thread(target=self._read, name="notify-reader", daemon=True)
        self._reader.start()

    def notices(self, name: str, since_ns: int = 0) -> list[Notice]:
        """All assignments of `name` since then, in order."""
        return [notice for notice in list(self._notices) if notice.name == name and notice.t_ns >= since_ns]

    def close(self) -> None:
        """Stop reading, and remove the socket."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()

    def _read(self) -> None:
        while message := self._socket.recv(MAX_MESSAGE_OCTETS):
            t_ns = time.monotonic_ns()
            for line in message.decode(errors="replace").splitlines():
                name, _, value = line.partition("=")
                if len(self._notices) < MAX_MESSAGES:
                    self._notices.append(Notice(t_ns, name, value))
