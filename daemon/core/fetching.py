"""When the mailbox is fetched (docs/protocol.md, section 8). Pure."""

import math

WAITING_S = 5.0
"""While an alert is open that no human saw yet."""
SEEN_S = 15.0
"""While an alert is open that a human saw: its end is waited for."""
ON_DUTY_S = 60.0
OFF_DUTY_S = math.inf
"""Never by itself: that would tell that the device is switched on, and where on the network. Messages wait."""
FIRST_RETRY_S = 5.0
"""After a failure; doubled with each further one."""
RETRY_CAP_S = 60.0
"""The longest wait after failures, or the usual interval, if that is longer."""
TRIES = 10
"""So often a fetch that was wanted is tried again, also off duty."""


class Fetching:
    """Decides when. Times are monotonic. A fetch begins with `begin`, and ends with `fetched` or `failed`."""

    def __init__(self) -> None:
        self._interval_s = OFF_DUTY_S
        self._ended_s = -math.inf
        """When the last fetch ended."""
        self._failures = 0
        self._wanted_s: float | None = None
        """Since when one is wanted at once."""
        self._was_wanted = False
        """Of the fetch that is under way, or was the last."""

    def regime(self, *, on_duty: bool, alert_open: bool, acknowledged: bool, now: float) -> None:
        """How soon news is needed. What was due already stays due then, at the latest."""
        if alert_open:
            interval_s = SEEN_S if acknowledged else WAITING_S
        else:
            interval_s = ON_DUTY_S if on_duty else OFF_DUTY_S
        if self._interval_s == OFF_DUTY_S > interval_s:
            self.wake(now)
        elif interval_s < self._interval_s:
            # of a call that was made just now nobody can have seen anything yet
            self._ended_s = min(self._ended_s + self._wait_s() - interval_s, now)
            self._failures = 0
        self._interval_s = interval_s

    def wake(self, now: float) -> None:
        """There is something, or the way is free again: fetch at once, also behind the fetch that is under way."""
        self._wanted_s = now if self._wanted_s is None else min(now, self._wanted_s)

    def next_due(self) -> float:
        """When to fetch next, while no fetch is under way; inf off duty, where it is not wanted."""
        if self._wanted_s is not None:
            return self._wanted_s
        return OFF_DUTY_S if self._interval_s == OFF_DUTY_S else self._ended_s + self._wait_s()

    def begin(self) -> None:
        """A fetch begins: whoever wants one from here on wants another."""
        self._was_wanted, self._wanted_s = self._wanted_s is not None, None

    def fetched(self, now: float, *, more: bool) -> None:
        """It went well. `more`: it brought something, and there may be more behind it."""
        self._ended_s, self._failures = now, 0
        if more:
            self.wake(now)

    def failed(self, now: float) -> None:
        """Nothing usable came."""
        self._ended_s = now
        self._failures += 1
        if self._was_wanted and self._wanted_s is None and self._failures <= TRIES:
            # off duty nothing else would bring what the gateway woke it for
            self._wanted_s = now + min(self._retry_s(), RETRY_CAP_S)

    def _wait_s(self) -> float:
        if self._failures == 0:
            return self._interval_s
        return min(self._retry_s(), max(self._interval_s, RETRY_CAP_S))

    def _retry_s(self) -> float:
        # the exponent is bounded, for days without a network are many failures
        return FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16)
