"""A session is one run of the daemon; its id is also the OSCORE ID Context.

With it, the thread for the small files that a run reads and writes beside its work. The start counter is persisted as
well as can be; the random bits alone make the id unique.
"""

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from bondmate.durable import replace_file
from bondmate.records import SessionId

log = logging.getLogger(__name__)

COUNTER_FILE = "start-counter"
AHEAD = 4096
"""How far the counter moves on when the gateway refuses us again and again: further than a restored card can be
behind, in an eighth of what the gateway takes for "ahead" (RFC 1982: half of all 65,536)."""
_MODULUS = 1 << 16


class Chores:
    """Does small things on the disk, one by one in the order in which they came, in one thread.

    A disk that hangs holds up this thread and nothing else: not the event loop's executor, which others need, and not
    the end of the process. A chore that waits already is not put a second time, so they never pile up.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._waiting: set[Callable[[], None]] = set()
        threading.Thread(target=self._work, name="chores", daemon=True).start()

    def begin(self, chore: Callable[[], None]) -> None:
        """Do it some time. It takes the values that it writes when it is done, so the last ones are written."""
        if chore not in self._waiting:
            self._waiting.add(chore)
            self._calls.put(chore)

    async def settled(self) -> None:
        """Wait until all that was begun so far is done: for as long as the disk likes."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # nobody waits any more, and the event loop has ended
                loop.call_soon_threadsafe(done.set)

        self._calls.put(tell)
        await done.wait()

    async def close(self) -> None:
        """Wait as `settled` does; the thread ends behind it, whether anybody waits or not."""
        try:
            await self.settled()
        finally:
            self._calls.put(None)

    def _work(self) -> None:
        while (chore := self._calls.get()) is not None:
            self._waiting.discard(chore)
            try:
                chore()
            except Exception:
                log.exception("a chore on the disk failed")


class StartCounter:
    """Draws session ids. The file is read once and written behind the draw: a dying disk must not hold a start up."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / COUNTER_FILE
        self.value = 0
        """The counter of the session drawn last, or what the file held."""
        self.is_first = False
        """The directory is there, and nothing was ever kept in it: this is the device's first session."""

    def load(self) -> None:
        """Read the file. Blocks; a counter that cannot be read counts as 0, and one that comes late never goes back."""
        try:
            self.is_first = not any(self._path.parent.iterdir())
            self.value = max(self.value, int(self._path.read_text(encoding="ascii")) % _MODULUS)
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
