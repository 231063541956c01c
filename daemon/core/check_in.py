"""The check-in: "I am going in, twenty minutes". Who does not end it in time is called for. Pure: `now` in seconds.

It is felt to end soon, then that it is due, and through a countdown; the device calls only behind that. The countdown
begins when `poll` is asked, not when the check-in was due: an officer is never called for without having felt it, after
a restart neither.
"""

from enum import Enum
from typing import Literal

from bondmate.core.countdown import Countdown, Tick

SHORTEST_S, LONGEST_S = 60.0, 43_200.0
"""Shorter nobody can end it in peace; longer than twelve hours nobody waits for a colleague."""
PREALARM_S = 60.0
"""So long before it is due it is felt. One that is shorter than twice this is felt at half time."""
NOTE_OCTETS = 120
"""As UTF-8; docs/protocol.md, check-in."""


class CheckInEvent(Enum):
    """What happens to a check-in by itself."""

    PREALARM = "prealarm"
    DUE = "due"
    """The countdown begins; to be felt."""
    FELT = "felt"
    """The countdown goes on; to be felt."""
    MISSED = "missed"
    """Nobody ended it: call for him. It is over now."""


class CheckIn:
    """None runs until one is begun. `countdown_s` lies between due and missed."""

    def __init__(self, countdown_s: float) -> None:
        self._countdown_s = countdown_s
        self._countdown = Countdown()
        self._due_s: float | None = None
        self._prealarm_s: float | None = None
        """When it is felt to end soon; None when it was."""
        self._note = ""

    @property
    def due_s(self) -> float | None:
        """When it is due, by the monotonic clock; None when none runs."""
        return self._due_s

    @property
    def note(self) -> str:
        """What the officer wrote, of the one that runs or of the last."""
        return self._note

    @property
    def ends_s(self) -> float | None:
        """When the countdown is over; None when none runs."""
        return self._countdown.ends_s

    @property
    def state(self) -> Literal["running", "prealarm", "countdown"] | None:
        """None when none runs."""
        if self._due_s is None:
            return None
        if self._countdown.ends_s is not None:
            return "countdown"
        return "prealarm" if self._prealarm_s is None else "running"

    def begin(self, now: float, seconds: float, note: str = "") -> bool:
        """Begin, also in place of one that runs. False, and nothing changes, where that is too short or too long.

        A note of more than NOTE_OCTETS is cut behind its last whole character that fits.
        """
        if not SHORTEST_S <= seconds <= LONGEST_S:
            return False
        self._note = cut(note)
        self._run_until(now + seconds, now)
        return True

    def extend(self, now: float, seconds: float) -> bool:
        """So much longer than it runs yet, or from now if it is due already: it never gets shorter.

        Possible until it is missed. False, and nothing changes, where none runs, or that is too short or too long.
        """
        if self._due_s is None or not SHORTEST_S <= seconds <= LONGEST_S:
            return False
        due_s = max(self._due_s, now) + seconds
        if due_s > now + LONGEST_S:
            return False
        self._run_until(due_s, now)
        return True

    def end(self) -> bool:
        """All is well. False where none runs."""
        was_running = self._due_s is not None
        self._due_s = None
        self._countdown.stop()
        return was_running

    def resume(self, now: float, due_s: float, note: str) -> None:
        """Go on after a restart with one that is due then, or was. What may not have been felt is felt again.

        However the clocks jumped, it is due in LONGEST_S at the latest.
        """
        self._note = cut(note)
        due_s = min(due_s, now + LONGEST_S)
        self._run_until(due_s, now)
        self._prealarm_s = due_s - PREALARM_S

    def poll(self, now: float) -> CheckInEvent | None:
        """What happens by `now`, one at a time."""
        if self._due_s is None:
            return None
        if self._countdown.ends_s is not None:
            return self._counted(now)
        if now >= self._due_s:
            self._prealarm_s = None
            self._countdown.start(now, self._countdown_s, felt=False)
            return CheckInEvent.DUE
        if self._prealarm_s is not None and now >= self._prealarm_s:
            self._prealarm_s = None
            return CheckInEvent.PREALARM
        return None

    def next_due(self) -> float | None:
        """When `poll` has something to say next."""
        if self._due_s is None:
            return None
        if self._countdown.ends_s is not None:
            return self._countdown.next_due()
        return self._due_s if self._prealarm_s is None else min(self._prealarm_s, self._due_s)

    def _counted(self, now: float) -> CheckInEvent | None:
        match self._countdown.poll(now):
            case Tick.OVER:
                self._due_s = None
                return CheckInEvent.MISSED
            case Tick.FELT:
                return CheckInEvent.FELT
            case None:
                return None

    def _run_until(self, due_s: float, now: float) -> None:
        self._countdown.stop()
        self._due_s, self._prealarm_s = due_s, due_s - min(PREALARM_S, (due_s - now) / 2)


def cut(note: str) -> str:
    """A note, no longer than a record carries it."""
    return note.encode(errors="replace")[:NOTE_OCTETS].decode(errors="ignore")
