"""A session is one run of the daemon; its id is also the OSCORE ID Context.

The start counter is persisted as well as can be; the random bits alone make the id unique.
"""

import logging
import secrets
from pathlib import Path

from bondmate.durable import replace_file
from bondmate.records import SessionId

log = logging.getLogger(__name__)

COUNTER_FILE = "start-counter"
AHEAD = 4096
"""How far the counter moves on when the gateway refuses us again and again: further than a restored card can be
behind, in an eighth of what the gateway takes for "ahead" (RFC 1982: half of all 65,536)."""
_MODULUS = 1 << 16


class StartCounter:
    """Draws session ids. The file is read once and written behind the draw: a dying disk must not hold a start up."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / COUNTER_FILE
        self.value = 0
        """The counter of the session drawn last, or what the file held."""

    def load(self) -> None:
        """Read the file. Blocks; a counter that cannot be read counts as 0."""
        try:
            self.value = int(self._path.read_text(encoding="ascii")) % _MODULUS
        except FileNotFoundError:
            log.info("no start counter yet: counting from 0")
        except (OSError, ValueError) as error:
            log.warning("start counter %s not read: %s; counting from 0", self._path, error)

    def draw(self, ahead: int = 1) -> SessionId:
        """A new session id: the counter moved on by `ahead`, and 32 random bits. `persist` it afterwards."""
        self.value = (self.value + ahead) % _MODULUS
        return SessionId(self.value.to_bytes(2) + secrets.token_bytes(4))

    def persist(self) -> None:
        """Write the file, durably. Blocks; a counter that cannot be written is logged."""
        try:
            replace_file(self._path, f"{self.value}\n".encode())
        except OSError as error:
            log.warning("start counter not written: %s; if that lasts, the gateway refuses us for a while", error)
