"""Where the device is, and only when that is justified: wakes and silences the receiver, and has recorded what is due.

Knows nothing of how duty is kept (see duty) and how an alert goes on (see device): it is told.
"""

import logging
from typing import Any, Protocol

from bondmate import wire
from bondmate.core.lamp import OF_A_TEST, Lamp, Light
from bondmate.core.tracking import Record, Tracking
from bondmate.ports import Indicator, Locator
from bondmate.records import EarlierAlert, Fix, Kind

log = logging.getLogger(__name__)

SHORT_EVERY = 8
"""Each so many-th position has the short form, which always fits one SMS: the long one does not, from number 256 on."""


class Recording(Protocol):
    """Makes a record of what is known now, and keeps it. `fix` is packed."""

    def __call__(self, kind: Kind, fix: bytes | None = None, body: Any = None) -> object: ...


class Tracker:
    """Times are the monotonic clock's, in seconds."""

    def __init__(self, tracking: Tracking, locator: Locator, indicator: Indicator, record: Recording) -> None:
        self.tracking = tracking
        self._locator = locator
        self._indicator = indicator
        self._record = record
        self._lamp = Lamp()
        self._positions = 0
        """How many were recorded in this session."""
        self._is_tested = False
        """A self-test needs the receiver, whatever else does."""
        self._under_duress = False
        """Somebody forced the officer to take an alert back: nothing may show it, but presences are precise."""

    @property
    def fix(self) -> Fix | None:
        """The last fix; None when none may be known."""
        return self.tracking.fix

    @property
    def wants_receiver(self) -> bool:
        """Whether the receiver is awake: on duty, in an alert, or because it is tested."""
        return self.tracking.wants_receiver or self._is_tested

    def test(self, on: bool) -> None:
        """A self-test begins, or ends. What the receiver says for it alone is neither kept nor recorded."""
        self._is_tested = on
        self._follow()

    def set_duty(self, on: bool) -> None:
        """A shift begins, or ends."""
        self._under_duress = False
        self.tracking.set_duty(on)
        self._follow()

    def open_alert(self, now: float) -> None:
        """An alert is raised, and its record made: the positions from before it follow, and then those that come."""
        earlier = self.tracking.open_alert()
        if earlier:
            self._record(Kind.POSITIONS_BEFORE, body=[wire.pack_long_fix(fix, now) for fix in earlier])
        self._follow()

    def resume_alert(self, earlier: EarlierAlert, age_s: float, now: float) -> None:
        """An alert of an earlier session goes on. What it was recorded with last was stored so long ago."""
        self.tracking.open_alert()
        try:
            packed = wire.fix_of((earlier.position or earlier.alert).record.data)
            if packed is not None:
                self.tracking.recall(wire.unpack_fix(packed, now - age_s))
        except ValueError as error:
            log.error("the last position cannot be read, the disk has changed it: %s", error)  # noqa: TRY400
        self._follow()

    def close_alert(self) -> None:
        """No alert is open any more."""
        self.tracking.close_alert()
        self._follow()

    def begin_duress(self) -> None:
        """The alert was taken back under duress: until the shift ends, its presences say precisely where that is.

        They come as seldom as ever, and have the same length: nobody who looks at the device can tell.
        """
        self._under_duress = True

    def end_duress(self) -> None:
        """The dispatcher knows that it is over."""
        self._under_duress = False

    def on_fix(self, fix: Fix, now: float, *, dated: bool) -> None:
        """A new fix of the receiver; `dated`: UTC is known."""
        match self.tracking.on_fix(fix, dated=dated):
            case Record.POSITION:
                self._positions += 1
                pack = wire.pack_long_fix if self._positions % SHORT_EVERY else wire.pack_fix
                self._record(Kind.POSITION, pack(fix, now))
            case Record.PRESENCE if self._under_duress:
                self._record(Kind.PRESENCE, wire.pack_fix(fix, now))
            case Record.PRESENCE:
                self._record(Kind.PRESENCE, wire.pack_fix(self.tracking.coarse(fix), now, coarse=True))
            case None:
                pass

    def last_words(self, now: float) -> None:
        """The battery is about to fail: where the device is, once more, as the regime allows."""
        fix = self.tracking.fix
        if fix is None:
            return
        if self.tracking.alert_open:
            self._record(Kind.POSITION, wire.pack_fix(fix, now))
        elif self._under_duress:
            self._record(Kind.PRESENCE, wire.pack_fix(fix, now))
        else:
            self._record(Kind.PRESENCE, wire.pack_fix(self.tracking.coarse(fix), now, coarse=True))

    def step(self, now: float) -> float | None:
        """Show what there is to be shown; when that changes. Covert nothing is, and nobody need be woken for it."""
        is_tested = self._lamp.shows in OF_A_TEST
        self._indicator.light(self._lamp.level(now), tested=is_tested)
        return None if self._indicator.covert and not is_tested else self._lamp.next_due(now)

    def show(self, light: Light, now: float) -> None:
        """Show this on the LED from now on."""
        precise = (Light.PRECISE, Light.ACKNOWLEDGED)
        if light in precise and self._lamp.shows not in precise and self._indicator.covert:
            log.warning("positions are recorded precisely from now on, and the LED does not show it: covert")
        self._lamp.show(light, now)

    def _follow(self) -> None:
        """Wake the receiver, or let it sleep."""
        self._locator.wake(self.wants_receiver)
