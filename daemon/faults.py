"""What does not work right now, in words for a technician. Faults come and go; each has one code."""

import logging
from dataclasses import dataclass

from bondmate.records import utc_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """A code for machines; what happened and what to do next for people; UTC since when, if known."""

    code: str
    text: str
    next: str
    since_ms: int | None

    def to_json(self) -> dict[str, str | None]:
        """As in `bondmatectl status --json`."""
        return {"code": self.code, "since": utc_text(self.since_ms), "text": self.text, "next": self.next}


class Faults:
    """The faults that are present, in the order in which they came."""

    def __init__(self) -> None:
        self._present: dict[str, Fault] = {}

    def report(self, code: str, text: str | None, next_step: str, now_ms: int | None) -> None:
        """`text` says what is wrong; None says that this fault is gone."""
        known = self._present.get(code)
        if text is None:
            if self._present.pop(code, None) is not None:
                log.info("fault %s is gone", code)
        elif known is None or known.text != text:
            if known is None:
                log.warning("fault %s: %s; %s", code, text, next_step, extra={"FAULT": code})
            self._present[code] = Fault(code, text, next_step, known.since_ms if known else now_ms)

    def __contains__(self, code: str) -> bool:
        return code in self._present

    def find(self, code: str) -> Fault | None:
        """The fault with that code, while it is present."""
        return self._present.get(code)

    def codes(self) -> list[str]:
        """The codes of all faults, the oldest first."""
        return list(self._present)

    def to_json(self) -> list[dict[str, str | None]]:
        """Every fault, the oldest first."""
        return [fault.to_json() for fault in self._present.values()]
