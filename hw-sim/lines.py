"""The electrical truth of the board's pins: which level a line has, given who drives it.

Pure: no sockets, no time. The device's output wins over everything but a short circuit; an input follows what is wired
to it, and otherwise its pull resistor. A line that floats reads 0, as the general lines of a Pi do before anybody has
configured them.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal[0, 1]
Pull = Literal["up", "down", "floating"]
Function = Literal["input", "output"]

PINS = range(28)
"""The general-purpose lines of a 40-pin header, by their BCM numbers."""


@dataclass(frozen=True, slots=True)
class Line:
    """One pin of the board."""

    function: Function = "input"
    pull: Pull = "floating"
    output: Level = 0
    """What the device drives, while the function is output."""
    driven: Level | None = None
    """What the world outside drives; a pressed button is 0 (closed to ground), a released one None."""
    shorted: Level | None = None
    """What it is short-circuited to: ground (0), the supply (1), or nothing."""

    @property
    def level(self) -> Level:
        """The level that anybody would measure at this line."""
        if self.shorted is not None:
            return self.shorted
        if self.function == "output":
            return self.output
        if self.driven is not None:
            return self.driven
        return 1 if self.pull == "up" else 0


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of level at one pin."""

    pin: int
    level: Level
    t_ns: int
    """CLOCK_MONOTONIC of this machine, so that all its processes can compare."""
    utc: str
