"""Waking devices for which messages wait, whoever wrote these (docs/protocol.md, sections 6 and 8).

It looks into the database whenever something was written there, and when an urgent message has waited long enough. A
wake-up is a chance and no promise: devices ask by themselves.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable

import apsw

from bondmate_sim.gateway import records, unfetched
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.inbox import Inbox
from bondmate_sim.gateway.pushes import Pushes
from bondmate_sim.gateway.sms import BEARER, SmsFace
from bondmate_sim.gateway.unfetched import Waiting

LOOK_S = 0.2
"""A human who writes a message does not feel this; asking SQLite whether anything changed costs microseconds."""

SMS_AFTER_MS = 10_000
"""An urgent message that was not fetched in this time over ip or lte is worth an SMS."""

AGAIN_MS = 10_000
"""When a device is looked at again for which something here failed: meanwhile the others are woken."""

_log = logging.getLogger("bondmate.gateway")


class Waker:
    """Wakes devices over IP once for what is new, and by SMS once a message."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        pushed: Pushes,
        face: SmsFace | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make one; `clock` gives UTC in seconds since 1970."""
        self._database = database
        self._inbox = inbox
        self._pushes = pushed
        self._face = face
        self._clock = clock
        self._told: dict[bytes, int] = {}
        """The newest message that each device was woken for over IP, in this run."""

    async def run(self) -> None:
        """Look until cancelled."""
        seen: object = None
        again_ms = math.inf
        while True:
            now_ms = int(self._clock() * 1000)
            try:
                changes = self._database.changes()
                if changes != seen or now_ms >= again_ms:
                    again_ms = self.look(now_ms)
                    seen = changes
            except apsw.Error as error:
                _log.error("cannot look for messages to wake devices for: %s; check the data directory's disk", error)
            await asyncio.sleep(LOOK_S)

    def look(self, now_ms: int) -> float:
        """Wake whom there is reason to, and return when to look again though nothing was written (UTC in ms).

        Raises apsw.Error.
        """
        again_ms = math.inf
        for waiting in unfetched.waiting(self._database, now_ms):
            try:
                again_ms = min(again_ms, self._look_at(waiting, now_ms))
            except apsw.Error:
                raise
            except Exception:  # noqa: BLE001 - one device shall not keep the others from being woken
                name = records.device_text(waiting.device)
                _log.exception("waking %s: an error of the gateway's own; report this", name)
                again_ms = min(again_ms, now_ms + AGAIN_MS)
        return again_ms

    def _look_at(self, waiting: Waiting, now_ms: int) -> float:
        device = waiting.device
        new = waiting.newest != self._told.get(device)
        if new and self._pushes.wake(device, asyncio.get_running_loop().time()):
            self._told[device] = waiting.newest
        overdue = [number for number, written_ms in waiting.urgent if written_ms + SMS_AFTER_MS <= now_ms]
        if overdue:
            self._wake_by_sms(waiting, overdue, now_ms)
        due = [written_ms + SMS_AFTER_MS for number, written_ms in waiting.urgent if number not in overdue]
        return min(due, default=math.inf)

    def _wake_by_sms(self, waiting: Waiting, overdue: list[int], now_ms: int) -> None:
        number = unfetched.sms_number(self._database, waiting.device)
        if self._face is None or number is None:
            return
        channel = self._inbox.reach(waiting.device, BEARER)
        if channel is None:
            return
        # Noted before it is sent: after a crash between the two, one SMS is missing, and none is sent twice.
        with self._database.transaction():
            unfetched.woken(self._database, waiting.device, overdue, now_ms)
        if self._face.wake(number, channel):
            _log.info("waking %s by SMS: it did not fetch what is urgent", records.device_text(waiting.device))
