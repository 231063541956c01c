"""Whether a restart may cost an alert. The daemon alone knows, and it may be silent for a while."""

from collections.abc import Callable

from bondmate.updater.order import Situation

SILENCE_S = 60.0
"""So long an alert may be open in a daemon that says nothing of it: one that crashed is back in seconds and goes on
with its alert, and one that hangs is ended by its watchdog before (bondmated.service). After that nobody serves it."""


class Silence:
    """For how long nobody has said whether an alert is open. Times are monotonic, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._heard_s = now()

    def allows_restart(self, situation: Situation | None) -> bool:
        """Whether a restart costs no alert, by what the daemon just answered; to be asked of each answer."""
        if situation is None or situation.alert_open is None:
            return self._now() - self._heard_s >= SILENCE_S
        self._heard_s = self._now()
        return not situation.alert_open
