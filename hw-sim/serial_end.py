"""The receiver's end of a serial line: a pseudo-terminal that never waits for its reader, and a stable name for it.

A pty has no speed; but it keeps the speed that the reader has set, and an end with a speed of its own makes garbage of
what passes between unequal ones. Parity means nothing.
"""

import array
import contextlib
import fcntl
import os
import re
import secrets
import termios
import tty
from pathlib import Path

from bondmate_sim import uart
from bondmate_sim.errors import SimulatorError

UNREAD_LIMIT = 4_095
"""So many octets the line discipline keeps for a reader (N_TTY_BUF_SIZE - 1)."""
FLUSHES = 32
"""The kernel holds at most 64 kB behind the line discipline; each flush lets 4 kB through."""
SPEEDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[1-9]\d+", name)}
"""Baud, by what termios calls them."""
OUTPUT_SPEED = 5
"""Where tcgetattr has the speed."""


class SerialEnd:
    """A pty in raw mode. Use it as a context manager."""

    def __init__(self, link: Path | None, baud: int | None = None) -> None:
        """Open the pty; `link` becomes a symbolic link to its slave, in place of an older link.

        `baud` is the speed of this end; None: whatever the reader has. Raises SimulatorError when something that is no
        link has that name, or it cannot be made.
        """
        # The slave stays open here too: the settings outlive a reader that closes, and nobody reading is no error.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._slave_name = os.ttyname(self._slave)
        self._link = link
        self._baud = baud
        self.path = Path(self._slave_name) if link is None else link
        """What a reader opens."""
        if link is not None:
            try:
                self._make_link(link)
            except SimulatorError:
                self._close_pty()
                raise

    def __enter__(self) -> "SerialEnd":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the port go, and the link if it is still ours."""
        if self._link is not None:
            with contextlib.suppress(OSError):  # gone already, or another receiver's by now
                if str(self._link.readlink()) == self._slave_name:
                    self._link.unlink()
        self._close_pty()

    def send(self, data: bytes) -> int:
        """Write what fits, without waiting; returns how much did. What nobody reads is lost, as on a wire.

        A closed port keeps nothing: once the line is full of unread octets, they go, and a reader that opens later
        begins with what is sent then.
        """
        if self._baud is not None:
            data = uart.resample(data, self._baud, self._reader_baud(self._baud))
        if self.unread() >= UNREAD_LIMIT:
            self.flush()
        return self._write(data)

    def offer(self, data: bytes) -> int:
        """Write what fits, without waiting, and take nothing from a slow reader; returns how much did."""
        return self._write(data)

    def flush(self) -> None:
        """Lose what the reader has not read."""
        for _ in range(FLUSHES):
            termios.tcflush(self._slave, termios.TCIFLUSH)
            if self.unread() == 0:
                break

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def receive(self) -> bytes:
        """What the reader has sent, without waiting; nothing when it has sent nothing."""
        try:
            data = os.read(self._master, UNREAD_LIMIT)
        except BlockingIOError:
            return b""
        return data if self._baud is None else uart.resample(data, self._reader_baud(self._baud), self._baud)

    def fileno(self) -> int:
        """What becomes readable when the reader has sent something."""
        return self._master

    def unread(self) -> int:
        """Octets that wait for a reader in the line discipline."""
        count = array.array("i", [0])
        fcntl.ioctl(self._slave, termios.FIONREAD, count)
        return count[0]

    def _reader_baud(self, otherwise: int) -> int:
        # The settings of a pty belong to both its ends: our own slave shows what the reader has set.
        return SPEEDS.get(termios.tcgetattr(self._slave)[OUTPUT_SPEED], otherwise)

    def _make_link(self, link: Path) -> None:
        temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
        try:
            if link.exists() and not link.is_symlink():
                raise SimulatorError(f"{link} exists and is no symbolic link; name another with --link")
            temporary.symlink_to(self._slave_name)
            temporary.replace(link)
        except OSError as error:
            raise SimulatorError(f"cannot make the link {link}: {error}; name another with --link") from error

    def _close_pty(self) -> None:
        os.close(self._master)
        os.close(self._slave)
