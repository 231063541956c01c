"""How far a card is: in words, and for machines. Pure."""

from dataclasses import dataclass

from bondmate_image.writing import Phase


@dataclass(slots=True)
class Progress:
    """One card on its way. Times are seconds of any clock that does not jump."""

    card: str
    octets: int
    """How many a phase has."""

    phase: Phase | None = None
    done: int = 0
    since: float = 0.0
    now: float = 0.0
    end: str | None = None
    """What became of it, once that is known."""

    ok: bool = False
    """Whether it was written and compared."""

    def heard(self, phase: Phase, done: int, now: float) -> None:
        """So many octets of a phase are done."""
        if phase != self.phase:
            self.phase, self.since = phase, now
        self.done, self.now = done, now

    @property
    def percent(self) -> int:
        return self.done * 100 // self.octets

    @property
    def rate(self) -> float | None:
        """Octets a second in this phase; None while nobody knows."""
        took = self.now - self.since
        return self.done / took if self.done and took > 0 else None

    @property
    def left_s(self) -> float | None:
        """Until the end of this phase, at its rate so far."""
        return None if self.rate is None else (self.octets - self.done) / self.rate

    def line(self) -> str:
        """One line, for people."""
        if self.end is not None:
            return f"{self.card}  {self.end}"
        if self.phase is None:
            return f"{self.card}  waiting"
        shown = f"{self.card}  {self.phase:9}  {self.percent:3} %"
        if self.rate is None or self.left_s is None:
            return shown
        return f"{shown}  {self.rate / 1e6:5.1f} MB/s  {minutes(self.left_s)} left"

    def as_json(self) -> dict[str, object]:
        """The same for machines; `rate` in octets a second."""
        return {
            "event": "progress",
            "card": self.card,
            "phase": self.phase,
            "percent": self.percent,
            "octets": self.done,
            "of": self.octets,
            "rate": None if self.rate is None else round(self.rate),
            "left_s": None if self.left_s is None else round(self.left_s, 1),
        }


def minutes(seconds: float) -> str:
    """As `1:05`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
