"""The self-test in the running device: begun by a tool or by a gesture, and ended at once by an alert.

What belongs to it and in which order is core/selftest's, how parts are looked at checks'. A press goes its usual way
before this hears of it: nothing here can swallow or hold up a call.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bondmate import __version__
from bondmate.checks import Bench, Probe, probes
from bondmate.core.feedback import Pattern
from bondmate.core.lamp import Light
from bondmate.core.selftest import Row, SelfTest, Verdict
from bondmate.core.tapping import Knock, Press, Presses
from bondmate.errors import LocalError
from bondmate.palm import Palm
from bondmate.records import Fix, Kind
from bondmate.tracker import Recording

log = logging.getLogger(__name__)

ABOUT = b"self-test"
"""What its vibrations are about, in place of a record's digest."""
SHOWN_S = 10.0
"""So long the LED shows what came of it."""
LED_S = 2 * sum(Light.TRIAL.value)


Show = Callable[[], Awaitable[None]]


class SelfTester:
    """One test at a time. All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        make_bench: Callable[[Show, Show], Bench],
        palm: Palm,
        receiver: Callable[[bool], None],
        alert_open: Callable[[], bool],
        record: Recording,
        changed: Callable[[], None],
    ) -> None:
        """`make_bench` is given what shows the LED's trial, and what lets the motor's be felt.

        `receiver` wakes it for a test, or lets it go; `changed` is called when the LED has something else to show.
        """
        self._make_bench = make_bench
        self._palm = palm
        self._receiver = receiver
        self._alert_open = alert_open
        self._record = record
        self._changed = changed
        self._now = asyncio.get_running_loop().time
        self._number = 0
        self._test: SelfTest | None = None
        """The last."""
        self._is_under_way = False
        """It is neither over, with all that follows from that, nor cancelled."""
        self._bench: Bench
        """Set while there is a test."""
        self._probes: Mapping[str, Probe] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._presses = Presses()
        self._knock: Knock | None = None
        """Set when the device is armed."""
        self._asked_s = math.inf
        """When the press was asked for that counts; inf before that."""
        self._felt = asyncio.Event()
        self.light: Light | None = None
        """What the LED shows of it; None: nothing."""
        self._dark_s: float | None = None
        """When that ends."""
        self.wake = asyncio.Event()
        """Set when `step` has something to look at."""

    # --- its life --------------------------------------------------------------------------------------

    def armed(self) -> None:
        """From now on the gesture counts."""
        self._knock = Knock(self._now())

    def begin(self) -> None:
        """Begin one; one that is under way ends. LocalError while an alert is open."""
        if self._alert_open():
            raise LocalError("an alert is open: the self-test waits until it is over")
        self._end("another self-test was begun")
        self._number += 1
        self._test, self._is_under_way = SelfTest(), True
        self._asked_s = math.inf
        self._bench = self._make_bench(self._show_led, self._vibrate)
        self._probes = probes(self._bench)
        self._receiver(True)
        log.info("self-test %d begins", self._number)
        self._show(None)
        self.wake.set()

    def alert_opened(self) -> None:
        """There is something that matters more."""
        self._palm.break_off(ABOUT)
        self._end("an alert was raised")
        if self.light is not None:
            self._show(None)

    def _end(self, why: str) -> None:
        """End the one that is under way, if there is one."""
        if self._test is None or not self._is_under_way:
            return
        self._test.cancel(why)
        log.info("self-test %d was ended: %s", self._number, why)
        self._clear()

    def _clear(self) -> None:
        self._is_under_way = False
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._bench.fixes.clear()  # off duty nothing of where it was stays in memory
        self._receiver(False)

    def step(self, now: float) -> float | None:
        """Let time pass; when there is something to look at again."""
        if (press := self._presses.poll(now)) is not None:
            self._pressed(press)
        if self._dark_s is not None and now >= self._dark_s:
            self._show(None)
        test = self._test
        if test is not None and self._is_under_way:
            self._step(test, now)
        dues = (self._presses.next_due(), self._dark_s, None if test is None else test.next_due())
        return min((due for due in dues if due is not None), default=None)

    def _step(self, test: SelfTest, now: float) -> None:
        for name in test.late(now):
            try:
                verdict = self._probes[name].late()
            except Exception as error:  # noqa: BLE001 - it is logged there
                verdict = _broken(name, error)
            test.found(name, verdict)
            self._stop(name)
        for name in test.begin(now):
            if name == "button":
                self._asked_s = now
                self._show(Light.PRESS)
                self._palm.play(Pattern.ATTENTION, ABOUT)
            self._tasks[name] = asyncio.get_running_loop().create_task(self._run(test, name))
        if test.is_over:
            self._over(test, now)

    def _stop(self, name: str) -> None:
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()
        if name in ("button", "led"):
            self._show(None)

    async def _run(self, test: SelfTest, name: str) -> None:
        try:
            verdict = await self._probes[name].run()
        except Exception as error:  # noqa: BLE001 - it is logged there
            verdict = _broken(name, error)
        test.found(name, verdict)
        self._tasks.pop(name, None)
        if name in ("button", "led"):
            self._show(None)
        self.wake.set()

    def _over(self, test: SelfTest, now: float) -> None:
        self._clear()
        failed = [row.check.name for row in test.rows() if row.verdict is not None and row.verdict.ok is False]
        log.info("self-test %d is over: %s", self._number, f"failed: {', '.join(failed)}" if failed else "all is well")
        if test.is_acceptance:
            self._record(Kind.ACCEPTANCE, body=[__version__, test.acceptance()])
        self._palm.play(Pattern.STORED if test.passed else Pattern.NO_WAY_OUT, ABOUT)
        self._show(Light.PASSED if test.passed else Light.FAILED, now + SHOWN_S)

    # --- what it hears ---------------------------------------------------------------------------------

    def on_edge(self, down: bool, at: float, *, from_start: bool) -> None:
        """An edge of the button, behind whatever else is made of it."""
        if (press := self._presses.edge(down, at, from_start=from_start)) is not None:
            self._pressed(press)
        self.wake.set()

    def on_fix(self, fix: Fix) -> None:
        """A new fix."""
        if self._is_under_way:
            self._bench.fixes[:] = [fix]

    def felt(self) -> None:
        """One of its patterns was felt to its end."""
        self._felt.set()

    def _pressed(self, press: Press) -> None:
        if self._is_under_way and press.began_s >= self._asked_s and not press.from_start:
            self._bench.presses[:] = [press]
        if self._knock is not None and self._knock.take(press) and not self._is_under_way and not self._alert_open():
            log.info("five short presses: a self-test is wanted")
            self.begin()

    # --- what it shows ---------------------------------------------------------------------------------

    async def _show_led(self) -> None:
        self._show(Light.TRIAL)
        await asyncio.sleep(LED_S)

    async def _vibrate(self) -> None:
        self._felt.clear()
        self._palm.play(Pattern.ATTENTION, ABOUT)
        await self._felt.wait()

    def _show(self, light: Light | None, until_s: float | None = None) -> None:
        self.light, self._dark_s = light, until_s
        self._changed()

    def to_json(self) -> dict[str, Any] | None:
        """The last test, as docs/api.yaml has it; None before any."""
        test = self._test
        if test is None:
            return None
        return {
            "number": self._number,
            "state": "cancelled" if test.cancelled is not None else "done" if test.is_over else "running",
            "why": test.cancelled,
            "ok": test.passed if test.is_over else None,
            "checks": [
                {
                    "check": row.check.name,
                    "state": "done" if row.verdict is not None else "running" if row.began else "waiting",
                    "ok": row.verdict and row.verdict.ok,
                    "text": _text(row),
                    "next": row.verdict and row.verdict.next,
                }
                for row in test.rows()
            ],
        }


def _broken(name: str, error: Exception) -> Verdict:
    """Whatever is wrong with a part, the others are looked at, and the device lives."""
    log.error("self-test: %s could not be looked at", name, exc_info=error)
    return Verdict(False, f"could not be looked at: {str(error) or type(error).__name__}", "see the log")


def _text(row: Row) -> str:
    """What was found; until then what is awaited."""
    if row.verdict is not None:
        return row.verdict.text
    return f"waiting for {row.check.waits_for}" if row.began else f"behind {row.check.after}"
