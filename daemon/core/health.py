"""Which faults are worth a health record: those that last. Pure: `now` is the monotonic clock in seconds."""

from collections.abc import Sequence

LASTS_S = 60.0
"""What goes by itself within a minute is nobody's business but the device's."""
MAX_CODES = 16
MAX_CODE_LENGTH = 32
"""What a health record may hold (docs/protocol.md, section 3)."""


class HealthWatch:
    """Says when the faults that last are others than at the last report."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}
        self._reported: tuple[str, ...] = ()

    def step(self, present: Sequence[str], now: float) -> tuple[str, ...] | None:
        """Codes to report now, all that have lasted; None when they are the same as at the last report.

        `present` are the codes of the faults of this moment.
        """
        self._since_s = {code: self._since_s.get(code, now) for code in present}
        lasting = {code[:MAX_CODE_LENGTH] for code, since_s in self._since_s.items() if now - since_s >= LASTS_S}
        # compared as it is told: what the bounds cut off must not repeat a report
        told = tuple(sorted(lasting)[:MAX_CODES])
        if told == self._reported:
            return None
        self._reported = told
        return told
