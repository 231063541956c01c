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


def draw(state_dir: Path, ahead: int = 1) -> SessionId:
    """A new session id: the persisted start counter moved on by `ahead`, and 32 random bits.

    A counter that cannot be read counts as 0, one that cannot be written is logged: neither stops a start.
    """
    path = state_dir / COUNTER_FILE
    counter = (_read(path) + ahead) % _MODULUS
    try:
        replace_file(path, f"{counter}\n".encode())
    except OSError as error:
        log.warning("start counter not written: %s; if that lasts, the gateway refuses this device for a while", error)
    return SessionId(counter.to_bytes(2) + secrets.token_bytes(4))


def _read(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii")) % _MODULUS
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        log.warning("start counter %s not read: %s; counting from 0", path, error)
        return 0
