"""What the running gateway does by itself, whoever asked for it: steps rollouts, forgets the keys of wiped devices."""

import asyncio
import logging
import time
from collections.abc import Callable

import apsw
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import records, rollouts
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.inbox import Inbox
from bondmate_sim.gateway.pushes import Pushes
from bondmate_sim.gateway.rollouts import Stepped

LOOK_S = 1.0
"""An update can wait so long; asking SQLite whether anything changed costs microseconds."""

AGAIN_MS = 60_000
"""What is due by the clock alone is due after days."""

_log = logging.getLogger("bondmate.gateway")


class Chores:
    """Does what is due whenever something was written, and now and then."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        pushed: Pushes,
        signing_key: ec.EllipticCurvePrivateKey,
        base_url: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make one; `base_url` is where devices find bundles, if anywhere, `clock` gives UTC in s since 1970."""
        self._database = database
        self._inbox = inbox
        self._pushes = pushed
        self._signing_key = signing_key
        self._base_url = base_url
        self._clock = clock
        self._nowhere: set[int] = set()
        """The rollouts of which was said that nobody can be told."""

    async def run(self) -> None:
        """Look until cancelled."""
        seen: object = None
        done_ms = 0
        while True:
            now_ms = int(self._clock() * 1000)
            try:
                changes = self._database.changes()
                if changes != seen or not 0 <= now_ms - done_ms < AGAIN_MS:
                    self.look(now_ms)
                    seen, done_ms = changes, now_ms
            except apsw.Error as error:
                _log.error("cannot look for rollouts and wiped devices: %s; check the data directory's disk", error)
            await asyncio.sleep(LOOK_S)

    def look(self, now_ms: int) -> None:
        """Do what is due at this time (UTC in ms). Raises apsw.Error."""
        for device in self._inbox.forget_wiped(now_ms):
            self._pushes.forget(device)
        for each in rollouts.step(self._database, self._signing_key, self._base_url, now_ms):
            self._say(each)

    def _say(self, each: Stepped) -> None:
        what = f"rollout {each.rollout.id} of {each.rollout.bundle.version}"
        if each.stopped is not None:
            _log.warning("STOPPED %s: %s; see 'bondmate-gateway rollout status'", what, each.stopped)
        if each.sent:
            _log.info("%s: told %s", what, ", ".join(map(records.device_text, each.sent)))
        if each.nowhere and each.rollout.id not in self._nowhere:
            self._nowhere.add(each.rollout.id)
            _log.warning("%s waits: start 'bondmate-gateway run' with --bundles or --bundles-url", what)
