"""How the demo speaks: aligned lines for a person, or JSON lines for a machine. It decides nothing.

In JSON mode nothing but JSON lines goes to standard output. Colour goes to a terminal only.
"""

import json
import sys
import time
from typing import Any

from bondmate_sim.console import say

GREEN, RED, DIM, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
NAME_WIDTH = 10


class Narrator:
    """Tells steps and the result, each with the time since the narrator was made."""

    def __init__(self, *, as_json: bool) -> None:
        """`as_json`: for a machine."""
        self._as_json = as_json
        self._colour = not as_json and sys.stdout.isatty()
        self._start = time.monotonic()

    def step(self, name: str, text: str) -> None:
        """A step is done."""
        if self._as_json:
            self._say_json({"event": "step", "name": name, "t_ms": self._elapsed_ms(), "text": text})
        else:
            self._say("✓", GREEN, name, text)

    def failure(self, name: str, text: str) -> None:
        """A step went wrong; for a machine the result line says so."""
        if not self._as_json:
            self._say("✗", RED, name, text)

    def result(self, fields: dict[str, Any]) -> None:
        """The last line, for a machine."""
        if self._as_json:
            self._say_json({"event": "result", **fields})

    def block(self, text: str) -> None:
        """Some lines for a person, as another program printed them."""
        if not self._as_json:
            say("\n" + "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines()) + "\n")

    def remark(self, text: str) -> None:
        """A line for a person."""
        if not self._as_json:
            say(text)

    def _say(self, mark: str, colour: str, name: str, text: str) -> None:
        seconds = f"{self._elapsed_ms() / 1000:6.2f} s"
        if self._colour:
            say(f"{DIM}{seconds}{PLAIN}  {colour}{mark}{PLAIN} {name:<{NAME_WIDTH}}  {text}")
        else:
            say(f"{seconds}  {mark} {name:<{NAME_WIDTH}}  {text}")

    def _say_json(self, fields: dict[str, Any]) -> None:
        say(json.dumps(fields))

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._start) * 1000)
